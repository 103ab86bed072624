"""Ownership of the home: root must not use another user's home, and files that cannot be written are reported."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from stigmer_launcher.errors import HomeError


def require_own_home(home: str) -> None:
    """Refuse to run as root in the home of another user, who could not write the files that root makes."""
    if os.geteuid() == 0 and (owner := _owner(home)):
        raise HomeError(
            f"{home} belongs to user {_name(owner)}, and this is root",
            f"run the command as {_name(owner)}, without sudo, or set STIGMER_HOME to a directory of root",
        )


def require_writable(home: str, *directories: str) -> None:
    """Make directories of the home that are missing; HomeError for one, or a file in it, that cannot be written."""
    require_own_home(home)
    for directory in directories:
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise unwritable(os.path.dirname(directory), home) from error
            raise HomeError(f"cannot make {directory}: {error.strerror}", f"run `ls -ld {directory}`") from error
    for found in unwritable_files(home, *directories):
        raise found


def unwritable_files(home: str, *directories: str) -> Iterator[HomeError]:
    """Say of each of these directories of the home, and of each file in it, if it cannot be written."""
    for directory in filter(os.path.isdir, directories):
        for path in (directory, *_files(directory)):
            if not os.access(path, os.W_OK):
                yield unwritable(path, home)


def unwritable(path: str, home: str) -> HomeError:
    """Say why a path below the home cannot be written, and which command helps."""
    import shlex

    place = shlex.quote(home)
    try:
        status = os.stat(path)
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError:
        return HomeError(f"you may not read {path}", f'run `sudo chown -R "$(id -un)" {place}`')
    if read_only:
        remedy = "mount it writable, or set STIGMER_HOME to a directory on another disk"
        return HomeError(f"{path} is on a read-only file system", remedy)
    if status.st_uid != os.geteuid():
        return HomeError(
            f"you may not write {path}: it belongs to user {_name(status.st_uid)}",
            f'run `sudo chown -R "$(id -un)" {place}`',
        )
    return HomeError(f"you may not write {path}", f"run `chmod -R u+rwX {place}`")


def _files(directory: str) -> Iterator[str]:
    """Yield the files of a directory, without symbolic links, whose targets are the user's own business."""
    with suppress(OSError), os.scandir(directory) as entries:
        yield from (entry.path for entry in entries if entry.is_file(follow_symlinks=False))


def _owner(path: str) -> int:
    """Return the owner of a path, or of the directory that it would be made in."""
    while True:
        try:
            return os.stat(path).st_uid
        except OSError:
            if path == (path := os.path.dirname(path)):
                return 0


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
