"""The directories of Stigmer: its home and its keg, and the errors of a home that cannot be used.

A home is private to its user; root never creates one for another user.
"""

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count, filterfalse
from typing import NamedTuple

from stigmer_launcher.errors import HomeError, KegError

ANOTHER_DISK = "or set STIGMER_HOME to a directory on another disk"


class Places(NamedTuple):
    """Absolute paths of the home and its entries. `bin` is a symbolic link to the version in use below `versions`."""

    home: str
    bin: str
    versions: str
    run: str
    logs: str
    config: str


def find_places(environ: Mapping[str, str]) -> Places:
    """Find the home: STIGMER_HOME, else `.stigmer` in HOME, else in the home directory of the password database.

    A relative path is resolved now, from the current directory. HomeError for a path that is not UTF-8.
    """
    configured = environ.get("STIGMER_HOME", "")
    if configured == "~" or configured.startswith("~/"):  # variables in service files are not expanded by a shell
        configured = _user_home(environ) + configured[1:]
    home = os.path.abspath(configured or os.path.join(_user_home(environ), ".stigmer"))
    try:
        home.encode()  # logs and JSON cannot hold another path
    except UnicodeEncodeError:
        shown = os.fsencode(home).decode(errors="backslashreplace")
        remedy = "set STIGMER_HOME to another directory: `export STIGMER_HOME=/path/to/directory`"
        raise HomeError(f"the path of the home is not UTF-8 text: {shown}", remedy) from None
    return Places(home, *(os.path.join(home, name) for name in ("bin", "versions", "run", "logs", "config.yaml")))


def _user_home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return home
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        problem = f"there is no HOME, and user {os.getuid()} is not in the password database"
        raise HomeError(problem, "set STIGMER_HOME to an absolute directory") from None


def installed_libexec(environ: Mapping[str, str]) -> str:
    """Find the keg's libexec: two levels above this frozen program, or STIGMER_PAYLOAD for a checkout, else KegError."""
    if getattr(sys, "frozen", False):
        if sys.platform == "darwin":  # PYTHONEXECUTABLE and __PYVENV_LAUNCHER__ change `sys.executable`
            from stigmer_launcher.system import darwin

            program = darwin.program(os.getpid()) or sys.executable
        elif os.path.realpath("/proc/self") == f"/proc/{os.getpid()}":
            program = os.readlink("/proc/self/exe")
        else:
            raise KegError("/proc is not mounted in this chroot or container", "run `mount -t proc proc /proc` as root")
        return os.path.dirname(os.path.dirname(os.path.realpath(program)))  # an upgrade changes the links to it
    if not (libexec := environ.get("STIGMER_PAYLOAD", "")):
        remedy = "set STIGMER_PAYLOAD to a libexec directory (one that holds payload.json and components/)"
        raise KegError("this launcher runs from a checkout, without a keg", remedy)
    return os.path.realpath(libexec)


def prepare_home(home: str, *directories: str) -> None:
    """Create the home and directories in it, private to this user; HomeError when they cannot be created or written."""
    existing = home
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    if os.geteuid() == 0 and (owner := os.stat(existing).st_uid):  # the owner could not write files of root
        name = user_name(owner)
        remedy = f"run the command as {name}, without sudo, or set STIGMER_HOME to a directory of root"
        raise HomeError(f"{home} belongs to user {name}, and this is root", remedy)
    for directory in (home, *directories):
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, home) from error
        if not os.access(directory, os.W_OK | os.X_OK) and os.path.exists(directory):  # not removed meanwhile
            raise unwritable(directory, home)


def unwritable_files(home: str, *directories: str) -> Iterator[HomeError]:
    """Yield an error for each of these directories of the home, and for each file in them, that cannot be written."""
    for directory in filter(os.path.isdir, directories):
        paths = [directory]
        with suppress(OSError), os.scandir(directory) as entries:  # the user manages the targets of links
            paths += (entry.path for entry in entries if entry.is_file(follow_symlinks=False))
        # Another process may have renamed or removed a file since it was listed.
        yield from (unwritable(path, home) for path in paths if not os.access(path, os.W_OK) and os.path.exists(path))


def explain(error: OSError, directory: str) -> HomeError:
    """Turn the failure of a system call in a directory of the home into an error with a remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HomeError(f"there is no space left in {directory}", f"free some space there, {ANOTHER_DISK}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return unwritable(directory, directory, read_only=error.errno == errno.EROFS)
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        path = error.filename2 or error.filename or directory
        kind = "a directory" if error.errno == errno.EISDIR else "not a directory"
        return HomeError(f"{path} is in the way: it is {kind}", f"move it away, {ANOTHER_DISK}")
    return HomeError(f"cannot work in {directory}: {error.strerror or error}", f"check that directory, {ANOTHER_DISK}")


def unwritable(path: str, home: str, *, read_only: bool = False) -> HomeError:
    """Return the error for a path of the home that cannot be written, with its cause and the command that helps."""
    import shlex

    while not os.path.exists(path):  # or this user may not see it
        path = os.path.dirname(path)
    if read_only or os.statvfs(path).f_flag & os.ST_RDONLY:
        return HomeError(f"{home} is on a read-only file system", f"mount it writable, {ANOTHER_DISK}")
    text, has_home = f"no permission to write {path}", os.path.exists(home)
    owner = os.stat(path).st_uid
    if owner == os.geteuid():
        command = f"chmod -R u+rwX {shlex.quote(home)}" if has_home else f"chmod u+rwx {shlex.quote(path)}"
        return HomeError(text, f"run `{command}`, {ANOTHER_DISK}")
    command = f'{"chown -R" if has_home else "install -d -o"} "$(id -un)" {shlex.quote(home)}'
    return HomeError(f"{text}: it belongs to user {user_name(owner)}", f"run `sudo {command}`, {ANOTHER_DISK}")


def free_name(wanted: str) -> str:
    """Return the path with the first number for which nothing exists there."""
    return next(filterfalse(os.path.lexists, (f"{wanted}-{number}" for number in count(1))))


def user_name(uid: int) -> str:
    """Return the name of a user, or the uid of one without a name."""
    import pwd

    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
