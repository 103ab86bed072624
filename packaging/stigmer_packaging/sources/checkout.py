"""A Stigmer source tree, given by path or by git ref, and the Go executables built from it."""

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib import command, digest, git
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import CheckoutSource
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources.golang import Go

IGNORED = ("__pycache__", ".git", ".venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache")
"""What lies about in a work tree and is never built from."""

PREPARING = 1800
"""How long one command that prepares a tree may take, in seconds."""


@dataclass(frozen=True)
class Tree:
    """A source tree to build from: where it is, and the sha256 of all that is in it."""

    path: Path
    sha256: str


def open_tree(
    given: str,
    workspace: Workspace,
    *,
    env: Mapping[str, str],
    prepare: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> Tree:
    """Give the tree of `PATH` as it lies there, or of `PATH@REF` as committed, written into the workspace.

    With commands in `prepare` it is a copy in which they have been run. SourceError when there is no such folder, no
    such ref, the folder is no git repository, or a command failed.
    """
    path, ref = split_checkout(given)
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder", "give --checkout an existing source tree: PATH or PATH@REF")
    if ref:
        path = _committed(path, ref, workspace, env)
    found = Tree(path, digest.sha256_of_tree(path, ignored=IGNORED))
    return _prepared(found, prepare, workspace, env, report) if prepare else found


def _prepared(
    tree: Tree, commands: Sequence[str], workspace: Workspace, env: Mapping[str, str], report: Callable[[str], None]
) -> Tree:
    """Give a copy of the tree after the commands; it is known by what went into it."""
    sha256 = digest.sha256_of_value(tree.sha256, list(commands))

    def prepare(making: Path) -> Path:
        ignored = shutil.ignore_patterns(*IGNORED)
        folder = copy_tree(tree.path, making / "tree", symlinks=True, ignore=ignored)
        for line in commands:
            report(f"preparing the source tree: {line}")
            command.run(shlex.split(line), cwd=folder, env=env, seconds=PREPARING)
        return folder

    remedy = "correct the tree, or `prepare` in the manifest"
    with command.failing_as(SourceError, "the source tree could not be prepared", remedy):
        place = make_once(workspace.path(f"checkouts/prepared-{sha256[:20]}"), prepare, checked=True)
    return Tree(place, sha256)


def split_checkout(given: str) -> tuple[Path, str]:
    """Take `PATH@REF` apart; a path that exists may hold an @ itself."""
    path, at, ref = given.rpartition("@")
    if not at or not path or Path(given).is_dir():
        return Path(given).absolute(), ""
    return Path(path).absolute(), ref


def _committed(repository: Path, ref: str, workspace: Workspace, env: Mapping[str, str]) -> Path:
    commit = git.resolve(repository, ref, env=env)
    place = workspace.path(f"checkouts/{commit}")
    return make_once(place, lambda folder: git.write_tree(repository, commit, folder / "tree", env=env), checked=True)


@dataclass(frozen=True)
class FromCheckout:
    """A Go package of a source tree, built for the target."""

    source: CheckoutSource
    target: Target
    tree: Tree
    go: Go

    def facts(self) -> Mapping[str, object]:
        """Give the tree's digest, the package and Go's version."""
        return {"tree": self.tree.sha256, "package": self.source.package, "go": self.go.version}

    def fetch(self, destination: Path) -> None:
        """Build the package, which check_packages has found in the tree."""
        self.go.report(f"building {self.source.package} with Go {self.go.version}")
        self.go.build(self.tree.path, self.source.package, destination, target=self.target)
