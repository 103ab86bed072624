"""A Python service's source: its project, its lock, and the folders of the tree that the lock takes as they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.manifest.model import FreezeTable, FreezeValue
from stigmer_packaging.sources.freeze_table import FreezeFacts, read_freeze_table
from stigmer_packaging.sources.locks import Pin
from stigmer_packaging.sources.project_locks import read_project_lock

IGNORED = ("__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")


@dataclass(frozen=True)
class ServiceSource:
    """One project, what it says about freezing, what it is locked to, and the folders it is built with."""

    project: Path
    facts: FreezeFacts
    lock: str
    pins: tuple[Pin, ...]
    folders: tuple[Path, ...]

    @property
    def table(self) -> FreezeTable:
        """What it says about freezing."""
        return self.facts.table

    @property
    def sha256(self) -> str:
        """The digest of all that is copied of it, of its lock, and of what the manifest says about freezing it."""
        trees = [digest.sha256_of_copy(tree, _left_out) for tree in (self.project, *self.folders)]
        pins = [(pin.requirement, str(pin.marker)) for pin in self.pins]  # the lock may lie outside of the project
        return digest.sha256_of_value(trees, pins, asdict(self.table))

    def describe(self) -> Iterator[str]:
        """Say where what is frozen was read from, and what was left out."""
        yield f"how to freeze it: {self.facts.describe()}"
        yield f"its lock: {self.lock}"
        yield from self.facts.notes

    def copy_to(self, place: Path) -> tuple[Path, ...]:
        """Copy it below `place`, and give the folders whose modules it is made of, its own first."""
        search = []
        for number, tree in enumerate((self.project, *self.folders)):
            copy = place / str(number)
            copy_tree(tree, copy, ignore=_left_out)
            search += [copy, *([copy / "src"] if (copy / "src").is_dir() else [])]
        return tuple(search)


def _left_out(folder: str, names: Sequence[str]) -> set[str]:
    """Name what is not copied: what lies about in a work tree, and links that lead nowhere or back to a folder above."""
    here = Path(folder).resolve()
    links = {name for name in names if (here / name).is_symlink()}
    useless = {name for name in links if not (here / name).exists() or here.is_relative_to((here / name).resolve())}
    return {*IGNORED} & {*names} | useless


def read_service_source(
    project: Path, given: Mapping[str, FreezeValue] | None = None, *, component: str = ""
) -> ServiceSource:
    """Read a project; SourceError when something of it is missing or not as it must be.

    `given` is what the manifest says about freezing the component of that name.
    """
    facts = read_freeze_table(project, given, component=component)
    locked = read_project_lock(project, facts.table.lock)
    folders = tuple((project / folder).resolve() for folder in locked.folders)
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        remedy = "make them: those that are generated belong into `prepare` of the manifest"
        raise SourceError(f"{project}'s lock names folders that are not there: {', '.join(missing)}", remedy)
    return ServiceSource(project, facts, locked.name, locked.pins, folders)
