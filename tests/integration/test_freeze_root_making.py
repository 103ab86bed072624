"""A freeze root is made whole or not at all, from pinned files alone. Real bubblewrap, a small root of this machine's programs."""

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stigmer_packaging.errors import CommandError, DownloadError, ForeignTargetError, GateError, PackagingError
from stigmer_packaging.naming import Target
from stigmer_packaging.stages.freezeroot import is_whole, prepare_freeze_root
from stigmer_packaging.tools import buildroot
from stigmer_packaging.tools.buildroot import FreezeRoot
from stigmer_packaging.tools.debian import Archives, Package
from stigmer_packaging.tools.python import plain_environment
from stigmer_packaging.tools.rootbuild import Making, make_root
from stigmer_packaging.tools.rootrecipe import Recipe, Settings, Source
from support.host_programs import program_entries
from support.tiny_packages import FakeArchive, deb_of, file_entry, place_files, serving, tar_of

HERE = Target("linux", "arm64" if os.uname().machine == "aarch64" else "amd64")
ENVIRONMENT = plain_environment(os.environ)
PACKAGE, UPSTREAM, PATCHED = (
    "pool/main/t/tools.deb",
    "pool/main/s/some_1.orig.tar.gz",
    "pool/main/s/some_1-1.debian.tar.xz",
)
PATCH = b"--- a/word\n+++ b/word\n@@ -1 +1 @@\n-wrong\n+right\n"
SCRIPT = 'mkdir -p "$PREFIX/bin"\ncp word /usr/bin/true "$PREFIX/bin/"\n'


@functools.cache
def tools() -> bytes:
    return deb_of([*program_entries(), file_entry("etc/issue", b"of Debian's\n"), file_entry("var/lib/dpkg/status")])


def no_archives() -> Archives:
    raise AssertionError("the network was asked for")


@dataclass
class Place:
    """A cache, an archive and a recipe that fit together."""

    cache: Path
    archive: FakeArchive
    recipe: Recipe
    said: list[str] = field(default_factory=list)

    def prepare(self, archives: Callable[[], Archives] | None = None) -> FreezeRoot:
        """Prepare the root as the pipeline does."""
        return prepare_freeze_root(
            self.recipe,
            host=HERE,
            cache=self.cache,
            archives=archives or (lambda: self.archive.archives),
            environment=ENVIRONMENT,
            jobs=1,
            report=self.said.append,
        )

    def run(self, root: FreezeRoot, script: str, *, seconds: float = 30) -> str:
        """Run a line inside, with one shared folder."""
        shared = self.cache / "shared"
        shared.mkdir(exist_ok=True)
        words = ["sh", "-c", script]
        done = buildroot.run_in(root, words, shared=[shared], environment=ENVIRONMENT, seconds=seconds, cwd=shared)
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a place in which nothing has been made yet."""
    upstream = tar_of([file_entry("some-1/word", b"wrong\n")], compression="gz")
    patched = tar_of([file_entry("debian/patches/right.patch", PATCH), file_entry("debian/copyright", b"free\n")])
    pins = place_files(tmp_path / "pool-of", {PACKAGE: tools(), UPSTREAM: upstream, PATCHED: patched})
    packages = (Package(PACKAGE, pins.pop(PACKAGE), ("freeze", "build")),)
    source = Source("some", "some", "1-1", ("right.patch",), pins)
    settings = Settings(
        epoch=1,
        suite="none",
        python="/made/bin/python",
        glibc="9.9",
        packages={"freeze": ["tools"], "build": ["tools"]},
        links={"usr/bin/bash": "sh", "usr/bin/other": "absent"},
        files={
            "etc/ld.so.conf": "/usr/lib\n",
            "etc/ld.so.conf.d/x.conf": "",
            "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
        },
        source=(source,),
    )
    with serving(tmp_path / "pool-of") as archive:
        yield Place(tmp_path / "cache", archive, Recipe(HERE, settings, packages, {"some": SCRIPT}))


def built(root: FreezeRoot) -> str:
    return (root.root / "made/bin/word").read_text(encoding="utf-8")


def test_a_root_holds_what_the_recipe_says_and_nothing_of_how_it_was_made(place: Place) -> None:
    root = place.prepare()
    assert built(root) == "right\n"
    assert (root.root / "made/share/doc/some/copyright").read_text(encoding="utf-8") == "free\n"
    assert sorted(path.name for path in (root.root / "etc").iterdir()) == ["ld.so.cache", "ld.so.conf", "passwd"]
    assert (root.root / "usr/bin/bash").readlink() == Path("sh")
    assert not (root.root / "usr/bin/other").is_symlink()
    assert not (root.root / "var").exists()
    assert sorted(path.name for path in root.root.parent.iterdir()) == ["root", "sha256"]
    assert (root.python, root.glibc, root.digest) == ("/made/bin/python", (9, 9), place.recipe.digest)


def test_a_root_in_the_cache_needs_no_network(place: Place) -> None:
    first = place.prepare()
    assert place.prepare(no_archives) == first
    assert len(place.archive.asked) == 3


def test_the_same_recipe_makes_the_same_bytes_anywhere(place: Place, tmp_path: Path) -> None:
    elsewhere = replace(place, cache=tmp_path / "another cache")
    seals = [(each.prepare().root.parent / "sha256").read_text() for each in (place, elsewhere)]
    assert seals[0] == seals[1]


def test_a_root_that_came_out_otherwise_than_recorded_is_told(place: Place, tmp_path: Path) -> None:
    """What depended on the machine after all is seen where it is made, not when two releases are compared."""
    seal = (place.prepare().root.parent / "sha256").read_text()
    for recorded, told in (("", 0), (seal, 0), ("0" * 64, 1)):
        cache = tmp_path / f"cache for {recorded or None}"
        again = replace(place, cache=cache, recipe=replace(place.recipe, recorded=recorded), said=[])
        again.prepare()
        again.prepare()
        assert len([line for line in again.said if line.startswith("ATTENTION") and seal in line]) == told


def test_what_a_killed_run_left_is_made_anew(place: Place) -> None:
    half = place.cache / "freeze-root" / f"{place.recipe.digest[:20]}.part"
    (half / "root/made/bin").mkdir(parents=True)
    (half / "root/made/bin/word").write_text("half", encoding="utf-8")
    (half / "root/usr").symlink_to("/usr")
    of_another = half.with_name("another.part")
    of_another.mkdir()
    assert built(place.prepare()) == "right\n"
    assert not half.exists()
    assert not of_another.exists()


def test_a_run_that_fails_leaves_nothing_that_is_taken_for_whole(place: Place) -> None:
    failing = replace(place, recipe=replace(place.recipe, scripts={"some": "exit 3\n"}))
    for _ in range(2):
        with pytest.raises(CommandError):
            failing.prepare()
    assert not is_whole(place.cache / "freeze-root" / failing.recipe.digest[:20])


def break_file(root: Path) -> None:
    (root / "made/bin/word").write_text("rigth\n", encoding="utf-8")


def truncate_file(root: Path) -> None:
    os.truncate(root / "usr/bin/sh", 1000)


def remove_file(root: Path) -> None:
    (root / "etc/passwd").unlink()


def add_file(root: Path) -> None:
    (root / "made/bin/__pycache__").mkdir()
    (root / "made/bin/__pycache__/x.pyc").touch()


def remove_seal(root: Path) -> None:
    (root.parent / "sha256").unlink()


def remove_root(root: Path) -> None:
    shutil.rmtree(root)


DAMAGES = (break_file, truncate_file, remove_file, add_file, remove_seal, remove_root)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_root_is_seen_and_made_anew_from_the_downloads(place: Place, damage: Callable[[Path], None]) -> None:
    root = place.prepare()
    asked = len(place.archive.asked)
    damage(root.root)
    assert not is_whole(root.root.parent)
    assert place.prepare() == root
    assert is_whole(root.root.parent)
    assert len(place.archive.asked) == asked


def test_a_download_that_is_not_the_pinned_one_is_refused(place: Place, tmp_path: Path) -> None:
    place_files(tmp_path / "pool-of", {UPSTREAM: tar_of([file_entry("some-1/word", b"evil\n")], compression="gz")})
    with pytest.raises(DownloadError, match="has the sha256") as caught:
        place.prepare()
    assert "move the pin" in caught.value.remedy


def test_a_file_the_mirror_has_no_more_is_named(place: Place, tmp_path: Path) -> None:
    (tmp_path / "pool-of" / PATCHED).unlink()
    with pytest.raises(DownloadError, match=r"some_1-1\.debian\.tar\.xz: the server answered 404"):
        place.prepare()


def test_a_patch_that_does_not_fit_ends_the_making(place: Place, tmp_path: Path) -> None:
    pins = place_files(
        tmp_path / "pool-of", {UPSTREAM: tar_of([file_entry("some-1/word", b"other\n")], compression="gz")}
    )
    source = place.recipe.settings.source[0]
    source = replace(source, files={path: pins.get(path, pin) for path, pin in source.files.items()})
    settings = replace(place.recipe.settings, source=(source,))
    with pytest.raises(CommandError):
        replace(place, recipe=replace(place.recipe, settings=settings)).prepare()


def test_a_file_that_needs_a_newer_c_library_is_refused(place: Place) -> None:
    settings = replace(place.recipe.settings, glibc="2.0")
    with pytest.raises(GateError, match=r"bin/true needs"):
        replace(place, recipe=replace(place.recipe, settings=settings)).prepare()


def test_a_root_for_another_platform_is_refused_at_once(place: Place) -> None:
    other = Target("darwin", HERE.architecture)
    with pytest.raises(ForeignTargetError, match=str(other)):
        replace(place, recipe=replace(place.recipe, target=other)).prepare(no_archives)


def test_an_emulated_build_alone_gets_its_compilers_as_the_machines_own_programs(place: Place, tmp_path: Path) -> None:
    """Words that change nothing stand for those that emulate; what is laid over the build root is not in what is kept."""
    path = "pool/main/c/compiler.deb"
    pins = place_files(tmp_path / "pool-of", {path: deb_of([file_entry("usr/share/compiler", b"native\n")])})
    packages = (*place.recipe.packages, Package(path, pins[path], ("cross",)))
    script = 'mkdir -p "$PREFIX/bin"\ncp /usr/share/compiler "$PREFIX/bin/word"\n'
    recipe = replace(place.recipe, packages=packages, scripts={"some": script})

    def make(name: str, emulator: tuple[str, ...]) -> Path:
        (tmp_path / name).mkdir()
        given = (tmp_path / "downloads", place.archive.archives, ENVIRONMENT, 1, place.said.append, emulator)
        return make_root(Making(recipe, tmp_path / name, *given))

    root = make("emulated", ("env",))
    assert (root / "made/bin/word").read_text(encoding="utf-8") == "native\n"
    assert not (root / "usr/share/compiler").exists()
    with pytest.raises(CommandError, match="exit code 1"):
        make("native", ())


def test_a_build_sees_no_network_and_nothing_of_our_environment(place: Place) -> None:
    script = 'mkdir -p "$PREFIX"\nenv > "$PREFIX/env"\ncat /proc/net/dev > "$PREFIX/net"\n'
    place = replace(place, recipe=replace(place.recipe, scripts={"some": script}))
    made = place.prepare().root / "made"
    names = {line.split("=")[0] for line in (made / "env").read_text(encoding="utf-8").splitlines()}
    told = {"ARCHITECTURE", "HOME", "JOBS", "LC_ALL", "PATH", "PREFIX", "PYTHONHASHSEED", "SOURCE_DATE_EPOCH"}
    assert names - {"PWD", "_", "OLDPWD", "SHLVL"} == told
    assert [line.split(":")[0].strip() for line in (made / "net").read_text().splitlines()[2:]] == ["lo"]


def test_a_program_inside_sees_shared_folders_at_their_own_places_and_changes_nothing_else(place: Place) -> None:
    root = place.prepare()
    shared = place.cache / "shared"
    assert place.run(root, "pwd; echo made > here; cat /made/bin/word") == f"{shared}\nright\n"
    assert (shared / "here").read_text() == "made\n"
    for target in ("/made/bin/word", "/usr/bin/x", "/etc/passwd", f"{root.root}/etc/passwd"):
        with pytest.raises(CommandError, match="Read-only file system"):
            place.run(root, f"echo evil > {target}")
    assert is_whole(root.root.parent)


def test_a_program_inside_is_killed_whole_when_its_time_is_over(place: Place) -> None:
    root = place.prepare()
    with pytest.raises(CommandError, match="did not end within"):
        place.run(root, "(sleep 600; echo late > late) & echo $$ > pid; sleep 600", seconds=2)
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x00600" in _read(path)]
    assert [path for path in running if str(place.cache).encode() in _read(path.with_name("environ"))] == []
    assert not (place.cache / "shared/late").exists()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_without_bubblewrap_it_is_said_what_to_install(place: Place, tmp_path: Path) -> None:
    with pytest.raises(PackagingError) as caught:
        buildroot.require_entry(place.prepare().root, {"PATH": str(tmp_path)})
    assert "install bubblewrap" in caught.value.remedy


def test_where_bubblewrap_may_not_it_is_said_what_an_administrator_can_do(place: Place, tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n", encoding="utf-8"
    )
    refusing.chmod(0o755)
    with pytest.raises(PackagingError, match="uid map: Permission denied") as caught:
        buildroot.require_entry(place.prepare().root, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert "an administrator" in caught.value.remedy
