"""The real freeze root: its Python is whole, needs no newer C library than promised, and freezes what runs elsewhere."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.binaries import elf
from stigmer_packaging.naming import Target
from stigmer_packaging.stages.freezeroot import prepare_freeze_root
from stigmer_packaging.tools import buildroot, debian, locks, pyinstaller
from stigmer_packaging.tools.buildroot import FreezeRoot
from stigmer_packaging.tools.environment import cache_root
from stigmer_packaging.tools.pyinstaller import FreezePlan
from stigmer_packaging.tools.rootrecipe import Recipe, read_recipe
from stigmer_packaging.tools.virtualenv import provide_virtualenv, read_markers
from stigmer_packaging.workspace import scan_files
from support.freeze_workshop import ENV, ROOT

CACHE = cache_root(os.environ, Path.home())
HOST = Target("linux", "arm64" if os.uname().machine == "aarch64" else "amd64")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.uname().sysname != "Linux", reason="the freeze root is Linux's"),
]

ASK = """
import bz2, ctypes, hashlib, json, lzma, multiprocessing, socket, pyexpat, sqlite3, ssl, sys, uuid, zlib, _hashlib, _uuid
database = sqlite3.connect(":memory:")
database.execute("create virtual table t using fts5(a)")
word = b"stigmer" * 1000
print(json.dumps({
    "python": sys.version.split()[0],
    "openssl": ssl.OPENSSL_VERSION.split()[1],
    "expat": pyexpat.EXPAT_VERSION.partition("_")[2],
    "sqlite": sqlite3.sqlite_version,
    "whole": all(codec.decompress(codec.compress(word)) == word for codec in (bz2, lzma, zlib)),
    "tls": [ssl.HAS_TLSv1_2, ssl.HAS_TLSv1_3, ssl.HAS_SSLv3],
    "digests": sorted({"md5", "sha1", "sha256", "sha3_256", "sha512"} - hashlib.algorithms_available),
    "call": ctypes.CDLL(None).getpid() > 0,
    "uuid": uuid.uuid1() != uuid.uuid1(),
    "locks": multiprocessing.Lock().acquire(),
    "local": socket.gethostbyname("localhost"),
    "ciphers": len(ssl.create_default_context().get_ciphers()) > 5,
}))
"""


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Give our recipe for this machine."""
    return read_recipe(ROOT / "packaging" / "freeze-root", HOST)


@pytest.fixture(scope="module")
def root(recipe: Recipe) -> FreezeRoot:
    """Give the root from the cache that real builds use; where it is not, it is made only when that is asked for."""
    place = CACHE / "freeze-root" / recipe.digest[:20]
    if not place.is_dir() and "STIGMER_TEST_FREEZE_ROOT" not in os.environ:
        pytest.skip(
            "the freeze root is not in the cache, and takes ten minutes: set STIGMER_TEST_FREEZE_ROOT=1 to make it"
        )
    return prepare_freeze_root(
        recipe,
        host=HOST,
        cache=CACHE,
        archives=lambda: debian.read_archives(Path("/etc")),
        environment=ENV,
        jobs=os.cpu_count() or 1,
        report=print,
    )


def ask(root: FreezeRoot, folder: Path, *words: str) -> str:
    return buildroot.run_in(root, words, shared=[folder], environment=ENV, seconds=120, cwd=folder).stdout


def test_its_python_has_every_module_and_the_versions_that_the_recipe_pins(
    root: FreezeRoot, recipe: Recipe, tmp_path: Path
) -> None:
    """A module whose library was not found is left out by CPython's build without a word."""
    said = json.loads(ask(root, tmp_path, root.python, "-I", "-c", ASK))
    pinned = {source.name: source.version.partition("-")[0] for source in recipe.settings.source}
    assert {name: said.pop(name) for name in pinned} == pinned
    assert said.pop("tls") == [True, True, False]
    assert said.pop("local") == "127.0.0.1"
    assert said.pop("digests") == []
    assert all(said.values()), said


def test_every_file_of_it_runs_on_the_promised_c_library(root: FreezeRoot) -> None:
    """Also the libraries of Debian's that a bundle takes with it; no file names a folder to look for others in."""
    found = {path: elf.read_elf(path.read_bytes()) for path in elf.find_elves(root.root)}
    assert len(found) > 100
    built = root.root / Path(root.python).parts[1]
    assert [path for path, each in found.items() if each.glibc > root.glibc] == []
    assert [path for path, each in found.items() if each.architecture != HOST.architecture] == []
    assert [path for path, each in found.items() if each.search and path.is_relative_to(built)] == []


def test_no_file_of_it_names_a_place_of_the_machine_that_made_it(root: FreezeRoot) -> None:
    """Not in code, not in a debug section, not in a compiled module."""
    places = [str(place).encode() for place in (CACHE, ROOT, Path.home() / ".cache")]
    files = [path for path in root.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if any(place in path.read_bytes() for place in places)] == []


def freeze_in(root: FreezeRoot, folder: Path) -> Path:
    """Freeze a program that uses all of the libraries, by the root's Python, in a workspace of its own."""
    python = root.interpreter((folder, CACHE), ENV)
    pins = locks.select_pins(
        locks.parse_lock((ROOT / "requirements.lock").read_text(encoding="utf-8")), pyinstaller.DISTRIBUTIONS
    )
    markers = read_markers(python, env=ENV)
    wanted = [pin for pin in pins if pin.applies(markers)]
    environment = provide_virtualenv(wanted, interpreter=python, cache=folder, env=ENV, report=lambda _: None)
    (folder / "program.py").write_text(ASK, encoding="utf-8")
    plan = FreezePlan("program", "lib", str(folder / "program.py"), (str(folder),), optimize=2, compression=9)
    work = folder / "work"
    work.mkdir()
    return pyinstaller.freeze(plan, python=environment, env=ENV, source_date_epoch=1, work=work).folder


def test_another_library_makes_another_python(root: FreezeRoot, tmp_path: Path) -> None:
    """A bundle takes OpenSSL too, so one of another root is not current, though the interpreter is the same."""
    other = replace(root, digest="another")
    ours, theirs = (each.interpreter((tmp_path,), ENV) for each in (root, other))
    assert ours.identity != theirs.identity
    assert (ours.target, Path(ours.library).parent) == (HOST, Path(root.python).parents[1] / "lib")


def test_what_is_frozen_in_it_runs_outside_and_is_the_same_from_any_workspace(root: FreezeRoot, tmp_path: Path) -> None:
    """The floor holds for all that PyInstaller gathered, its own loader among it."""
    folder = freeze_in(root, tmp_path / "one")
    said = json.loads(subprocess.run([folder / "program"], env={}, check=True, capture_output=True).stdout)
    assert (said["whole"], said["ciphers"], said["digests"]) == (True, True, [])
    found = {path: elf.read_elf(path.read_bytes()) for path in elf.find_elves(folder)}
    assert [path for path, each in found.items() if each.glibc > root.glibc] == []
    assert [path for path, each in found.items() if each.search] == []
    another = freeze_in(root, tmp_path / "another place")
    assert scan_files(folder) == scan_files(another)
