"""The launcher, really frozen, with the Python that runs the tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PyInstaller.archive.readers import CArchiveReader  # type: ignore[import-untyped]

from stigmer_packaging.freeze.stage import Freezer, freeze_launcher
from stigmer_packaging.lib.errors import GateError, MissingToolError
from stigmer_packaging.manifest.rename import PACKAGE
from stigmer_packaging.records.model import BuiltPart
from support.freezing import ROOT, VERSIONED, make_freezer
from support.hostile_places import assert_starts_twice, temporal_only
from support.launcher_payloads import build_libexec
from support.launcher_services import Stigmer

pytestmark = pytest.mark.timeout(600)

GLIBC = ("libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1")
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
LIMIT = 5_000_000  # bytes beside Python's own library, whose size depends on the machine's Python
# What a shell may hold that means something to Python, to PyInstaller's bootloader or to the loader; {0} is a trap.
SHELLS: tuple[dict[str, str], ...] = (
    {"PYTHONHOME": "/nonexistent"},
    {"PYTHONHOME": "{0}", "PYTHONPATH": "{0}"},
    {"PYTHONPATH": "{0}", "PYTHONSAFEPATH": "1"},
    {"PYTHONSTARTUP": "{0}/json.py", "PYTHONINSPECT": "1"},
    {"PYTHONUSERBASE": "{0}", "PYTHONPLATLIBDIR": "nonexistent", "PYTHONPYCACHEPREFIX": "{0}"},
    {"PYTHONVERBOSE": "1", "PYTHONDEBUG": "1", "PYTHONPROFILEIMPORTTIME": "1", "PYTHONDUMPREFS": "1"},
    {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
    {"PYTHONHASHSEED": "bogus", "PYTHONINTMAXSTRDIGITS": "bogus"},
    {"PYTHONMALLOC": "bogus", "PYTHONTRACEMALLOC": "bogus", "PYTHONMALLOCSTATS": "1"},
    {"PYTHONIOENCODING": "bogus", "PYTHONLEGACYWINDOWSSTDIO": "1"},
    {"PYTHONUTF8": "bogus", "PYTHONCOERCECLOCALE": "warn", "LC_ALL": "C"},
    {"PYTHONUTF8": "0", "LC_ALL": "POSIX"},
    {"PYTHONOPTIMIZE": "2", "PYTHONCASEOK": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""},
    {"PYTHONBREAKPOINT": "nonexistent.trap", "PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1"},
    {"PYTHON_FROZEN_MODULES": "off", "PYTHON_GIL": "0", "PYTHON_CPU_COUNT": "bogus", "PYTHON_BASIC_REPL": "1"},
    {"PYTHONEXECUTABLE": "{0}/python", "__PYVENV_LAUNCHER__": "{0}/python", "VIRTUAL_ENV": "{0}"},
    {"_MEIPASS2": "{0}", "_MEIPASS": "{0}"},
    {"_PYI_ARCHIVE_FILE": "{0}/other", "_PYI_APPLICATION_HOME_DIR": "{0}", "_PYI_PARENT_PROCESS_LEVEL": "1"},
    {"_PYI_APPLICATION_HOME_DIR": "{0}", "_PYI_PARENT_PROCESS_LEVEL": "0", "_PYI_SPLASH_IPC": "1"},
    {"PYINSTALLER_RESET_ENVIRONMENT": "1", "PYINSTALLER_STRICT_UNPACK_MODE": "1"},
    {"LD_LIBRARY_PATH": "{0}", "DYLD_LIBRARY_PATH": "{0}"},
    {"LD_BIND_NOW": "1", "LOCPATH": "{0}", "GCONV_PATH": "{0}", "MALLOC_PERTURB_": "165", "MALLOC_ARENA_MAX": "1"},
)


def build(folder: Path, source: Path = ROOT / "launcher") -> tuple[Freezer, BuiltPart]:
    freezer = make_freezer(folder)
    return freezer, freeze_launcher(source, manifest=VERSIONED, freezer=freezer)


def copy_launcher(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "launcher", folder / "launcher", ignore=ignored))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Freezer, BuiltPart]:
    return build(tmp_path_factory.mktemp("launcher"))


@pytest.fixture
def folder(frozen: tuple[Freezer, BuiltPart]) -> Path:
    freezer, bundle = frozen
    return freezer.workspace.path(bundle.root)


def ask(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [folder / "stigmer", *arguments], env=environment, check=False, capture_output=True, timeout=60
    )


@pytest.fixture(scope="module")
def keg(frozen: tuple[Freezer, BuiltPart], tmp_path_factory: pytest.TempPathFactory) -> Path:
    libexec = build_libexec(tmp_path_factory.mktemp("keg"), temporal_only(), version="7.8.9")
    freezer, bundle = frozen
    shutil.copytree(freezer.workspace.path(bundle.root), libexec / "launcher", symlinks=True)
    return libexec


@pytest.mark.parametrize("shell", SHELLS, ids=",".join)
def test_the_users_python_variables_do_not_affect_it(keg: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    """Two starts load none of the trap's modules and libraries, and leave the keg unchanged."""
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("json.py", "os.py", "sitecustomize.py", "usercustomize.py", "encodings.py", "stigmer_launcher.py"):
        (trap / name).write_text(f"open({str(trap / 'sprung')!r}, 'w')\nraise SystemExit('trapped')\n")
    (trap / "libz.so.1").write_bytes(b"no library")
    environment = {name: text.format(trap) for name, text in shell.items()}
    before = sorted(keg.rglob("*"))
    with Stigmer(keg, tmp_path / "home", environment=environment) as launcher:
        for name in {"STIGMER_PAYLOAD", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"} - set(environment):
            del launcher.environment[name]
        launcher.program = [os.fspath(keg / "launcher" / "stigmer")]
        assert launcher("--version") == (0, "stigmer 7.8.9\n", "")
        assert_starts_twice(launcher, tmp_path)
    assert sorted(keg.rglob("*")) == before


def test_its_output_is_utf_8_whatever_the_locale(folder: Path) -> None:
    """A check mark must not crash the program in the C locale."""
    done = ask(folder, "--help", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    done.stdout.decode("utf-8")


def test_it_is_small(frozen: tuple[Freezer, BuiltPart]) -> None:
    """It has no OpenSSL, no East Asian codecs and no test suites."""
    files = {file.path: file.size for file in frozen[1].files if "libpython" not in file.path}
    assert sum(files.values()) <= LIMIT, sorted(files, key=lambda path: -files[path])[:10]
    assert not [path for path in files if "libcrypto" in path or "_codecs_" in path]


def test_it_contains_no_script_that_runs_before_it(folder: Path) -> None:
    """A run-time hook of PyInstaller would triple its start time."""
    scripts = [name for name, entry in CArchiveReader(str(folder / "stigmer")).toc.items() if entry[-1] == "s"]
    assert scripts == ["pyiboot01_bootstrap", "__main__"]


def test_every_module_of_it_is_frozen(folder: Path, frozen: tuple[Freezer, BuiltPart]) -> None:
    """Commands are imported by name, which the analysis does not detect."""
    archive = CArchiveReader(str(folder / "stigmer"))
    modules = set(archive.open_embedded_archive("PYZ.pyz").toc)
    foreign = {"linux": "darwin", "darwin": "linux"}[frozen[0].target.system]
    source = ROOT / "launcher"
    paths = [path.relative_to(source).with_suffix("") for path in (source / PACKAGE).rglob("*.py")]
    named = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    assert named - {f"{PACKAGE}.__main__", f"{PACKAGE}.system.{foreign}"} <= modules
    assert f"{PACKAGE}.system.{foreign}" not in modules


def test_its_bytecode_names_no_folder_of_the_build_host(folder: Path) -> None:
    """The file name in each code object is a relative path."""
    pyz = CArchiveReader(str(folder / "stigmer")).open_embedded_archive("PYZ.pyz")
    codes = {name: pyz.extract(name) for name in pyz.toc}
    named = {name: code.co_filename for name, code in codes.items() if code is not None}
    assert named[f"{PACKAGE}.cli.main"] == f"{PACKAGE}/cli/main.py"
    assert [path for path in named.values() if path.startswith("/")] == []


@pytest.mark.skipif(not (shutil.which("bwrap") and LOADER.exists()), reason="needs bubblewrap, on Linux x86_64")
def test_it_starts_where_there_is_nothing_but_glibc(folder: Path) -> None:
    """The dynamic loader must find the bundled libz before the program runs."""
    home = next(path.parent for path in Path("/lib").glob("*/libc.so.6"))
    binds = [
        word for path in (LOADER, *(home / name for name in GLIBC)) for word in ("--ro-bind", str(path), str(path))
    ]
    words = ["bwrap", "--unshare-all", "--clearenv", *binds, "--ro-bind", str(folder), "/keg", "--proc", "/proc"]
    done = subprocess.run(
        [*words, "/keg/stigmer", "--version"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("stigmer 7.8.9\n", "")


def test_its_bytes_do_not_depend_on_the_build_directory(
    frozen: tuple[Freezer, BuiltPart], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build in another directory, even a relative one, and at another time yields the same bytes."""
    monkeypatch.chdir(tmp_path)
    _, again = build(Path("here"), copy_launcher(tmp_path))
    assert set(again.files) ^ set(frozen[1].files) == set()
    assert again == frozen[1]


def test_an_import_of_a_missing_module_fails_the_build(tmp_path: Path) -> None:
    """Even if it is imported late."""
    source = copy_launcher(tmp_path)
    (source / PACKAGE / "broken.py").write_text("def late():\n    import not_in_the_standard_library\n")
    with pytest.raises(GateError, match=rf"not_in_the_standard_library, imported by {PACKAGE}\.broken"):
        build(tmp_path, source)
    assert not (tmp_path / "build" / "freeze").exists()


@pytest.mark.skipif(
    not Path("/usr/bin/python3").exists() or os.path.realpath("/usr/bin/python3") == os.path.realpath(sys.executable),
    reason="needs a system Python other than the one that runs the tests",
)
def test_the_systems_python_freezes_it_or_says_what_to_install(tmp_path: Path) -> None:
    """On Debian, the shared library is in a separate package."""
    try:
        freezer = make_freezer(tmp_path, python="/usr/bin/python3")
        bundle = freeze_launcher(ROOT / "launcher", manifest=VERSIONED, freezer=freezer)
    except MissingToolError as error:
        assert any(word in error.remedy for word in ("libpython", "newer"))  # noqa: PT017 - either outcome
    else:
        assert ask(freezer.workspace.path(bundle.root), "--version").stdout == b"stigmer 7.8.9\n"
