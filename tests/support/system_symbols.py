"""Generate the lists in `audit/loader/symbols` from files of the zig compiler: glibc stubs, Apple's .tbd and headers.

python -m support.system_symbols ZIG        (in the directory `tests`)
"""

import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from stigmer_packaging.audit.loader import loading
from stigmer_packaging.binaries.elf import read_elf
from stigmer_packaging.lib import command

LISTS = Path(loading.__file__).with_name("symbols")
_GLIBC = ("2.28", "2.33", "2.43")
"""The oldest, the last with a separate libpthread, and the newest. A stub lists the linkable symbols of its version."""

_LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
_TRIPLES = {"amd64": "x86_64", "arm64": "aarch64"}
_TBD_TARGETS = {"amd64": {"x86_64-macos"}, "arm64": {"arm64-macos", "arm64e-macos"}}
_ALWAYS = (10, 13)
"""Symbols as old as this exist in every macOS that CPython supports."""

Symbol = tuple[str, str, str]
"""A library, the symbol's version or the first macOS that has it (`0`: unknown), and the symbol."""


def make_lists(zig: Path) -> dict[str, str]:
    """Return by file name, for each system, the symbols common to both architectures, and those of only one."""
    lists: dict[str, str] = {}
    for system, read in (("linux", _glibc), ("darwin", _libsystem)):
        found = {architecture: read(zig, architecture) for architecture in _TRIPLES}
        common = set.intersection(*found.values())
        lists[f"{system}.txt"] = _render(common)
        lists |= {f"{system}-{name}.txt": _render(symbols - common) for name, symbols in found.items()}
    return lists


def _render(symbols: set[Symbol]) -> str:
    lines = defaultdict[tuple[str, str], list[str]](list)
    for library, version, symbol in sorted(symbols):
        lines[library, version].append(symbol)
    return "".join(f"{library} {version} {' '.join(names)}\n" for (library, version), names in lines.items())


def _glibc(zig: Path, architecture: str) -> set[Symbol]:
    found: set[Symbol] = set()
    for version in _GLIBC:
        with tempfile.TemporaryDirectory() as folder:
            target = ("-target", f"{_TRIPLES[architecture]}-linux-gnu.{version}", "-shared", "-rtlib=none")
            _compile(zig, "int main(void) { return 0; }\n", folder, *target, "-o", f"{folder}/main")
            for stub in Path(folder).rglob("lib*.so.*"):
                name = _LOADERS[architecture] if stub.name == "libld.so.2" else stub.name
                found |= {(name, version, symbol) for symbol, version in read_elf(stub.read_bytes()).exports}
    return found


def _libsystem(zig: Path, architecture: str) -> set[Symbol]:
    libc = zig.parent / "lib" / "libc"
    first = dict(_first_releases(zig, libc / "include" / "any-darwin-any"))
    text = (libc / "darwin" / "libSystem.tbd").read_text(encoding="utf-8")
    listed = _parse_tbd(text, _TBD_TARGETS[architecture])
    return {("/usr/lib/libSystem.B.dylib", first.get(symbol, "0"), symbol) for symbol in listed}


def _parse_tbd(text: str, targets: set[str]) -> Iterator[str]:
    """Yield the symbols that a text-based stub (.tbd) lists for any of the targets."""
    for part in re.finditer(r"- targets:\s*\[(.*?)\](.*?)(?=- targets:|\n---|\Z)", text, re.DOTALL):
        if targets & set(re.split(r"[\s,]+", part[1])):
            for symbols in re.findall(r"\b(?:weak-|thread-local-)?symbols:\s*\[(.*?)\]", part[2], re.DOTALL):
                names = (quoted or plain for quoted, plain in re.findall(r"'([^']*)'|([^\s,]+)", symbols))
                yield from (name for name in names if not name.startswith("$ld$"))


def _first_releases(zig: Path, headers: Path) -> Iterator[tuple[str, str]]:
    """Yield symbols by their linker name, each with the first macOS that has it, from clang's syntax tree.

    All headers are parsed at once: some cannot be parsed on their own, and errors do not affect the others.
    """
    names = sorted(path.relative_to(headers).as_posix() for path in headers.rglob("*.h"))
    source, words = "".join(f"#include <{name}>\n" for name in names), ("-fsyntax-only", "-ferror-limit=0", "-w")
    with tempfile.TemporaryDirectory() as folder:
        dump = _compile(zig, source, folder, "-target", "aarch64-macos.11.0", *words, "-Xclang", "-ast-dump")
    symbol, releases = "", set[tuple[int, ...]]()
    for line in [*dump.splitlines(), "|-end"]:
        if line.startswith("|-"):
            if symbol and releases and min(releases) > _ALWAYS:
                yield symbol, ".".join(map(str, min(releases)))
            name = re.search(r" (\w+) '", line) if line.startswith(("|-FunctionDecl", "|-VarDecl")) else None
            symbol, releases = f"_{name[1]}" if name else "", set()
        elif renamed := re.search(r'AsmLabelAttr .*"\x01?([^"]+)"', line):
            symbol = renamed[1]
        elif release := re.search(r"AvailabilityAttr .*> (?:Inherited )?macos ([\d.]+) ", line):
            releases.add(tuple(map(int, release[1].split("."))))


def _compile(zig: Path, source: str, folder: str, *words: str) -> str:
    """Compile C and return the output; the cache, which will contain glibc's stubs, is below the folder."""
    Path(folder, "main.c").write_text(source, encoding="ascii")
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": folder}
    done = command.run([zig, "cc", *words, f"{folder}/main.c"], env=env, cwd=Path(folder), seconds=600, check=False)
    return done.stdout


if __name__ == "__main__":
    for file, content in make_lists(Path(sys.argv[1])).items():
        (LISTS / file).write_text(content, encoding="ascii")
