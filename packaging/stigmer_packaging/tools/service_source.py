"""A Python service's source: its project, its lock, and the folders of the tree that the lock takes as they are."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.errors import SourceError
from stigmer_packaging.tools import digest
from stigmer_packaging.tools.freeze_table import FreezeTable, read_freeze_table
from stigmer_packaging.tools.locks import Pin
from stigmer_packaging.tools.project_locks import read_project_lock

IGNORED = ("__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")


@dataclass(frozen=True)
class ServiceSource:
    """One project, what it says about freezing, what it is locked to, and the folders it is built with."""

    project: Path
    table: FreezeTable
    pins: tuple[Pin, ...]
    folders: tuple[Path, ...]

    @property
    def sha256(self) -> str:
        """The digest of all of it."""
        trees = (self.project, *self.folders)
        return digest.sha256_of_value([digest.sha256_of_tree(tree, ignored=IGNORED) for tree in trees])

    def copy_to(self, place: Path) -> tuple[Path, ...]:
        """Copy it below `place`, and give the folders whose modules it is made of, its own first."""
        search = []
        for number, tree in enumerate((self.project, *self.folders)):
            copy = place / str(number)
            shutil.copytree(tree, copy, ignore=shutil.ignore_patterns(*IGNORED))
            search += [copy, *([copy / "src"] if (copy / "src").is_dir() else [])]
        return tuple(search)


def read_service_source(project: Path) -> ServiceSource:
    """Read a project; SourceError when something of it is missing or not as it must be."""
    table, locked = read_freeze_table(project), read_project_lock(project)
    folders = tuple((project / folder).resolve() for folder in locked.folders)
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise SourceError(
            f"{project}'s lock names folders that are not there: {', '.join(missing)}",
            "make them: those that are generated belong into `prepare` of packaging/manifest.yaml",
        )
    return ServiceSource(project, table, locked.pins, folders)
