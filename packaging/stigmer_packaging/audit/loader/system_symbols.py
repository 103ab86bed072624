"""Lists of the symbols that glibc and macOS's libSystem have, made from what the compiler `zig` brings.

Run by `python -m stigmer_packaging.audit.loader.system_symbols ZIG FOLDER`, where FOLDER is `stigmer_packaging/audit/loader/symbols`. glibc's are
read from the stubs that zig links with. Apple's list says which symbols there are, and the headers since which macOS.
"""

import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stigmer_packaging.binaries import elf
from stigmer_packaging.lib import command

LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
_GLIBC = ("2.28", "2.33", "2.43")
"""The oldest, the last with a libpthread of its own, and the newest. Each stub lists what its version can be linked with."""

_LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
_TRIPLES = {"amd64": "x86_64", "arm64": "aarch64"}
_TBD_TARGETS = {"amd64": {"x86_64-macos"}, "arm64": {"arm64-macos", "arm64e-macos"}}
_ALWAYS = (10, 13)
"""Every macOS that CPython still runs on has what is this old."""

Symbol = tuple[str, str, str]
"""A library, the symbol's version or the first macOS that has it, and the symbol."""


def glibc_symbols(zig: Path, architecture: str) -> set[Symbol]:
    """Give the symbols of glibc's libraries, such as `("libc.so.6", "GLIBC_2.17", "memcpy")`."""
    found: set[Symbol] = set()
    for version in _GLIBC:
        with tempfile.TemporaryDirectory() as folder:
            _compile(zig, f"{_TRIPLES[architecture]}-linux-gnu.{version}", Path(folder))
            for stub in Path(folder).rglob("lib*.so.*"):
                name = _LOADERS[architecture] if stub.name == "libld.so.2" else stub.name
                found |= {(name, version, symbol) for symbol, version in elf.read_elf(stub.read_bytes()).exports}
    return found


def libsystem_symbols(zig: Path, architecture: str) -> set[Symbol]:
    """Give the symbols of libSystem with the first macOS that has each, `0` when that is not known."""
    libc = zig.parent / "lib" / "libc"
    first = dict(_first_releases(zig, libc / "include" / "any-darwin-any"))
    listed = parse_tbd((libc / "darwin" / "libSystem.tbd").read_text(encoding="utf-8"), _TBD_TARGETS[architecture])
    return {(LIBSYSTEM, first.get(symbol, "0"), symbol) for symbol in listed}


def parse_tbd(text: str, targets: set[str]) -> Iterator[str]:
    """Give the symbols that a text-based stub lists for one of some targets."""
    for part in re.finditer(r"- targets:\s*\[(.*?)\](.*?)(?=- targets:|\n---|\Z)", text, re.DOTALL):
        if targets & set(re.split(r"[\s,]+", part[1])):
            for symbols in re.findall(r"\b(?:weak-|thread-local-)?symbols:\s*\[(.*?)\]", part[2], re.DOTALL):
                names = (quoted or plain for quoted, plain in re.findall(r"'([^']*)'|([^\s,]+)", symbols))
                yield from (name for name in names if not name.startswith("$ld$"))


def parse_availability(dump: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give symbols with the first macOS that has them from a dump of clang's syntax tree of Apple's headers."""
    symbol, releases = "", set[tuple[int, ...]]()
    for line in [*dump, "|-end"]:
        if line.startswith("|-"):
            if symbol and releases and min(releases) > _ALWAYS:
                yield symbol, ".".join(map(str, min(releases)))
            name = re.search(r" (\w+) '", line) if line.startswith(("|-FunctionDecl", "|-VarDecl")) else None
            symbol, releases = f"_{name[1]}" if name else "", set()
        elif renamed := re.search(r'AsmLabelAttr .*"\x01?([^"]+)"', line):
            symbol = renamed[1]
        elif release := re.search(r"AvailabilityAttr .*> (?:Inherited )?macos ([\d.]+) ", line):
            releases.add(tuple(map(int, release[1].split("."))))


def render(symbols: Iterable[Symbol]) -> str:
    """Write one line for each library and version: both, and all symbols."""
    lines: Mapping[tuple[str, str], list[str]] = defaultdict(list)
    for library, version, symbol in sorted(symbols):
        lines[library, version].append(symbol)
    return "".join(f"{library} {version} {' '.join(names)}\n" for (library, version), names in lines.items())


def write_lists(zig: Path, folder: Path) -> None:
    """Write for each system what both architectures have, and for each architecture what only it has."""
    for system, read in (("linux", glibc_symbols), ("darwin", libsystem_symbols)):
        found = {architecture: read(zig, architecture) for architecture in _TRIPLES}
        common = set.intersection(*found.values())
        (folder / f"{system}.txt").write_text(render(common), encoding="ascii")
        for architecture, symbols in found.items():
            (folder / f"{system}-{architecture}.txt").write_text(render(symbols - common), encoding="ascii")


def _first_releases(zig: Path, headers: Path) -> Iterator[tuple[str, str]]:
    """Have clang read all headers at once; some cannot be read on their own, and the others still are."""
    names = sorted(path.relative_to(headers).as_posix() for path in headers.rglob("*.h"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "all.c")
        source.write_text("".join(f"#include <{name}>\n" for name in names), encoding="ascii")
        words: list[str | Path] = [zig, "cc", "-target", "aarch64-macos.11.0", "-fsyntax-only", "-ferror-limit=0", "-w"]
        done = command.run([*words, "-Xclang", "-ast-dump", source], env=os.environ, seconds=600, check=False)
    yield from parse_availability(done.stdout.splitlines())


def _compile(zig: Path, target: str, folder: Path) -> None:
    source = folder / "main.c"
    source.write_text("int main(void) { return 0; }\n", encoding="ascii")
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(folder)}
    words: list[str | Path] = [zig, "cc", "-target", target, "-shared", "-rtlib=none", source, "-o", folder / "main"]
    command.run(words, env=env, cwd=folder, seconds=600)


if __name__ == "__main__":
    write_lists(Path(sys.argv[1]), Path(sys.argv[2]))
