"""git: the exact tree of a commit, written where we say."""

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
"""Settings by which a user has git write other bytes than were committed, or run something of the user's own."""


def resolve(repository: Path, ref: str, *, env: Mapping[str, str]) -> str:
    """Give the full commit a ref names; SourceError when the folder is no repository or has no such ref."""
    asked = f"{ref}^{{commit}}"
    words = ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet", "--end-of-options", asked]
    found = command.run(words, env=env, check=False)
    if found.code != 0:
        reason = found.stderr.strip() or f"it has no ref {ref!r}"
        raise SourceError(f"{repository} is not a checkout we can use: {reason}")
    return found.stdout.strip()


def write_tree(repository: Path, commit: str, destination: Path, *, env: Mapping[str, str]) -> Path:
    """Write the files of a commit below `destination`, and give it, without touching the repository's own index or work tree.

    Through an index of its own rather than `git archive`, which leaves out what `export-ignore` names. The bytes do not
    depend on the user's settings of line ends, links and attributes files; a filter that the tree names is the user's own.
    """
    destination.mkdir(parents=True)
    index = destination.parent / f"{destination.name}.index"
    private = {**env, "GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(destination)}
    folder = command.run(["git", "-C", repository, "rev-parse", "--absolute-git-dir"], env=env).stdout.strip()
    settled = [word for setting in _AS_COMMITTED for word in ("-c", setting)]
    with command.failing_as(SourceError, f"the tree of {commit} could not be written"):
        for words in (["read-tree", commit], ["checkout-index", "--all", "--quiet"]):
            command.run(["git", f"--git-dir={folder}", *settled, *words], env=private, cwd=destination, seconds=600)
    return destination


def list_tracked(repository: Path, paths: Sequence[str], *, env: Mapping[str, str]) -> tuple[str, ...]:
    """List the files below `paths` that git tracks and that are there; empty when the folder is no repository.

    SourceError when it is one that git refuses to read, such as another user's: what is tracked is not known then.
    """
    words = ["git", "-C", str(repository), "ls-files", "-z", "--", *paths]
    listed = command.run(words, env=env, check=False)
    if listed.code != 0 and "not a git repository" not in listed.stderr:
        raise SourceError(f"git does not list the files of {repository}: {listed.stderr.strip()}", "do what git says")
    return tuple(name for name in listed.stdout.split("\0") if name and (repository / name).is_file())


def find_commit(repository: Path, paths: Sequence[str], *, env: Mapping[str, str]) -> str:
    """Give the commit that a work tree has below `paths`; empty when anything there is changed or new, and without git."""
    git = ["git", "-C", str(repository)]
    changes = command.run([*git, "status", "--porcelain", "--", *paths], env=env, check=False)
    head = command.run([*git, "rev-parse", "--verify", "--quiet", "HEAD"], env=env, check=False)
    return "" if changes.code or changes.stdout or head.code else head.stdout.strip()


def start_repository(folder: Path, message: str, *, author: str, env: Mapping[str, str]) -> None:
    """Make a folder a repository whose branch `main` has one commit of all it holds.

    The commit is by whoever git knows; where it knows nobody, by `author`.
    """
    git = ["git", "-C", str(folder)]
    known = command.run([*git, "config", "user.email"], env=env, check=False).stdout.strip()
    named = [] if known else ["-c", f"user.name={author}", "-c", "user.email=noreply@github.com"]
    command.run(["git", "init", "--quiet", "--initial-branch=main", folder], env=env)
    command.run([*git, "add", "--all", "--force"], env=env)  # also what the user's own ignore file names
    command.run([*git, *named, "commit", "--quiet", "--message", message], env=env)
