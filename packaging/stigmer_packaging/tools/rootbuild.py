"""The making of a freeze root: what is pinned is downloaded, unpacked, built and checked, all below one folder."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.binaries import elf
from stigmer_packaging.errors import GateError
from stigmer_packaging.tools import buildroot, command, debian
from stigmer_packaging.tools.buildroot import WORK
from stigmer_packaging.tools.debian import Archives
from stigmer_packaging.tools.rootrecipe import Recipe, Source

SECONDS = 3600  # for each step of the build
CROSS = "cross"
"""The packages that are laid over the build root where it is emulated: its compilers, as programs of this machine."""

_FETCHERS = 4
_UNPACK = """
mkdir source
tar -xf "$1" -C source --strip-components=1
tar -xf "$2" -C source
cd source
shift 2
for name; do patch --strip=1 --silent --input="debian/patches/$name"; done
"""


@dataclass(frozen=True)
class Making:
    """One root in the making, below the empty `folder`: the recipe, and what the machine gives to it.

    Files that are `downloads` already are not fetched again; `jobs` is how many compilers run at once. `emulator` are the
    words without which the root's programs do not run here.
    """

    recipe: Recipe
    folder: Path
    downloads: Path
    archives: Archives
    environment: Mapping[str, str]
    jobs: int
    report: Callable[[str], None]
    emulator: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The root that will be kept."""
        return self.folder / "root"

    @property
    def builder(self) -> Path:
        """The root with the compilers, thrown away at the end."""
        return self.folder / "builder"

    def built_in(self, root: Path) -> Path:
        """Give the folder of a root into which everything is built."""
        return root / self.recipe.settings.prefix.lstrip("/")


def make_root(making: Making) -> Path:
    """Download, unpack, build and check; give the root's folder, the only one that is left."""
    files = download_all(making)
    for name, root in (("freeze", making.root), ("build", making.builder)):
        making.report(f"unpacking the packages of the {name} root")
        unpack_root(making, name, root, files)
    if making.emulator:
        add_packages(making, CROSS, making.builder, files)
    buildroot.require_entry(making.builder, making.environment, making.emulator)
    for source in making.recipe.settings.source:
        build_source(making, source, files)
    finish_root(making)
    shutil.rmtree(making.builder)
    return making.root


def download_all(making: Making) -> dict[str, Path]:
    """Fetch every pinned file, and give each by its path on the mirror."""
    pinned = {package.path: package.sha256 for package in making.recipe.packages}
    for source in making.recipe.settings.source:
        pinned |= source.files
    making.report(f"downloading {len(pinned)} files")

    def fetch(path: str) -> Path:
        return debian.download(making.archives, path, pinned[path], making.downloads / path.rsplit("/", 1)[-1])

    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        return dict(zip(pinned, fetchers.map(fetch, pinned), strict=True))


def unpack_root(making: Making, name: str, root: Path, files: Mapping[str, Path]) -> None:
    """Lay the packages of one root out, and add what their scripts would have added."""
    root.mkdir()
    add_packages(making, name, root, files)
    for link, points_at in making.recipe.settings.links.items():
        if (root / link).parent.joinpath(points_at).exists():
            (root / link).symlink_to(points_at)
    for path, text in making.recipe.settings.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def add_packages(making: Making, name: str, root: Path, files: Mapping[str, Path]) -> None:
    """Lay the packages that belong to the root `name` over what is in `root`."""
    for package in making.recipe.packages:
        if name in package.roots:
            debian.unpack_package(files[package.path], root)


def build_source(making: Making, source: Source, files: Mapping[str, Path]) -> None:
    """Unpack a source, apply its patches and run its script, all inside the build root; keep its licence."""
    making.report(f"building {source.package} {source.version}")
    work = making.folder / "work"
    work.mkdir()
    upstream, patched = (Path(shutil.copy2(files[path], work)).name for path in source.files)
    (work / "build.sh").write_text(making.recipe.scripts[source.name], encoding="utf-8")
    _run(making, making.builder, ["sh", "-euc", _UNPACK, "unpack", upstream, patched, *source.patches], work, WORK)
    _run(making, making.builder, ["sh", "-eu", f"{WORK}/build.sh"], work, f"{WORK}/source")
    licence = making.built_in(making.builder) / "share" / "doc" / source.package / "copyright"
    licence.parent.mkdir(parents=True)
    shutil.copyfile(work / "source/debian/copyright", licence)
    shutil.rmtree(work)


def finish_root(making: Making) -> None:
    """Take what was built over, check it, and leave out of /etc and /var what is Debian's alone."""
    built = making.built_in(making.root)
    shutil.copytree(making.built_in(making.builder), built, symlinks=True)
    check_glibc(built, making.recipe.settings.glibc)
    _run(making, making.root, ["ldconfig"])
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
    found = ((path, elf.read_elf(path.read_bytes())) for path in elf.find_elves(root))
    above = [f"{path.relative_to(root)} needs {each.glibc}" for path, each in found if each.glibc > highest]
    if above:
        raise GateError(f"the freeze root promises glibc {floor}:\n  " + "\n  ".join(above))


def _run(making: Making, root: Path, words: list[str], work: Path | None = None, place: str = "/") -> None:
    recipe = making.recipe
    variables = {
        "ARCHITECTURE": recipe.target.architecture,
        "JOBS": str(making.jobs),
        "LC_ALL": "C.UTF-8",
        "PREFIX": recipe.settings.prefix,
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(recipe.settings.epoch),
    }
    inside = buildroot.enter_to_change(root, variables=variables, work=work, place=place)
    command.run([*making.emulator, *inside, *words], env=making.environment, seconds=SECONDS)
