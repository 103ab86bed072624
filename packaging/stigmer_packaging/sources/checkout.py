"""A Stigmer source tree, given by path or by git ref, and the Go executables built from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.errors import SourceError
from stigmer_packaging.manifest_records import CheckoutSource, GoToolchain
from stigmer_packaging.naming import Target
from stigmer_packaging.tools import digest, git, golang
from stigmer_packaging.workspace import Workspace

IGNORED = ("__pycache__", ".git", ".venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache")
"""What lies about in a work tree and is never built from."""


@dataclass(frozen=True)
class Tree:
    """A source tree to build from: where it is, and the sha256 of all that is in it."""

    path: Path
    sha256: str


def open_tree(given: str, workspace: Workspace, *, env: Mapping[str, str]) -> Tree:
    """Give the tree of `PATH` as it lies there, or of `PATH@REF` as committed, written into the workspace.

    SourceError when there is no such folder, no such ref, or the folder is no git repository.
    """
    path, ref = split_checkout(given)
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder", "give --checkout an existing source tree: PATH or PATH@REF")
    if ref:
        path = _committed(path, ref, workspace, env)
    return Tree(path, digest.sha256_of_tree(path, ignored=IGNORED))


def split_checkout(given: str) -> tuple[Path, str]:
    """Take `PATH@REF` apart; a path that exists may hold an @ itself."""
    path, at, ref = given.rpartition("@")
    if not at or not path or Path(given).is_dir():
        return Path(given).absolute(), ""
    return Path(path).absolute(), ref


def _committed(repository: Path, ref: str, workspace: Workspace, env: Mapping[str, str]) -> Path:
    commit = git.resolve(repository, ref, env=env)
    relative = f"checkouts/{commit}"
    if not workspace.path(relative).is_dir():
        with workspace.staging() as staged:
            git.write_tree(repository, commit, staged / "tree", env=env)
            workspace.publish(staged / "tree", relative)
    return workspace.path(relative)


@dataclass(frozen=True)
class FromCheckout:
    """A Go package of a source tree, built for the target. `host` is the platform of this machine."""

    source: CheckoutSource
    target: Target
    host: Target
    tree: Tree
    toolchain: GoToolchain
    go: golang.Go
    cache: Path
    env: Mapping[str, str]
    report: Callable[[str], None]

    def facts(self) -> Mapping[str, object]:
        """Give the tree's digest, the package and Go's version."""
        return {"tree": self.tree.sha256, "package": self.source.package, "go": self.go.version}

    def fetch(self, destination: Path) -> None:
        """Build the package; SourceError when the tree has no such folder."""
        if not (self.tree.path / self.source.package).is_dir():
            raise SourceError(f"the tree {self.tree.path} has no folder {self.source.package}")
        program = golang.provide_go(self.go, self.toolchain, self.host, self.cache, env=self.env, report=self.report)
        self.report(f"building {self.source.package} with Go {self.go.version}")
        golang.build(program, self.tree.path, self.source.package, destination, target=self.target, env=self.env)
