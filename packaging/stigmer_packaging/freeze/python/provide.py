"""The frozen CPython of a target, from the cache or made: once for a recipe, whole or not at all, the same on any machine."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from stigmer_packaging.freeze.python import cpython, finish, libraries, sources
from stigmer_packaging.freeze.python.build import Build, copy_into, prepare_folder
from stigmer_packaging.freeze.python.recipe import AMALGAMATION, Recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.cache import alone, make_once
from stigmer_packaging.lib.debian import Archives
from stigmer_packaging.lib.errors import MissingToolError, RecordError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.records.text import parse_record, render_record
from stigmer_packaging.sources import wheel

FOLDER = "freeze-python"
"""Of the cache: finished Pythons by their digests, downloads, and the compiler."""

HOST_FORMAT = 1
"""Counts how what all builds on a machine share is made: it takes minutes and changes no result, so code does not count."""

_CODE = ("build.py", "cpython.py", "finish.py", "libraries.py", "sources.py")
_RECORD = "tree.json"
_NAMES = 20  # characters of a digest that name a folder


@dataclass(frozen=True)
class BuildSettings:
    """What a machine gives to the making: its platform, its cache, a Debian mirror, and how many compilers run at once.

    `host_recipe` is the recipe for the machine's own platform.
    """

    host_recipe: Recipe
    cache: Path
    archives: Callable[[], Archives]
    environment: Mapping[str, str]
    jobs: int
    report: Callable[[str], None]

    @property
    def host(self) -> Target:
        """The machine's platform."""
        return self.host_recipe.target

    @property
    def folder(self) -> Path:
        """The folder in the cache."""
        return self.cache / FOLDER


@dataclass(frozen=True)
class _Made:
    """What was measured of a finished Python, and the sha256 of its files."""

    floor: str
    builtins: tuple[str, ...]
    sha256: str


def provide_python(recipe: Recipe, maker: BuildSettings, *, make: Callable[..., None] | None = None) -> PythonTree:
    """Give the CPython that this recipe describes, made if the cache has it not, or has it damaged.

    `make` leaves its result in the folder `tree` below an empty folder; by default `make_tree`. Raise MissingToolError
    where the compiler does not run, DownloadError when a mirror has other bytes than those pinned, GateError when a
    module is missing or a file needs a newer system than the recipe promises.
    """
    key, place = digest_of(recipe), place_of(recipe, maker.cache)

    def make_new(work: Path) -> Path:
        maker.report(f"making Python {recipe.version} for {recipe.target}: some minutes, once")
        (make or make_tree)(recipe, maker, work)
        return work / "tree"

    with alone(place):
        tree = read_tree(recipe, place, key)
        if tree is None and place.exists():
            shutil.rmtree(place)
    if tree := tree or read_tree(recipe, make_once(place, make_new), key):
        return tree
    raise RecordError(f"{place} changed while it was made", f"remove {place}, and run again")


def provide_host_parts(maker: BuildSettings) -> Path:
    """Give the folder of what all builds on this machine share, made if it is not there.

    It holds a CPython that runs here, and SQLite's one file in `sqlite`.
    """
    recipe = maker.host_recipe
    used = [recipe.find_source(name) for name in (recipe.cpython.source, "sqlite")]
    key = digest.sha256_of_value(HOST_FORMAT, [asdict(source) for source in used], asdict(recipe.toolchain))
    place = maker.folder / f"host-{maker.host}-{key[:_NAMES]}"
    return make_once(place, partial(_make_host_parts, maker))


def digest_of(recipe: Recipe) -> str:
    """Give the digest by which a finished Python is known: of its recipe, with its target, and of the code that makes it."""
    code = [digest.sha256_of(Path(__file__).with_name(name)) for name in _CODE]
    return digest.sha256_of_value(recipe.digest, digest.sha256_of_value(code))


def place_of(recipe: Recipe, cache: Path) -> Path:
    """Give the folder of a finished Python in the cache."""
    return cache / FOLDER / digest_of(recipe)[:_NAMES]


def read_tree(recipe: Recipe, place: Path, key: str) -> PythonTree | None:
    """Give the Python in a folder of the cache if every byte of it is what it was when it was made."""
    record, prefix = place / _RECORD, place / "prefix"
    try:
        said = parse_record(record.read_bytes(), _Made, str(record))
    except (FileNotFoundError, RecordError):
        return None
    if digest.sha256_of_tree(prefix) != said.sha256:
        return None
    return PythonTree(recipe, prefix, said.floor, said.builtins, said.sha256, key)


def make_tree(recipe: Recipe, maker: BuildSettings, work: Path) -> None:
    """Build everything below `work`; what is kept is in its folder `tree`."""
    host = provide_host_parts(maker)
    build = open_build(recipe, maker, work)
    (work / "host").symlink_to(host)  # its own name says which machine this is
    copy_into([host / "sqlite" / name for name in ("sqlite3.c", "sqlite3.h")], build.source(AMALGAMATION))
    unpack_sources(build, maker, [source.name for source in recipe.source if source.name != "sqlite"])
    for library in recipe.library:
        libraries.build_library(build, library)
    libraries.build_openssl(build)
    python = work / "host" / "bin" / f"python{recipe.major_minor}"
    cpython.build_cpython(build, python)
    finish.finish(build, python)
    _keep_licences(build, maker)
    floor = finish.measure_floor(build.outcome, recipe.target, recipe.platform.floor)
    record_tree(build.outcome, floor, cpython.builtin_modules(build.source(recipe.cpython.source)), work / "tree")


def record_tree(prefix: Path, floor: str, builtins: list[str], tree: Path) -> None:
    """Move what was made to a folder, with what was measured of it beside it."""
    said = _Made(floor, tuple(builtins), digest.sha256_of_tree(prefix))
    tree.mkdir()
    (tree / _RECORD).write_text(render_record(said), encoding="utf-8")
    prefix.rename(tree / "prefix")


def _make_host_parts(maker: BuildSettings, work: Path) -> Path:
    build = open_build(maker.host_recipe, maker, work)
    unpack_sources(build, maker, [maker.host_recipe.cpython.source, "sqlite"])
    cpython.build_host_python(build)
    libraries.build_amalgamation(build, build.outcome / "sqlite")
    return build.outcome


def open_build(recipe: Recipe, maker: BuildSettings, work: Path) -> Build:
    """Give a build below the empty folder `work`, with the compiler in it."""
    zig = provide_compiler(maker)
    build = Build(recipe, work, zig, maker.folder / "zig-cache", maker.environment, maker.jobs, maker.report)
    prepare_folder(build)
    return build


def provide_compiler(maker: BuildSettings) -> Path:
    """Give zig for this machine, from its pinned wheel; MissingToolError when none is pinned for this platform."""
    pin = maker.host_recipe.toolchain
    if str(maker.host) not in pin.sha256:
        raise MissingToolError(f"no {pin.distribution} is pinned for {maker.host}", "make the Python on Linux")
    place = maker.folder / f"{pin.distribution}-{pin.version}-{pin.sha256[str(maker.host)][:_NAMES]}"

    def unpack(folder: Path) -> Path:
        file = wheel.fetch_wheel(pin, maker.host, maker.cache, env=maker.environment, report=maker.report)
        wheel.extract_all(file, folder / "wheel")
        (folder / "wheel" / pin.distribution / "zig").chmod(0o755)
        return folder / "wheel"

    return make_once(place, unpack) / pin.distribution / "zig"


def unpack_sources(build: Build, maker: BuildSettings, names: list[str]) -> None:
    """Download what the recipe pins, and unpack and patch the named sources."""
    build.report("unpacking the sources")
    files = sources.download_sources(build.recipe, maker.folder / "downloads", maker.archives)
    for name in names:
        sources.unpack_source(build.recipe.find_source(name), files, build.source(name), build.variables)


def _keep_licences(build: Build, maker: BuildSettings) -> None:
    for source in build.recipe.source:
        folder = build.source(source.name)
        if not folder.is_dir():  # SQLite, which is compiled from what was made before
            files = sources.download_sources(build.recipe, maker.folder / "downloads", maker.archives)
            sources.unpack_archive(files[list(source.files)[1]], folder)
        sources.keep_licence(source, folder, build.outcome)
