"""Opens the product's source tree, by path or git ref, and builds Go executables from it."""

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
"""Names in a work tree that no build uses."""

PREPARING = 1800
"""Timeout of each command that prepares a tree, in seconds."""


@dataclass(frozen=True)
class Tree:
    """A source tree to build from: its path, and the sha256 of its content."""

    path: Path
    sha256: str


def open_tree(
    checkout: str,
    workspace: Workspace,
    *,
    env: Mapping[str, str],
    prepare: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> Tree:
    """Return the tree at `PATH` in place, or the commit of `PATH@REF`, written into the workspace.

    With commands in `prepare`, it is a copy in which they were run. SourceError if the folder or the ref does not
    exist, the folder is not a git repository, or a command fails.
    """
    path, ref = split_checkout(checkout)
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder", "pass an existing source tree: --checkout PATH or PATH@REF")
    if ref:
        path = _committed(path, ref, workspace, env)
    tree = Tree(path, digest.sha256_of_tree(path, ignored=IGNORED))
    return _prepare(tree, prepare, workspace, env, report) if prepare else tree


def _prepare(
    tree: Tree, commands: Sequence[str], workspace: Workspace, env: Mapping[str, str], report: Callable[[str], None]
) -> Tree:
    """Return a copy of the tree in which the commands were run; its sha256 is that of the tree and the commands."""
    sha256 = digest.sha256_of_value(tree.sha256, list(commands))

    def prepare(staging: Path) -> Path:
        ignored = shutil.ignore_patterns(*IGNORED)
        folder = copy_tree(tree.path, staging / "tree", symlinks=True, ignore=ignored)
        for line in commands:
            report(f"preparing the source tree: {line}")
            command.run(shlex.split(line), cwd=folder, env=env, seconds=PREPARING)
        return folder

    remedy = "correct the tree, or `prepare` in the manifest"
    with command.translate_failure(SourceError, "the source tree could not be prepared", remedy):
        path = make_once(workspace.path(f"checkouts/prepared-{sha256[:20]}"), prepare, checked=True)
    return Tree(path, sha256)


def split_checkout(checkout: str) -> tuple[Path, str]:
    """Split `PATH@REF` into an absolute path and a ref, empty if there is none; an existing path may contain an @."""
    path, _, ref = checkout.rpartition("@")
    if not path or Path(checkout).is_dir():
        return Path(checkout).absolute(), ""
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
        """Return the tree's digest, the package and Go's version."""
        return {"tree": self.tree.sha256, "package": self.source.package, "go": self.go.version}

    def fetch(self, destination: Path) -> None:
        """Build the package, which must be in the tree: see check_packages."""
        self.go.report(f"building {self.source.package} with Go {self.go.version}")
        self.go.build(self.tree.path, self.source.package, destination, target=self.target)
