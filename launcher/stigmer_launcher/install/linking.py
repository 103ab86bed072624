"""Hard links in great number: by names relative to two open directories, so that the kernel walks to neither again."""

import os
from types import TracebackType
from typing import Self

from stigmer_launcher.install.manifest import Mark, mark_of


class Linking:
    """Gives files below one directory the same names below another; both stay open for the time of a `with`."""

    def __init__(self, source: str, target: str) -> None:
        self._source, self._target = source, target
        self._from = self._to = -1

    def __enter__(self) -> Self:
        self._from = os.open(self._source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._to = os.open(self._target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            os.close(self._from)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._from)
        os.close(self._to)

    def link(self, path: str) -> Mark | None:
        """Link one file and look at it; None when this file cannot be linked: whoever asked finds out why."""
        try:
            os.link(path, path, src_dir_fd=self._from, dst_dir_fd=self._to)
            return mark_of(os.stat(path, dir_fd=self._to, follow_symlinks=False))
        except OSError:
            return None
