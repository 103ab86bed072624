"""Make the root in which frozen Linux parts are made: once for a recipe, whole or not at all, the same on any machine."""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.errors import DownloadError, ForeignTargetError, GateError
from stigmer_packaging.naming import Target
from stigmer_packaging.tools import buildroot, command, debian, digest, elf, http
from stigmer_packaging.tools.buildroot import FreezeRoot
from stigmer_packaging.tools.debian import Archives
from stigmer_packaging.tools.rootrecipe import Recipe, Source

SECONDS = 1800  # for each step of the build
_SEAL = "sha256"  # beside the finished root: the digest of all its files
_FETCHERS = 4


@dataclass(frozen=True)
class Making:
    """One root in the making, below `folder`: the recipe, and what the machine gives to it."""

    recipe: Recipe
    folder: Path
    downloads: Path
    archives: Archives
    jobs: int
    report: Callable[[str], None]

    @property
    def root(self) -> Path:
        """The root that will be kept."""
        return self.folder / "root"

    @property
    def builder(self) -> Path:
        """The root with the compilers, thrown away at the end."""
        return self.folder / "builder"


def prepare_freeze_root(
    recipe: Recipe,
    *,
    host: Target,
    cache: Path,
    archives: Callable[[], Archives],
    environment: Mapping[str, str],
    jobs: int,
    report: Callable[[str], None],
) -> FreezeRoot:
    """Give the root that this recipe describes, made if the cache has it not, or has it damaged.

    It appears under its recipe's digest by one rename, so a run that was killed leaves nothing that is taken for whole.
    `archives` is asked only if something is to be downloaded; downloads stay in the cache. Raise ForeignTargetError on
    another platform, MissingToolError where bubblewrap is not or may not, DownloadError when the archives give other
    bytes than those pinned.
    """
    if recipe.target != host:
        raise ForeignTargetError(f"the freeze root for {recipe.target} cannot be made or used on {host}")
    place = cache / "freeze-root" / recipe.digest[:20]
    with _alone(place.with_suffix(".lock")):
        if not is_whole(place):
            report(f"making the freeze root for {recipe.target}: some minutes, once")
            part = place.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            make_root(Making(recipe, part, cache / "freeze-root" / "downloads", archives(), jobs, report), environment)
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
        root = place / "root"
        buildroot.require_entry(root, environment)
    glibc = tuple(map(int, recipe.settings.glibc.split(".")))
    return FreezeRoot(root, recipe.settings.python, glibc, recipe.digest)


def is_whole(place: Path) -> bool:
    """Tell whether a root is there and every byte of it is what it was when it was made."""
    seal = place / _SEAL
    return seal.is_file() and seal.read_text(encoding="ascii") == digest.sha256_of_tree(place / "root", ignored=())


def make_root(making: Making, environment: Mapping[str, str]) -> None:
    """Download, unpack, build, check and seal, in a folder of its own."""
    files = download_all(making)
    for name, root in (("freeze", making.root), ("build", making.builder)):
        making.report(f"unpacking the packages of the {name} root")
        unpack_root(making, name, root, files)
    buildroot.require_entry(making.builder, environment)
    for source in making.recipe.settings.source:
        build_source(making, source, files, environment)
    finish_root(making, environment)
    shutil.rmtree(making.builder)
    (making.folder / _SEAL).write_text(digest.sha256_of_tree(making.root, ignored=()), encoding="ascii")


def download_all(making: Making) -> dict[str, Path]:
    """Fetch every pinned file, and give each by its path on the mirror."""
    pinned = {package.path: package.sha256 for package in making.recipe.packages}
    for source in making.recipe.settings.source:
        pinned |= source.files
    making.report(f"downloading {len(pinned)} files")

    def fetch(path: str) -> Path:
        try:
            return http.download(making.archives.url(path), pinned[path], making.downloads / path.rsplit("/", 1)[-1])
        except DownloadError as error:
            remedy = "the mirror may have moved on to another version: move the pin in packaging/freeze-root, or name another mirror"
            raise DownloadError(str(error), remedy) from error

    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        return dict(zip(pinned, fetchers.map(fetch, pinned), strict=True))


def unpack_root(making: Making, name: str, root: Path, files: Mapping[str, Path]) -> None:
    """Lay the packages of one root out, and add what their scripts would have added."""
    root.mkdir()
    for package in making.recipe.packages:
        if name in package.roots:
            debian.unpack_package(files[package.path], root)
    for link, points_at in making.recipe.settings.links.items():
        if (root / link).parent.joinpath(points_at).exists():
            (root / link).symlink_to(points_at)
    for path, text in making.recipe.settings.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def build_source(making: Making, source: Source, files: Mapping[str, Path], environment: Mapping[str, str]) -> None:
    """Unpack a source, apply its patches and run its script, all inside the build root."""
    making.report(f"building {source.package} {source.version}")
    work = making.folder / "work"
    work.mkdir()
    names = []
    for path in source.files:
        shutil.copy2(files[path], work)
        names.append(path.rsplit("/", 1)[-1])
    upstream, patched = names
    (work / "build.sh").write_text(making.recipe.scripts[source.name], encoding="utf-8")
    patches = " ".join(source.patches)
    unpack = (
        f"mkdir source && tar -xf {upstream} -C source --strip-components=1 && tar -xf {patched} -C source && cd source && "
        f"for name in {patches}; do patch --strip=1 --silent --input=debian/patches/$name; done"
    )
    folders = {"/build": work}
    _run(making, making.builder, ["sh", "-euc", unpack], folders, "/build", environment)
    _run(making, making.builder, ["sh", "-eu", "/build/build.sh"], folders, "/build/source", environment)
    shutil.rmtree(work)


def finish_root(making: Making, environment: Mapping[str, str]) -> None:
    """Take what was built over, check it, and leave out of /etc and /var what is Debian's alone."""
    built = making.recipe.settings.prefix.lstrip("/")
    shutil.copytree(making.builder / built, making.root / built, symlinks=True)
    check_glibc(making.root / built, making.recipe.settings.glibc)
    _run(making, making.root, ["ldconfig"], {}, "/", environment)
    shutil.rmtree(making.root / "var")
    kept = {"etc/ld.so.cache", *making.recipe.settings.files}
    for entry in (making.root / "etc").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif f"etc/{entry.name}" not in kept:
            entry.unlink()


def check_glibc(root: Path, floor: str) -> None:
    """Raise GateError if a file of ours needs a newer C library than the recipe promises."""
    highest = tuple(map(int, floor.split(".")))
    found = (elf.read_elf(path) for path in elf.find_elves(root))
    above = [f"{each.path.relative_to(root)} needs {each.glibc}" for each in found if each.glibc > highest]
    if above:
        raise GateError(f"the freeze root promises glibc {floor}:\n  " + "\n  ".join(above))


def _run(
    making: Making, root: Path, words: list[str], folders: dict[str, Path], work: str, environment: Mapping[str, str]
) -> None:
    settled = {
        "ARCHITECTURE": making.recipe.target.architecture,
        "JOBS": str(making.jobs),
        "LC_ALL": "C.UTF-8",
        "PREFIX": making.recipe.settings.prefix,
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(making.recipe.settings.epoch),
    }
    inside = buildroot.enter_to_change(root, folders=folders, work=work, variables=settled)
    command.run([*inside, *words], env=environment, seconds=SECONDS)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel lets go of it when we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
