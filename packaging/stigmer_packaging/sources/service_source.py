"""A Python service's source: its project, its lock, and the folders of the source tree that the lock refers to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.manifest.model import FreezeTable, FreezeValue
from stigmer_packaging.sources.freeze_table import FreezeSettings, read_freeze_table
from stigmer_packaging.sources.locks import Pin
from stigmer_packaging.sources.project_locks import read_project_lock

IGNORED = ("__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")


@dataclass(frozen=True)
class ServiceSource:
    """One project, with its freeze settings, its lock and pins, and the other folders that it is built from."""

    project: Path
    settings: FreezeSettings
    lock: str
    pins: tuple[Pin, ...]
    folders: tuple[Path, ...]

    @property
    def table(self) -> FreezeTable:
        """The freeze settings."""
        return self.settings.table

    @property
    def sha256(self) -> str:
        """The digest of everything that is copied, of the lock's pins, and of the freeze settings."""
        trees = [digest.sha256_of_copy(tree, _ignored) for tree in (self.project, *self.folders)]
        pins = [(pin.requirement, str(pin.marker)) for pin in self.pins]  # the lock may be outside of the project
        return digest.sha256_of_value(trees, pins, asdict(self.table))

    def describe(self) -> Iterator[str]:
        """Yield lines with the origin of the freeze settings, the lock, and the settings that were left out."""
        yield f"freeze settings: {self.settings.describe()}"
        yield f"lock: {self.lock}"
        yield from self.settings.notes

    def copy_to(self, place: Path) -> tuple[Path, ...]:
        """Copy all folders below `place`, and return those on the module search path, the project's own first."""
        search = []
        for number, tree in enumerate((self.project, *self.folders)):
            copy = place / str(number)
            copy_tree(tree, copy, ignore=_ignored)
            search += [copy, *([copy / "src"] if (copy / "src").is_dir() else [])]
        return tuple(search)


def _ignored(folder: str, names: Sequence[str]) -> set[str]:
    """Return the names that are not copied: those in IGNORED, broken links, and links to a folder above."""
    here = Path(folder).resolve()
    links = {name for name in names if (here / name).is_symlink()}
    bad_links = {name for name in links if not (here / name).exists() or here.is_relative_to((here / name).resolve())}
    return {*IGNORED} & {*names} | bad_links


def read_service_source(
    project: Path, from_manifest: Mapping[str, FreezeValue] | None = None, *, component: str = ""
) -> ServiceSource:
    """Read a project; SourceError if something in it is missing or wrong.

    `from_manifest` are the manifest's freeze settings of the component of that name.
    """
    settings = read_freeze_table(project, from_manifest, component=component)
    locked = read_project_lock(project, settings.table.lock)
    folders = tuple((project / folder).resolve() for folder in locked.folders)
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        remedy = "create them; if they are generated, add the command to `prepare` in the manifest"
        raise SourceError(f"{project}'s lock names folders that do not exist: {', '.join(missing)}", remedy)
    return ServiceSource(project, settings, locked.name, locked.pins, folders)
