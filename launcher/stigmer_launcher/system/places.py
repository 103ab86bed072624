"""Paths of Stigmer's home and of the keg, and the errors of a home that cannot be used."""

import errno
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.errors import HomeError, KegError, LauncherError
from stigmer_launcher.system.ownership import require_own_home

ANOTHER_DISK = "or set STIGMER_HOME to a directory on another disk"


class Places(NamedTuple):
    """Absolute paths below the home of Stigmer. `bin` is a symbolic link to the version in use below `versions`."""

    home: str
    bin: str
    versions: str
    run: str
    logs: str
    config: str


def find_places(environ: Mapping[str, str]) -> Places:
    """Find the home: STIGMER_HOME, else `.stigmer` in HOME, else in the home the password database knows.

    A relative STIGMER_HOME counts from the current directory, now; nothing later depends on that directory.
    """
    named = environ.get("STIGMER_HOME", "")
    if named == "~" or named.startswith("~/"):  # service files pass what no shell has expanded
        named = _user_home(environ) + named[1:]
    home = os.path.abspath(named) if named else os.path.join(_user_home(environ), ".stigmer")
    _require_text(home)
    return Places(
        home=home,
        bin=os.path.join(home, "bin"),
        versions=os.path.join(home, "versions"),
        run=os.path.join(home, "run"),
        logs=os.path.join(home, "logs"),
        config=os.path.join(home, "config.yaml"),
    )


def _require_text(home: str) -> None:
    """Raise HomeError for bytes that are no UTF-8: neither logs nor JSON could name such a home."""
    try:
        home.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(home).decode(errors="backslashreplace")
        raise HomeError(
            f"the path of the home is not UTF-8 text: {shown}",
            "set STIGMER_HOME to a directory whose name is: `export STIGMER_HOME=/path/to/directory`",
        ) from None


def find_libexec(environ: Mapping[str, str], executable: str, *, frozen: bool) -> str:
    """Find the keg's libexec: two levels above the frozen executable, or STIGMER_PAYLOAD for a checkout.

    The keg is named by its own version, not by a link that an upgrade moves.
    """
    if frozen:
        return os.path.dirname(os.path.dirname(os.path.realpath(executable)))
    named = environ.get("STIGMER_PAYLOAD", "")
    if not named:
        raise KegError(
            "this launcher runs from a checkout, without a keg",
            "set STIGMER_PAYLOAD to a libexec directory (one that holds payload.json and components/)",
        )
    return os.path.realpath(named)


def _user_home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return os.path.normpath(home)
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise HomeError(
            f"there is no HOME, and user {os.getuid()} is not in the password database",
            "set STIGMER_HOME to an absolute directory",
        ) from None


def prepare_home(places: Places) -> None:
    """Make the home's directories, for this user alone; HomeError when they cannot be made or written."""
    require_own_home(places.home)
    for directory in (places.home, places.versions, places.run):
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, directory) from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise explain(OSError(_why_not_writable(directory), ""), directory)


def explain(error: OSError, directory: str) -> LauncherError:
    """Turn a failed system call into what happened, where, and what to do."""
    import shlex

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HomeError(f"there is no space left in {directory}", f"free some space there, {ANOTHER_DISK}")
    if error.errno == errno.EROFS:
        return HomeError(f"{directory} is on a read-only file system", f"mount it writable, {ANOTHER_DISK}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return HomeError(
            f"you may not write in {directory}",
            f'run `sudo chown -R "$(id -un)" {shlex.quote(directory)}`, {ANOTHER_DISK}',
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return HomeError(
            f"{error.filename or directory} is in the way: it is not a directory", f"move it away, {ANOTHER_DISK}"
        )
    return HomeError(f"cannot work in {directory}: {error.strerror}", f"check that directory, {ANOTHER_DISK}")


def _why_not_writable(directory: str) -> int:
    read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    return errno.EROFS if read_only else errno.EACCES


def installed_libexec(environ: Mapping[str, str]) -> str:
    """Find the keg's libexec of the launcher that runs now."""
    frozen = bool(getattr(sys, "frozen", False))
    return find_libexec(environ, _own_program() if frozen else sys.executable, frozen=frozen)


def _own_program() -> str:
    """Return the path of the running program; PYTHONEXECUTABLE and __PYVENV_LAUNCHER__ change sys.executable."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        return darwin.program(os.getpid()) or sys.executable
    return os.readlink("/proc/self/exe")
