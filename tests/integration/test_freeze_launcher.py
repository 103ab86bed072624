"""The launcher, frozen for real with the Python these tests run on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PyInstaller.archive.readers import CArchiveReader  # type: ignore[import-untyped]

from stigmer_packaging.errors import GateError
from stigmer_packaging.records import LauncherBundle
from stigmer_packaging.stages.freeze import PACKAGE, Freezer, freeze_launcher
from support.freeze_workshop import ROOT, make_freezer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GLIBC = ("libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1")
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
LIMIT = 10_000_000  # bytes


def build(folder: Path, source: Path = ROOT / "launcher") -> tuple[Freezer, LauncherBundle]:
    freezer = make_freezer(folder)
    return freezer, freeze_launcher(source, name="stigmer", version="7.8.9", freezer=freezer)


def copy_launcher(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "launcher", folder / "launcher", ignore=ignored))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Freezer, LauncherBundle]:
    """Freeze the launcher once for the tests that only look at it."""
    return build(tmp_path_factory.mktemp("launcher"))


@pytest.fixture
def folder(frozen: tuple[Freezer, LauncherBundle]) -> Path:
    """Give the frozen launcher's folder."""
    freezer, bundle = frozen
    return freezer.workspace.path(bundle.root)


def ask(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [folder / "stigmer", *arguments], env=environment, check=False, capture_output=True, timeout=60
    )


def test_it_answers_with_the_manifests_version(folder: Path) -> None:
    """Also with an empty environment, on no Python at all."""
    assert ask(folder, "--version").stdout == b"stigmer 7.8.9\n"


def test_no_library_of_the_users_comes_before_its_own(folder: Path, tmp_path: Path) -> None:
    """One that is broken, in LD_LIBRARY_PATH, would end it before its first line."""
    (tmp_path / "libz.so.1").write_bytes(b"no library")
    assert ask(folder, "--version", LD_LIBRARY_PATH=os.fspath(tmp_path)).stdout == b"stigmer 7.8.9\n"


def test_its_output_is_utf_8_whatever_the_locale(folder: Path) -> None:
    """A check mark must not end the program in the C locale."""
    said = ask(folder, "--help", LC_ALL="C")
    assert said.returncode == 0, said.stderr
    said.stdout.decode("utf-8")


def test_it_is_small(frozen: tuple[Freezer, LauncherBundle]) -> None:
    """No OpenSSL, no codecs of the East, no test suites."""
    files = {file.path: file.size for file in frozen[1].files}
    assert sum(files.values()) <= LIMIT, sorted(files, key=lambda path: -files[path])[:10]
    assert not [path for path in files if "libcrypto" in path or "_codecs_" in path]


def test_nothing_that_runs_before_it_is_left_but_itself(folder: Path) -> None:
    """A run-time hook of PyInstaller's would triple its start."""
    scripts = [name for name, entry in CArchiveReader(str(folder / "stigmer")).toc.items() if entry[-1] == "s"]
    assert scripts == ["pyiboot01_bootstrap", "__main__"]


def test_every_module_of_it_is_frozen(folder: Path, frozen: tuple[Freezer, LauncherBundle]) -> None:
    """Commands are imported by name, and no analysis sees that."""
    archive = CArchiveReader(str(folder / "stigmer"))
    modules = set(archive.open_embedded_archive("PYZ.pyz").toc)
    foreign = {"linux": "darwin", "darwin": "linux"}[frozen[0].target.system]
    paths = [
        path.relative_to(ROOT / "launcher").with_suffix("") for path in (ROOT / "launcher" / PACKAGE).rglob("*.py")
    ]
    named = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    assert named - {f"{PACKAGE}.__main__", f"{PACKAGE}.system.{foreign}"} <= modules
    assert f"{PACKAGE}.system.{foreign}" not in modules


def test_its_bytecode_names_no_folder_of_the_build_host(folder: Path) -> None:
    """Each module knows itself by its name alone."""
    pyz = CArchiveReader(str(folder / "stigmer")).open_embedded_archive("PYZ.pyz")
    codes = {name: pyz.extract(name) for name in pyz.toc}
    named = {name: code.co_filename for name, code in codes.items() if code is not None}
    assert named[f"{PACKAGE}.cli.main"] == f"{PACKAGE}/cli/main.py"
    assert [path for path in named.values() if path.startswith("/")] == []


@pytest.mark.skipif(not (shutil.which("bwrap") and LOADER.exists()), reason="needs bubblewrap, on Linux x86_64")
def test_it_starts_where_there_is_nothing_but_glibc(folder: Path) -> None:
    """Its executable needs libz before it can say where its own libz is."""
    home = next(path.parent for path in Path("/lib").glob("*/libc.so.6"))
    binds = [
        word for path in (LOADER, *(home / name for name in GLIBC)) for word in ("--ro-bind", str(path), str(path))
    ]
    words = ["bwrap", "--unshare-all", "--clearenv", *binds, "--ro-bind", str(folder), "/keg", "--proc", "/proc"]
    done = subprocess.run(
        [*words, "/keg/stigmer", "--version"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("stigmer 7.8.9\n", "")


def test_it_is_the_same_from_anywhere(
    frozen: tuple[Freezer, LauncherBundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder, even one named relative to where we are, and another time: the same bytes."""
    monkeypatch.chdir(tmp_path)
    _, again = build(Path("here"), copy_launcher(tmp_path))
    assert set(again.files) ^ set(frozen[1].files) == set()
    assert again == frozen[1]


def test_made_once_it_is_taken_as_it_is(frozen: tuple[Freezer, LauncherBundle]) -> None:
    """And damaged, it is made again."""
    freezer, bundle = frozen
    program = freezer.workspace.path(bundle.root) / bundle.entry
    before = program.stat().st_ino
    assert freeze_launcher(ROOT / "launcher", name="stigmer", version="7.8.9", freezer=freezer) == bundle
    assert program.stat().st_ino == before
    program.write_bytes(b"damaged")
    assert freeze_launcher(ROOT / "launcher", name="stigmer", version="7.8.9", freezer=freezer) == bundle
    assert ask(program.parent, "--version").stdout == b"stigmer 7.8.9\n"


def test_a_module_it_imports_that_is_nowhere_fails_the_build(tmp_path: Path) -> None:
    """However late the import is."""
    source = copy_launcher(tmp_path)
    (source / PACKAGE / "broken.py").write_text("def late():\n    import not_in_the_standard_library\n")
    with pytest.raises(GateError, match=rf"not_in_the_standard_library, imported by {PACKAGE}\.broken"):
        build(tmp_path, source)
    assert not (tmp_path / "build" / "freeze").exists()


@pytest.mark.skipif(
    not Path("/usr/bin/python3").exists() or os.path.realpath("/usr/bin/python3") == os.path.realpath(sys.executable),
    reason="needs a Python of the system beside the one that tests",
)
def test_the_systems_python_freezes_it_or_says_what_to_install(tmp_path: Path) -> None:
    """Debian keeps the shared library, and venv, in packages of their own."""
    from stigmer_packaging.errors import MissingToolError

    try:
        freezer = make_freezer(tmp_path, python="/usr/bin/python3")
        bundle = freeze_launcher(ROOT / "launcher", name="stigmer", version="7.8.9", freezer=freezer)
    except MissingToolError as error:
        assert any(word in error.remedy for word in ("libpython", "python3-venv", "newer"))  # noqa: PT017 - either outcome
    else:
        assert ask(freezer.workspace.path(bundle.root), "--version").stdout == b"stigmer 7.8.9\n"
