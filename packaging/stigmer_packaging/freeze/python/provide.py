"""Provides a target's CPython: from the cache, or built once per recipe, atomically, with the same bytes anywhere."""

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
from stigmer_packaging.lib.cache import file_lock, make_once
from stigmer_packaging.lib.debian import Archives
from stigmer_packaging.lib.errors import MissingToolError, RecordError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.records.text import parse_record, render_record
from stigmer_packaging.sources import wheel

FOLDER = "freeze-python"
"""Folder in the cache, with the finished Pythons by digest, downloads, and the compiler."""

HOST_FORMAT = 1
"""Version of the host parts, to be incremented when they are built differently.

The code is not in their key: they take minutes to build, and do not affect a result.
"""

_CODE = ("build.py", "cpython.py", "finish.py", "libraries.py", "sources.py")
_RECORD = "tree.json"
_NAME_LENGTH = 20  # characters of a digest in a folder's name


@dataclass(frozen=True)
class BuildSettings:
    """A machine's settings for builds: its cache, a Debian mirror, its environment, and how many compilers run at once.

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
class _TreeRecord:
    """The record of a finished Python: measured properties, and the sha256 of its files."""

    floor: str
    builtins: tuple[str, ...]
    sha256: str


def provide_python(recipe: Recipe, settings: BuildSettings, *, make: Callable[..., None] | None = None) -> PythonTree:
    """Return the CPython of a recipe; build it if it is missing or damaged in the cache.

    `make`, by default `make_tree`, leaves its result in the folder `tree` below an empty folder. MissingToolError if
    the compiler does not run on this machine, DownloadError if a file does not have the pinned sha256, GateError if a
    module is missing or a file needs a newer system than the recipe promises.
    """
    key, place = digest_of(recipe), place_of(recipe, settings.cache)

    def make_new(work: Path) -> Path:
        settings.report(f"building Python {recipe.version} for {recipe.target}, which takes some minutes, once")
        (make or make_tree)(recipe, settings, work)
        return work / "tree"

    with file_lock(place):
        tree = read_tree(recipe, place, key)
        if tree is None and place.exists():
            shutil.rmtree(place)
    if tree := tree or read_tree(recipe, make_once(place, make_new), key):
        return tree
    raise RecordError(f"{place} changed while it was built", f"remove {place}, and run again")


def provide_host_parts(settings: BuildSettings) -> Path:
    """Return the folder of the parts that all builds on this machine share; build them if they are not in the cache.

    It contains a CPython that runs here, and SQLite's amalgamation in `sqlite`.
    """
    recipe = settings.host_recipe
    used = [recipe.find_source(name) for name in (recipe.cpython.source, "sqlite")]
    key = digest.sha256_of_value(HOST_FORMAT, [asdict(source) for source in used], asdict(recipe.toolchain))
    place = settings.folder / f"host-{settings.host}-{key[:_NAME_LENGTH]}"
    return make_once(place, partial(_make_host_parts, settings))


def digest_of(recipe: Recipe) -> str:
    """Return the digest that identifies a finished Python: of its recipe for the target and the code that builds it."""
    code = [digest.sha256_of(Path(__file__).with_name(name)) for name in _CODE]
    return digest.sha256_of_value(recipe.digest, digest.sha256_of_value(code))


def place_of(recipe: Recipe, cache: Path) -> Path:
    """Return the folder of a finished Python in the cache."""
    return cache / FOLDER / digest_of(recipe)[:_NAME_LENGTH]


def read_tree(recipe: Recipe, place: Path, key: str) -> PythonTree | None:
    """Return the Python in a folder of the cache, or None if it is missing or its files no longer match its record."""
    path, prefix = place / _RECORD, place / "prefix"
    try:
        record = parse_record(path.read_bytes(), _TreeRecord, str(path))
    except (FileNotFoundError, RecordError):
        return None
    if digest.sha256_of_tree(prefix) != record.sha256:
        return None
    return PythonTree(recipe, prefix, record.floor, record.builtins, record.sha256, key)


def make_tree(recipe: Recipe, settings: BuildSettings, work: Path) -> None:
    """Build a Python below `work`; the result is its folder `tree`."""
    host = provide_host_parts(settings)
    build = open_build(recipe, settings, work)
    (work / "host").symlink_to(host)  # so that no file contains its real path, which names this machine's platform
    copy_into([host / "sqlite" / name for name in ("sqlite3.c", "sqlite3.h")], build.source(AMALGAMATION))
    unpack_sources(build, settings, [source.name for source in recipe.source if source.name != "sqlite"])
    for library in recipe.library:
        libraries.build_library(build, library)
    libraries.build_openssl(build)
    python = work / "host" / "bin" / f"python{recipe.major_minor}"
    cpython.build_cpython(build, python)
    finish.finish(build, python)
    _keep_licences(build, settings)
    floor = finish.measure_floor(build.outcome, recipe.target, recipe.platform.floor)
    record_tree(build.outcome, floor, cpython.builtin_modules(build.source(recipe.cpython.source)), work / "tree")


def record_tree(prefix: Path, floor: str, builtins: list[str], tree: Path) -> None:
    """Move a finished Python to the new folder `tree`, and write its record there."""
    record = _TreeRecord(floor, tuple(builtins), digest.sha256_of_tree(prefix))
    tree.mkdir()
    (tree / _RECORD).write_text(render_record(record), encoding="utf-8")
    prefix.rename(tree / "prefix")


def _make_host_parts(settings: BuildSettings, work: Path) -> Path:
    build = open_build(settings.host_recipe, settings, work)
    unpack_sources(build, settings, [settings.host_recipe.cpython.source, "sqlite"])
    cpython.build_host_python(build)
    libraries.build_amalgamation(build, build.outcome / "sqlite")
    return build.outcome


def open_build(recipe: Recipe, settings: BuildSettings, work: Path) -> Build:
    """Return a prepared build below the empty folder `work`; download the compiler if it is not in the cache."""
    zig = provide_compiler(settings)
    build = Build(
        recipe, work, zig, settings.folder / "zig-cache", settings.environment, settings.jobs, settings.report
    )
    prepare_folder(build)
    return build


def provide_compiler(settings: BuildSettings) -> Path:
    """Return zig for this machine, from its pinned wheel; MissingToolError if none is pinned for this platform."""
    pin = settings.host_recipe.toolchain
    if str(settings.host) not in pin.sha256:
        raise MissingToolError(f"no {pin.distribution} is pinned for {settings.host}", "build the Python on Linux")
    place = settings.folder / f"{pin.distribution}-{pin.version}-{pin.sha256[str(settings.host)][:_NAME_LENGTH]}"

    def unpack(folder: Path) -> Path:
        file = wheel.fetch_wheel(pin, settings.host, settings.cache, env=settings.environment, report=settings.report)
        wheel.extract_all(file, folder / "wheel")
        (folder / "wheel" / pin.distribution / "zig").chmod(0o755)
        return folder / "wheel"

    return make_once(place, unpack) / pin.distribution / "zig"


def unpack_sources(build: Build, settings: BuildSettings, names: list[str]) -> None:
    """Download the files that the recipe pins, and unpack and patch the named sources."""
    build.report("unpacking the sources")
    files = sources.download_sources(build.recipe, settings.folder / "downloads", settings.archives)
    for name in names:
        sources.unpack_source(build.recipe.find_source(name), files, build.source(name), build.variables)


def _keep_licences(build: Build, settings: BuildSettings) -> None:
    for source in build.recipe.source:
        folder = build.source(source.name)
        if not folder.is_dir():  # SQLite: the amalgamation is compiled, not this source
            files = sources.download_sources(build.recipe, settings.folder / "downloads", settings.archives)
            sources.unpack_archive(files[list(source.files)[1]], folder)
        sources.keep_licence(source, folder, build.outcome)
