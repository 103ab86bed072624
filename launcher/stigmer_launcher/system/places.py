"""Stigmer's home and its keg: where they are, and errors that say why a home cannot be used.

A home is made for its user alone, and never by root for another user.
"""

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import HomeError, KegError

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

    A relative one counts from the current directory, now; nothing later depends on that directory.
    """
    named = environ.get("STIGMER_HOME", "")
    if named == "~" or named.startswith("~/"):  # service files pass what no shell has expanded
        named = _user_home(environ) + named[1:]
    home = os.path.abspath(named or os.path.join(_user_home(environ), ".stigmer"))
    try:
        home.encode()  # neither logs nor JSON could name another
    except UnicodeEncodeError:
        shown = os.fsencode(home).decode(errors="backslashreplace")
        raise HomeError(
            f"the path of the home is not UTF-8 text: {shown}",
            "set STIGMER_HOME to a directory whose name is: `export STIGMER_HOME=/path/to/directory`",
        ) from None
    names = ("bin", "versions", "run", "logs", "config.yaml")
    return Places(home, *(os.path.join(home, name) for name in names))


def _user_home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return home
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise HomeError(
            f"there is no HOME, and user {os.getuid()} is not in the password database",
            "set STIGMER_HOME to an absolute directory",
        ) from None


def installed_libexec(environ: Mapping[str, str]) -> str:
    """Find the keg's libexec: two levels above the frozen program that runs now, or STIGMER_PAYLOAD for a checkout."""
    if getattr(sys, "frozen", False):
        if sys.platform == "darwin":  # PYTHONEXECUTABLE and __PYVENV_LAUNCHER__ change `sys.executable`
            from stigmer_launcher.system import darwin

            program = darwin.program(os.getpid()) or sys.executable
        else:
            program = os.readlink("/proc/self/exe")
        return os.path.dirname(os.path.dirname(os.path.realpath(program)))  # links to it move at an upgrade
    named = environ.get("STIGMER_PAYLOAD", "")
    if not named:
        raise KegError(
            "this launcher runs from a checkout, without a keg",
            "set STIGMER_PAYLOAD to a libexec directory (one that holds payload.json and components/)",
        )
    return os.path.realpath(named)


def prepare_home(home: str, *directories: str) -> None:
    """Make the home and directories of it, for this user alone; HomeError when they cannot be made or written."""
    existing = home
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    if os.geteuid() == 0 and (owner := os.stat(existing).st_uid):  # who could not write what root makes
        name = user_name(owner)
        raise HomeError(
            f"{home} belongs to user {name}, and this is root",
            f"run the command as {name}, without sudo, or set STIGMER_HOME to a directory of root",
        )
    for directory in (home, *directories):
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, home) from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise unwritable(directory, home)


def unwritable_files(home: str, *directories: str) -> Iterator[HomeError]:
    """Say of each of these directories of the home, and of each file in it, if it cannot be written."""
    for directory in filter(os.path.isdir, directories):
        paths = [directory]
        with suppress(OSError), os.scandir(directory) as entries:  # what a link leads to is the user's own business
            paths += (entry.path for entry in entries if entry.is_file(follow_symlinks=False))
        yield from (unwritable(path, home) for path in paths if not os.access(path, os.W_OK))


def explain(error: OSError, directory: str) -> HomeError:
    """Turn a failed system call into what happened, where, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HomeError(f"there is no space left in {directory}", f"free some space there, {ANOTHER_DISK}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return unwritable(directory, directory, read_only=error.errno == errno.EROFS)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        path = error.filename2 or error.filename or directory
        return HomeError(f"{path} is in the way: it is not a directory", f"move it away, {ANOTHER_DISK}")
    return HomeError(f"cannot work in {directory}: {error.strerror}", f"check that directory, {ANOTHER_DISK}")


def unwritable(path: str, home: str, *, read_only: bool = False) -> HomeError:
    """Say why a path below the home cannot be written, and which command helps."""
    import shlex

    place = shlex.quote(home)
    while not os.path.exists(path):  # or it cannot be seen
        path = os.path.dirname(path)
    owner = os.stat(path).st_uid
    if read_only or os.statvfs(path).f_flag & os.ST_RDONLY:
        return HomeError(f"{path} is on a read-only file system", f"mount it writable, {ANOTHER_DISK}")
    if owner == os.geteuid():
        return HomeError(f"you may not write {path}", f"run `chmod -R u+rwX {place}`, {ANOTHER_DISK}")
    text = f"you may not write {path}: it belongs to user {user_name(owner)}"
    return HomeError(text, f'run `sudo chown -R "$(id -un)" {place}`, {ANOTHER_DISK}')


def user_name(user: int) -> str:
    """Return the name of a user, or the number of one that has none."""
    import pwd

    with suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return str(user)
