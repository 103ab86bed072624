"""The parts of PyInstaller that cross-platform freezing replaces, each tested with the pinned PyInstaller.

If PyInstaller removes one or uses it differently, nothing would fail, and the bundle would contain files of this
machine. Each test runs in a separate process, because replacing them changes PyInstaller permanently there.
"""

import functools
import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from stigmer_packaging.freeze.seams import VERSIONS, Counterparts, Settings, check_version
from stigmer_packaging.freeze.wheels import Platform, provide_site
from stigmer_packaging.lib.target import Target
from stigmer_packaging.sources.locks import parse_lock, select_pins
from support.freezing import CACHE, ENV, ROOT
from support.native_code import elf, macho, place

HERE, THERE = EXTENSION_SUFFIXES[0], f".{sys.implementation.cache_tag}-darwin.so"
"""Suffixes of extension modules on this machine and on the target platform."""

LOCK = parse_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
_PREPARE = """
import json, os, sys
from stigmer_packaging.freeze.seams import *
from pathlib import Path
settings = Settings(**json.load(sys.stdin))
counterparts = Counterparts(settings)
"""


def make_settings(folder: Path, system: str = "darwin", **changes: object) -> Settings:
    """Return the settings of a platform whose files are below `folder`, next to those of this machine."""
    settings: dict[str, object] = {
        "system": system,
        "machine": {"darwin": "arm64", "linux": "aarch64"}[system],
        "architecture": "arm64",
        "multiarch": {"darwin": "darwin", "linux": "aarch64-linux-gnu"}[system],
        "builtins": [*sys.builtin_module_names, "only_there"],
        "library": str(folder / "python/lib/libpython3.13.dylib"),
        "prefix": str(folder / "python"),
        "own_prefix": str(folder / "own-python"),
        "standard_library": str(folder / "python/lib/python3.13"),
        "site": str(folder / "site"),
        "own_site": str(folder / "own-site"),
        "linked": {},
        **changes,
    }
    for name in ("standard_library", "site", "own_site"):
        Path(str(settings[name])).mkdir(parents=True, exist_ok=True)
    return Settings(**settings)  # type: ignore[arg-type]


@functools.cache
def macholib() -> Path:
    """Return the folder of macholib, which PyInstaller needs for macOS; this repository's lock has it only for Macs."""
    pins = select_pins(LOCK, ("macholib", "altgraph"))
    platform = Platform(Target("darwin", "arm64"), "14.0", "3.13.5")
    return provide_site(pins, platform, cache=CACHE, env=ENV, report=lambda _: None).folder


def run(code: str, settings: Settings) -> str:
    """Run code in a new process with the settings, and return its output."""
    completed = subprocess.run(
        [sys.executable, "-P", "-c", _PREPARE + code],
        input=json.dumps(asdict(settings)),
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'packaging'}:{macholib()}"},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def test_the_pinned_pyinstaller_is_a_version_that_the_seams_were_checked_for() -> None:
    """Raise VERSIONS once all tests of this file pass with the next version."""
    (pinned,) = [pin.version for pin in LOCK if pin.name == "pyinstaller"]
    check_version(pinned)
    for other in (f"{VERSIONS[1]}.0", "6.21.9", "7.0"):
        with pytest.raises(SystemExit, match="is not one of"):
            check_version(other)


def test_python_and_pyinstaller_report_the_target_platform(tmp_path: Path) -> None:
    code = """
pretend_platform(settings)
pretend_modules(settings)
import platform
from PyInstaller import compat, PLATFORM
print(sys.platform, platform.machine(), compat.is_darwin, compat.is_linux, compat.system, compat.EXTENSION_SUFFIXES[0], PLATFORM)
"""
    assert run(code, make_settings(tmp_path)) == f"darwin arm64 True False Darwin {THERE} Darwin-64bit"
    assert run(code, make_settings(tmp_path, "linux")).endswith("gnu.so Linux-64bit-arm")


def test_child_processes_run_natively_and_see_the_real_platform(tmp_path: Path) -> None:
    """For macOS, PyInstaller would start them through `arch`."""
    code = """
pretend_platform(settings)
run_children_natively()
from PyInstaller import compat, isolated
compat.check_requirements()
def ask():
    import sys
    return sys.platform
from PyInstaller.config import CONF
CONF["pathex"] = []
print(isolated.call(ask))
"""
    assert run(code, make_settings(tmp_path)) == sys.platform


def test_the_module_graph_finds_modules_and_builtins_of_the_target_platform(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for name in (f"fast{THERE}", f"slow{HERE}"):
        Path(settings.site, name).touch()
    Path(settings.own_site, "own.py").touch()
    Path(settings.standard_library, "there.py").touch()
    code = """
pretend_platform(settings)
pretend_modules(settings)
search_platform(settings, counterparts)
sys.path.append(settings.own_site)
from PyInstaller.lib.modulegraph.modulegraph import ModuleGraph
graph = ModuleGraph()
for name in ("fast", "slow", "own", "there", "only_there"):
    try:
        (node,) = graph.import_hook(name)
        print(name, type(node).__name__)
    except ImportError:
        print(name, "-")
"""
    assert run(code, settings).splitlines() == [
        "fast Extension", "slow -", "own -", "there SourceModule", "only_there BuiltinModule",
    ]  # fmt: skip


def test_hooks_collect_the_files_of_a_package_from_the_target_site(tmp_path: Path) -> None:
    """Its libraries have different names on the target platform."""
    settings = make_settings(tmp_path)
    for site, name in ((settings.site, "libthere.dylib"), (settings.own_site, "libhere.so.1")):
        place(Path(site, "package", "__init__.py"), b"")
        place(Path(site, "package", name), b"")
    code = """
sys.path.append(settings.own_site)
pretend_platform(settings)
redirect_package_paths(counterparts)
from PyInstaller.utils.hooks import collect_dynamic_libs
print(collect_dynamic_libs("package"))
"""
    assert run(code, settings) == str([(f"{settings.site}/package/libthere.dylib", "package")])


def test_files_of_this_machine_in_a_table_of_contents_are_replaced_by_their_counterparts(tmp_path: Path) -> None:
    """Extension modules are matched despite their suffix, and files without a counterpart are recorded as missing."""
    settings = make_settings(tmp_path)
    Path(settings.site, f"fast{THERE}").touch()
    code = f"""
redirect_collected_files(counterparts)
from PyInstaller.building import build_main
own = settings.own_site
toc = [("fast", own + "/fast{HERE}", "EXTENSION"), ("data", own + "/data", "DATA"), ("p", "/p", "DATA")]
found = [entry[1] for entry in build_main.normalize_toc(toc)]
print(json.dumps([found, sorted(counterparts.missing)]))
"""
    found, missing = json.loads(run(code, settings))
    assert found == [f"{settings.site}/fast{THERE}", f"{settings.site}/data", "/p"]
    assert missing == [f"{settings.own_site}/data"]


def test_for_the_same_platform_every_file_is_its_own_counterpart(tmp_path: Path) -> None:
    same = make_settings(tmp_path, own_site=str(tmp_path / "site"), own_prefix=str(tmp_path / "python"))
    counterparts = Counterparts(same)
    assert counterparts.find(f"{same.site}/absent") == f"{same.site}/absent"
    assert counterparts.missing == set()


def test_libraries_come_from_the_table_of_linked_libraries_and_not_from_this_machine(tmp_path: Path) -> None:
    """Names passed to ctypes are not resolved: on the target they are libraries of the system."""
    module, library = tmp_path / "site/fast.so", tmp_path / "site/.dylibs/libx.dylib"
    settings = make_settings(tmp_path, linked={str(module): [["@loader_path/.dylibs/libx.dylib", str(library)]]})
    for path in (module, library):
        place(path, macho("arm64"))
    code = """
pretend_platform(settings)
read_libraries(settings)
from PyInstaller.building import build_main
from PyInstaller.depend import bindepend
toc = bindepend.binary_dependency_analysis([("fast.so", settings.site + "/fast.so", "EXTENSION")], symlink_suppression_patterns=[])
print(*(f"{name}={kind}" for name, _, kind in toc))
print(bindepend.get_python_library_path() == settings.library, bindepend.resolve_library_path("libc.so.6"))
print(build_main.scan_code_for_ctypes(compile("import ctypes; ctypes.CDLL('libc.so.6')", "x", "exec")))
"""
    assert run(code, settings).splitlines() == [
        "fast.so=EXTENSION .dylibs/libx.dylib=BINARY libx.dylib=SYMLINK",
        "True None",
        "[]",
    ]


def test_native_files_are_distinguished_from_data_without_objdump(tmp_path: Path) -> None:
    for name, content in (("macho", macho("arm64")), ("elf", elf("arm64")), ("text", b"text")):
        (tmp_path / name).write_bytes(content)
    code = f"""
read_libraries(settings)
from PyInstaller.depend import bindepend
names = ("macho", "elf", "text", "absent")
print(*(bindepend.classify_binary_vs_data(f"{tmp_path}/{{name}}") for name in names))
"""
    assert run(code, make_settings(tmp_path)) == "BINARY BINARY DATA None"


def test_a_program_is_made_from_the_bootloader_and_the_archive_without_external_tools(tmp_path: Path) -> None:
    """PATH is empty, as if objcopy were missing; collected files are copied unchanged."""
    import PyInstaller  # type: ignore[import-untyped]

    settings = make_settings(tmp_path, "linux")
    program = Path(sys.executable).resolve().read_bytes()
    loader = place(Path(settings.site, "PyInstaller/bootloader", PyInstaller.PLATFORM, "run"), program)
    code = f"""
write_programs(settings)
os.environ["PATH"] = ""
from PyInstaller.building import api
program = api.EXE.__new__(api.EXE)
vars(program).update(console=True, debug=False)
assert program._bootloader_file("run") == {str(loader)!r}
frozen = settings.site + "/program"
Path(frozen).write_bytes(Path({str(loader)!r}).read_bytes())
Path(settings.site, "archive").write_bytes(b"the archive" * 9)
assert api.is_linux is False
program._append_data_to_exe(frozen, settings.site + "/archive")
print(Path(frozen).read_bytes().rfind(b"the archive") > 0, api.process_collected_binary("/a/b", "b", use_strip=True))
"""
    assert run(code, settings) == "True /a/b"


def test_a_macos_program_is_thinned_and_signed_without_the_tools_of_apple(tmp_path: Path) -> None:
    """The three functions that PyInstaller calls exist and have been replaced."""
    program = tmp_path / "program"
    program.write_bytes(macho("arm64", content=bytes(400)))
    code = f"""
pretend_platform(settings)
edit_machos(settings)
os.environ["PATH"] = ""
from PyInstaller.utils import osx
from PyInstaller.building import api
assert api.osxutils is osx
osx.binary_to_target_arch({str(program)!r}, "arm64", display_name="Bootloader EXE")
osx.remove_signature_from_binary({str(program)!r})
osx.sign_binary({str(program)!r}, None, None)
print("signed")
"""
    assert run(code, make_settings(tmp_path)) == "signed"
