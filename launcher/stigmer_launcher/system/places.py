"""Paths of Stigmer's home and of the keg."""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.errors import HomeError, KegError


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
