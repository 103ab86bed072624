"""The loader simulation on Mach-O files from a real linker, for both architectures."""

import os
import subprocess
from pathlib import Path

import pytest

from stigmer_packaging.binaries import codesign, macho_edit
from stigmer_packaging.lib import environment
from support.audit_bottles import LIBRARIES, MODULE, audit, with_module

COMPILERS = (environment.cache_root(os.environ, Path.home()) / "freeze-python").glob("ziglang-*/ziglang/zig")
ZIG = next(COMPILERS, None)
pytestmark = pytest.mark.skipif(not ZIG, reason="no zig is cached: scripts/packaging python fetches it")

PLAIN = ("-rtlib=none", "-g0", "-fno-sanitize=undefined")
"""Options that suppress zig's additions."""

LIBRARY = "int answer(void) { return 42; }\n"
USER = "int answer(void);\nint CALL();\nint use(void) { return answer() + CALL(); }\n"


def link(folder: Path, architecture: str, name: str, source: str, *words: str) -> bytes:
    (folder / f"{name}.c").write_text(source, encoding="ascii")
    target = {"arm64": "aarch64", "amd64": "x86_64"}[architecture]
    command = [str(ZIG), "cc", "-target", f"{target}-macos.11.0", "-shared", *PLAIN]
    paths = [f"{name}.c", "-o", name, f"-Wl,-install_name,@rpath/{name}", "-Wl,-headerpad,1000"]
    env = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(folder / "cache")}
    subprocess.run([*command, *paths, *words], cwd=folder, env=env, check=True, capture_output=True, timeout=110)
    content, search = (folder / name).read_bytes(), ["@loader_path/.."]
    named = macho_edit.set_names(content, identity=f"@rpath/{name}", libraries={}, rpaths=search)
    return codesign.sign(macho_edit.strip(named), name)


def findings_in(
    folder: Path, architecture: str, *, call: str = "getpid", library: str = LIBRARY
) -> list[tuple[str, str]]:
    """Audit a bottle whose module was linked with one library but is shipped with another."""
    link(folder, architecture, "libanswer.dylib", LIBRARY)
    module = link(folder, architecture, "module.so", USER, f"-DCALL={call}", "libanswer.dylib")
    builder = with_module(f"darwin-{architecture}", module)
    builder.put(f"{LIBRARIES}/libanswer.dylib", link(folder, architecture, "libanswer.dylib", library), 0o755)
    return [(found.path, found.observation) for found in audit(builder).findings]


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_a_module_linked_for_macos_has_no_findings(architecture: str, tmp_path: Path) -> None:
    """It was stripped, and signed after a search path had been added."""
    assert findings_in(tmp_path, architecture) == []


def test_a_library_without_a_symbol_that_a_module_was_linked_to_is_found(tmp_path: Path) -> None:
    found = findings_in(tmp_path, "arm64", library="int other(void) { return 0; }\n")
    assert found == [(MODULE, "_answer: not in @rpath/libanswer.dylib")]


def test_a_call_that_only_the_newest_macos_has_is_detected(tmp_path: Path) -> None:
    """The linker accepts symbols of the newest macOS, whatever the target's version."""
    reason = "_pipe2: in /usr/lib/libSystem.B.dylib only since macOS 27.0, but the bottle promises 14.0"
    assert findings_in(tmp_path, "arm64", call="pipe2") == [(MODULE, reason)]
