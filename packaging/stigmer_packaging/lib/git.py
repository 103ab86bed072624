"""git: resolve refs, write the exact tree of a commit, list tracked files, create repositories."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import SourceError

_AS_COMMITTED = (
    "core.autocrlf=false",
    "core.eol=lf",
    "core.symlinks=true",
    "core.attributesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
)
"""Overrides of user settings that make git write other bytes than were committed, or run the user's own programs."""


def resolve(repository: Path, ref: str, *, env: Mapping[str, str]) -> str:
    """Return the full commit that a ref names; SourceError if the folder is not a repository or has no such ref."""
    revision = f"{ref}^{{commit}}"
    argv = ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet", "--end-of-options", revision]
    result = command.run(argv, env=env, check=False)
    if result.code != 0:
        reason = result.stderr.strip() or f"it has no ref {ref!r}"
        raise SourceError(f"{repository} is not a usable checkout: {reason}")
    return result.stdout.strip()


def write_tree(repository: Path, commit: str, destination: Path, *, env: Mapping[str, str]) -> Path:
    """Write the files of a commit to the new folder `destination` and return it; index and work tree stay unchanged.

    This uses a separate index instead of `git archive`, which omits files marked `export-ignore`. The bytes do not
    depend on the user's settings for line endings, links and attributes files; a filter that the tree names is the
    user's own.
    """
    destination.mkdir(parents=True)
    index = destination.parent / f"{destination.name}.index"
    git_env = {**env, "GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(destination)}
    folder = command.run(["git", "-C", repository, "rev-parse", "--absolute-git-dir"], env=env).stdout.strip()
    overrides = [word for setting in _AS_COMMITTED for word in ("-c", setting)]
    with command.translate_failure(SourceError, f"the tree of {commit} could not be written"):
        for words in (["read-tree", commit], ["checkout-index", "--all", "--quiet"]):
            command.run(["git", f"--git-dir={folder}", *overrides, *words], env=git_env, cwd=destination, seconds=600)
    return destination


def list_tracked(repository: Path, paths: Sequence[str], *, env: Mapping[str, str]) -> tuple[str, ...]:
    """List the existing files below `paths` that git tracks; empty if the folder is not a repository.

    SourceError if git refuses to read the repository, such as another user's: then the tracked files are not known.
    """
    argv = ["git", "-C", str(repository), "ls-files", "-z", "--", *paths]
    listed = command.run(argv, env=env, check=False)
    if listed.code != 0 and "not a git repository" not in listed.stderr:
        remedy = "correct what git's message above names"
        raise SourceError(f"git cannot list the files of {repository}: {listed.stderr.strip()}", remedy)
    return tuple(name for name in listed.stdout.split("\0") if name and (repository / name).is_file())


def find_commit(repository: Path, paths: Sequence[str], *, env: Mapping[str, str]) -> str:
    """Return the commit of a work tree; empty if anything below `paths` is changed or untracked, or outside git."""
    git = ["git", "-C", str(repository)]
    changes = command.run([*git, "status", "--porcelain", "--", *paths], env=env, check=False)
    head = command.run([*git, "rev-parse", "--verify", "--quiet", "HEAD"], env=env, check=False)
    return "" if changes.code or changes.stdout or head.code else head.stdout.strip()


def start_repository(folder: Path, message: str, *, author: str, env: Mapping[str, str]) -> None:
    """Turn a folder into a repository whose branch `main` has one commit with all its files.

    The author is the user that git is configured with, else `author`.
    """
    git = ["git", "-C", str(folder)]
    configured = command.run([*git, "config", "user.email"], env=env, check=False).stdout.strip()
    identity = [] if configured else ["-c", f"user.name={author}", "-c", "user.email=noreply@github.com"]
    command.run(["git", "init", "--quiet", "--initial-branch=main", folder], env=env)
    command.run([*git, "add", "--all", "--force"], env=env)  # even files that the user's global ignore file matches
    command.run([*git, *identity, "commit", "--quiet", "--message", message], env=env)
