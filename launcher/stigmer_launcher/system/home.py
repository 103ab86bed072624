"""The home directory: made for its user alone, never by root for another user, and errors that say why it cannot be used."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from stigmer_launcher.errors import HomeError

ANOTHER_DISK = "or set STIGMER_HOME to a directory on another disk"


def prepare_home(home: str, *directories: str) -> None:
    """Make the home and directories of it, for this user alone; HomeError when they cannot be made or written.

    Root is refused in the home of another user, who could not write the files that root makes.
    """
    if os.geteuid() == 0 and (owner := _owner(home)):
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
        path = error.filename or directory
        return HomeError(f"{path} is in the way: it is not a directory", f"move it away, {ANOTHER_DISK}")
    return HomeError(f"cannot work in {directory}: {error.strerror}", f"check that directory, {ANOTHER_DISK}")


def unwritable(path: str, home: str, *, read_only: bool = False) -> HomeError:
    """Say why a path below the home cannot be written, and which command helps."""
    import shlex

    owner, place = None, shlex.quote(home)
    with suppress(OSError):
        owner = os.stat(path).st_uid
        read_only = read_only or bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    if read_only:
        return HomeError(f"{path} is on a read-only file system", f"mount it writable, {ANOTHER_DISK}")
    if owner == os.geteuid():
        return HomeError(f"you may not write {path}", f"run `chmod -R u+rwX {place}`, {ANOTHER_DISK}")
    whose = "" if owner is None else f": it belongs to user {user_name(owner)}"
    return HomeError(f"you may not write {path}{whose}", f'run `sudo chown -R "$(id -un)" {place}`, {ANOTHER_DISK}')


def user_name(user: int) -> str:
    """Return the name of a user, or the number of one that has none."""
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _owner(path: str) -> int:
    """Return the owner of a path, or of the directory that it would be made in."""
    while True:
        try:
            return os.stat(path).st_uid
        except OSError:
            path = os.path.dirname(path)
