"""Another system's files as the root of a program, by bubblewrap: no privilege needed, nothing left mounted.

The program sees the root's files read-only, an empty /tmp and home, the network, and the folders it is given, at the
same absolute paths as outside. Source: bwrap(1), version 0.4 and later.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stigmer_packaging.errors import CommandError, MissingToolError
from stigmer_packaging.tools import command, digest
from stigmer_packaging.tools.command import Completed
from stigmer_packaging.tools.python import Interpreter, read_interpreter

WORK = "/build"
"""Where a step of a build has its own folder, inside."""

_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_APART = ("--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "freeze-root")
_EMPTY = ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run")  # noqa: S108 - inside the root
# How the machine reaches the network.
_NETWORK = ("/etc/hosts", "/etc/pip.conf", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_NAMED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT", "PIP_CONFIG_FILE", "PIP_FIND_LINKS")
_SETTINGS = (".config/pip", ".pip", ".netrc")
_REMEDY = (
    "an administrator allows it: kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, and where AppArmor "
    "restricts them kernel.apparmor_restrict_unprivileged_userns=0; or run this as root"
)


@dataclass(frozen=True)
class FreezeRoot:
    """A finished root: its folder, the path of Python inside it, the newest glibc its files need, and its digest.

    `emulator` are the words without which its programs do not run on this machine.
    """

    root: Path
    python: str
    glibc: tuple[int, ...]
    digest: str
    emulator: tuple[str, ...] = ()

    def prefix(self, shared: Sequence[Path], environment: Mapping[str, str]) -> tuple[str, ...]:
        """Give the words that enter this root when put before a command.

        The existing folders `shared` may be written, and are where they are outside. The words depend on the arguments
        alone, so with the same folders they are the same on every run. Of `environment`, HOME is used, and what names
        files by which pip finds and trusts its index.
        """
        readable = network_files(environment)
        return (*self.emulator, *enter(self.root, shared=shared, readable=readable, environment=environment))

    def interpreter(self, shared: Sequence[Path], environment: Mapping[str, str]) -> Interpreter:
        """Give this root's Python, to be run with the folders `shared`, which are made if they are not there.

        Its identity is that of the whole root, whose libraries a bundle takes too.
        """
        for folder in shared:
            folder.mkdir(parents=True, exist_ok=True)
        python = read_interpreter(self.python, env=environment, prefix=self.prefix(shared, environment))
        return replace(
            python, identity=digest.sha256_of_value(python.identity, self.digest), emulated=bool(self.emulator)
        )


def enter(
    root: Path, *, shared: Iterable[Path], readable: Iterable[Path] = (), environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Give the words that run the command after them below `root`, which stays as it is."""
    shared = tuple(shared)
    words = ["bwrap", *_APART, *_identity(), *_read_only(root, (*shared, root)), *_EMPTY]
    words += ["--dir", environment.get("HOME", "/root"), "--setenv", "PATH", _SEARCH, "--unsetenv", "TMPDIR"]
    for path in dict.fromkeys(map(str, (*_NETWORK, *readable))):
        words += ["--ro-bind-try", path, path]
    for folder in shared:
        words += ["--bind", str(folder), str(folder)]
    return (*words, "--ro-bind", str(root), str(root), "--")  # a cache that is shared holds the root itself


def enter_to_change(
    root: Path, *, variables: Mapping[str, str], work: Path | None = None, place: str = "/"
) -> tuple[str, ...]:
    """Give the words that run the command after them below `root`, which it may change, in the folder `place` of it.

    The folder `work` is WORK inside. Of the machine it sees nothing else: no network, no environment but `variables`.
    """
    words = ["bwrap", *_APART, "--unshare-net", *_identity(), "--bind", str(root), "/", *_EMPTY, "--clearenv"]
    words += ["--bind", str(work), WORK] if work else []
    for name, value in {"PATH": _SEARCH, "HOME": "/root", **variables}.items():
        words += ["--setenv", name, value]
    return (*words, "--chdir", place, "--")


def run_in(
    root: FreezeRoot,
    words: Sequence[str | Path],
    *,
    shared: Sequence[Path],
    environment: Mapping[str, str],
    seconds: float,
    cwd: Path | None = None,
) -> Completed:
    """Run a program inside, to its end. CommandError on failure or after `seconds`, and then nothing of it is left."""
    inside = [*root.prefix(shared, environment), *words]
    return command.run(inside, env=environment, cwd=cwd, seconds=seconds)


def require_entry(root: Path, environment: Mapping[str, str], emulator: Sequence[str] = ()) -> None:
    """Raise MissingToolError, saying what an administrator can do, unless programs can be run below `root` here."""
    try:
        command.run([*emulator, *enter(root, shared=(), environment=environment), "true"], env=environment, seconds=60)
    except MissingToolError as error:
        raise MissingToolError(str(error), "install bubblewrap, and run again") from error
    except CommandError as error:
        raise MissingToolError(f"bubblewrap cannot make a root here: {error.output.strip()}", _REMEDY) from error


def network_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Name the files outside by which pip finds and trusts its index, as far as they are the machine's or the user's."""
    named = [word for name in _NAMED for word in environment.get(name, "").split()]
    home = [f"{environment['HOME']}/{name}" for name in _SETTINGS] if environment.get("HOME") else []
    return tuple(Path(path) for path in (*named, *home) if path.startswith("/"))


def _identity() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("--unshare-user", "--uid", "0", "--gid", "0")


def _read_only(root: Path, places: Iterable[Path]) -> list[str]:
    """Lay what the root holds over an empty one, piece by piece in /etc and on the way to `places`.

    So there is room for the machine's own files and for folders of ours wherever they are, in /var too.
    """
    opened = {Path("/"), Path("/etc"), *(folder for place in places for folder in place.parents)}
    words: list[str] = []
    for folder in sorted(opened):
        real = root / folder.relative_to("/")
        for entry in sorted(real.iterdir()) if real.is_dir() and not real.is_symlink() else ():
            inside = folder / entry.name
            if entry.is_symlink():
                words += ["--symlink", str(entry.readlink()), str(inside)]
            elif entry.is_file() or (inside not in opened and any(entry.iterdir())):
                words += ["--ro-bind", str(entry), str(inside)]
    return words
