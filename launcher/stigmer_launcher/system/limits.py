"""The limit of open files, which the services inherit."""

import resource

from stigmer_launcher.errors import LimitError

_WANTED = 10240  # the largest that macOS accepts whatever its hard limit says (OPEN_MAX, setrlimit(2))
_NEEDED = 256  # what macOS gives a program by default


def raise_open_files() -> None:
    """Raise the soft limit of open files as far as it helps; LimitError when the hard limit is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if most < _NEEDED:
        raise LimitError(f"only {most} files may be open at a time (hard limit); the services need {_NEEDED}")
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
