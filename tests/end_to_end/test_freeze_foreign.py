"""Programs frozen for every platform on this machine, with the pinned Pythons in its cache."""

import functools
import json
import os
import shutil
import subprocess
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from PyInstaller.archive.readers import CArchiveReader  # type: ignore[import-untyped]
from PyInstaller.loader.pyimod01_archive import PYZ_ITEM_NSPKG, PYZ_ITEM_PKG  # type: ignore[import-untyped]

from stigmer_packaging.binaries.elf import find_elves, read_elf
from stigmer_packaging.binaries.macho import read_machos
from stigmer_packaging.freeze.bundle import find_machos
from stigmer_packaging.freeze.pyinstaller import Environment
from stigmer_packaging.freeze.pythons import PINNED
from stigmer_packaging.freeze.stage import Freezer, freeze_launcher, freeze_service
from stigmer_packaging.freeze.wheels import provide_site
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.sources.service_source import read_service_source
from support.freezing import (
    ENV,
    FAKE_TEMPORAL,
    HOST,
    PROBE,
    ROOT,
    SAMPLES,
    TARGETS,
    VERSIONED,
    make_freezer,
    make_program,
)
from support.manifest_texts import PATH
from support.signature_checker import build_checker, check_signatures

pytestmark = pytest.mark.timeout(600)

OF_ONE_SYSTEM: dict[str, dict[str, str]] = {
    "darwin": {
        "_osx_support": "sysconfig gets the compiler's flags from it",
        "_scproxy": "urllib.request gets the system's proxies from it",
        "plistlib": "platform reads the macOS version with it",
    },
    "linux": {},
}
"""Modules that a program has on only one system, and the reasons."""

OLDEST = {name: each.macos_minimum or each.glibc_floor for name, each in load_manifest(PATH).targets.items()}

UNCHECKED = (0b01).to_bytes(4, "little") + bytes(8)
"""Header flags of an unchecked hash-based .pyc file, which is never compared with a source. Source: PEP 552."""

RUN_ON_IMPORT = ("__main__", "antigravity", "this")

IMPORT_ALL = """
import importlib, json, sys
failures = {}
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failures[name] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(failures))
"""


def freeze_greeter(freezer: Freezer, folder: Path) -> Path:
    built = freeze_service(
        read_service_source(SAMPLES / "freeze-service"),
        component="greeter",
        version="1.0.0",
        temporal=make_program(folder / "temporal", FAKE_TEMPORAL),
        probe=PROBE,
        freezer=freezer,
    )
    return freezer.workspace.path(built.root)


def modules_of(program: Path) -> set[str]:
    """Return the modules of a frozen program: those in its archive, and its extension modules.

    The module with Python's build settings is left out, as its name contains the platform.
    """
    archive = CArchiveReader(str(program))
    pure = set(archive.open_embedded_archive("PYZ.pyz").toc)
    native = {path.name.split(".")[0] for path in program.parent.rglob("*.so") if "lib-dynload" in path.parts}
    return {name for name in pure if not name.startswith("_sysconfigdata")} | native


@functools.cache
def greeter(target: Target, folder: Path) -> Path:
    """Freeze the small service for a target, only once for all tests."""
    place = folder / str(target)
    place.mkdir(exist_ok=True)  # a skipped test may have created it
    return freeze_greeter(make_freezer(place, target, python=PINNED), place)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign")


def test_for_this_platform_it_freezes_the_same_modules_as_pyinstaller(folder: Path, tmp_path: Path) -> None:
    """The same Python is used once with `--python` and once by analysis from outside; both programs pass the gates."""
    freezer = make_freezer(tmp_path, python=PINNED)
    native = make_freezer(tmp_path / "native", python=str(pinned_python(freezer)))
    by_itself = freeze_greeter(native, tmp_path)
    assert modules_of(greeter(HOST, folder) / "greeter") == modules_of(by_itself / "greeter")


def pinned_python(freezer: Freezer) -> Path:
    return Path(environment_of(freezer).interpreter.executable)


def environment_of(freezer: Freezer) -> Environment:
    cache, report = freezer.workspace.cache, freezer.report
    return freezer.python.assemble(functools.partial(provide_site, [], cache=cache, env=ENV, report=report))


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_libraries_linked_into_python_or_beside_it_are_named_with_their_licences(
    target: Target, tmp_path: Path
) -> None:
    """Most libraries are linked statically."""
    packages = environment_of(make_freezer(tmp_path, target, python=PINNED)).packages
    assert packages is not None
    linked = packages.linked_into({"_ctypes", "_lzma", "_sqlite3", "_ssl", "pyexpat"})
    assert {"expat", "libffi", "openssl", "sqlite", "xz"} <= {each.name for each in linked}
    beside = {"libssl": "openssl", "libpython3.13": "python3.13"}
    beside |= {"libz": "zlib", "libstdc++": "libstdc++6", "libgcc_s": "libgcc-s1"} if target.system == "linux" else {}
    found = {name: packages.find(f"{name}.so", (package,)) for name, package in beside.items()}
    assert [name for name, package in found.items() if not (package and package.texts and package.version)] == []
    assert packages.find("libnothing.so", ("nothing",)) is None


@pytest.mark.parametrize("target", [each for each in TARGETS if each != HOST], ids=str)
def test_a_program_has_the_same_modules_on_every_platform_but_a_listed_few(target: Target, folder: Path) -> None:
    here, there = (modules_of(greeter(each, folder) / "greeter") for each in (HOST, target))
    assert there - here <= OF_ONE_SYSTEM[target.system].keys()
    assert here - there <= OF_ONE_SYSTEM[HOST.system].keys()


def lay_out(program: Path, like: Path, folder: Path) -> list[str]:
    """Write the modules of `program`'s archive below `folder`, beside all other files of the program `like`.

    Return the modules' names.
    """
    whole = CArchiveReader(str(program))
    archive, head = whole.open_embedded_archive("PYZ.pyz"), whole.extract("PYZ.pyz")[4:8] + UNCHECKED
    for name, (kind, *_) in archive.toc.items():
        path = folder / name.replace(".", "/")
        if kind == PYZ_ITEM_NSPKG:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path = path / "__init__.pyc" if kind == PYZ_ITEM_PKG else path.with_name(f"{path.name}.pyc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + archive.extract(name, raw=True))
    (contents,) = (path for path in like.parent.iterdir() if path.is_dir())
    for file in (path for path in contents.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc", ".zip"}):
        place = folder / file.relative_to(contents)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)
    return sorted(archive.toc)


def find_unimportable(python: Path, folder: Path, names: list[str], home: Path) -> dict[str, str]:
    """Import modules, in a separate process for each package; return the errors of those that fail."""
    failures: dict[str, str] = {}
    chosen = [name for name in names if not name.endswith(RUN_ON_IMPORT)]
    for top, group in groupby(chosen, lambda name: name.partition(".")[0]):
        words: list[str | Path] = [python, "-I", "-c", IMPORT_ALL, folder, *group]
        done = subprocess.run(
            words, env={"HOME": str(home)}, cwd=home, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            failures[top] = f"exit code {done.returncode}: {done.stderr[-200:]}"
        else:
            failures |= json.loads(done.stdout.splitlines()[-1])
    return failures


@pytest.mark.parametrize("target", [each for each in TARGETS if each != HOST], ids=str)
def test_every_module_for_another_platform_is_read_and_imported_by_the_same_python_here(
    target: Target, folder: Path, tmp_path: Path
) -> None:
    """Except for the platform nothing differs, so a module that fails there also fails here."""
    python, like, failing = pinned_python(make_freezer(tmp_path, python=PINNED)), greeter(HOST, folder) / "greeter", {}
    for each in (HOST, target):
        place = tmp_path / str(each)
        names = lay_out(greeter(each, folder) / "greeter", like, place)
        assert len(names) > 100
        failing[each] = find_unimportable(python, place, names, tmp_path)
    assert failing[target].keys() - failing[HOST].keys() <= OF_ONE_SYSTEM[target.system].keys()


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_native_file_is_for_the_platform_and_its_promised_minimum(target: Target, folder: Path) -> None:
    program = greeter(target, folder)
    if target.system == "linux":
        elves = [read_elf(path.read_bytes()) for path in find_elves(program)]
        assert {each.architecture for each in elves} == {target.architecture}
        assert max(each.glibc for each in elves) <= tuple(map(int, OLDEST[str(target)].split(".")))
        return
    machos = [each for path in find_machos(program) for each in read_machos(path.read_bytes())]
    assert {(each.architecture, each.flaws) for each in machos} == {(target.architecture, ())}
    assert find_elves(program) == []


@pytest.mark.parametrize("target", [each for each in TARGETS if each.system == "darwin"], ids=str)
def test_another_implementation_accepts_every_signature_of_a_frozen_program(
    target: Target, folder: Path, tmp_path: Path
) -> None:
    """It checks each page and every other signed blob; the identifier is the file's own name."""
    machos = find_machos(greeter(target, folder))
    accepted, refused = check_signatures(build_checker(tmp_path), machos)
    assert refused == []
    assert {path: name for path, (_, name) in accepted.items()} == {path: path.name for path in machos}


def test_the_launcher_for_this_platform_works_and_is_reproducible(tmp_path: Path) -> None:
    """Also with just ldd on PATH, by which PyInstaller detects glibc."""
    built = []
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ldd").symlink_to(shutil.which("ldd") or "/usr/bin/ldd")
    for name in ("here", "elsewhere"):
        freezer = make_freezer(tmp_path / name, python=PINNED)
        freezer = replace(freezer, env={**freezer.env, "PATH": str(tmp_path / "bin")})
        built.append(freeze_launcher(ROOT / "launcher", manifest=VERSIONED, freezer=freezer))
    program = tmp_path / "here" / "build" / built[0].root / "stigmer"
    done = subprocess.run([program, "--version"], env={}, check=True, capture_output=True, timeout=60)
    assert done.stdout == b"stigmer 7.8.9\n"
    assert built[0].files == built[1].files
    assert os.access(program, os.X_OK)
