"""The launcher's errors. `main` prints `Error: …` and `Hint: …` on stderr and exits with the code (see `grammar`)."""

from collections.abc import Collection

INTERRUPTED = 130  # exit code after Ctrl-C, as a shell reports it: 128 and the number of SIGINT
EXTERNAL_REMEDY = "start that Temporal, or correct TEMPORAL_NAMESPACE or its address, which `stigmer config list` shows"


class LauncherError(Exception):
    """A failure: the message says what happened, `remedy` what the user can do about it."""

    exit_code = 1
    remedy = "run `stigmer doctor` and read what it finds"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy or self.remedy


class UsageError(LauncherError):
    """The command line is wrong."""

    exit_code = 2
    remedy = "run `stigmer --help`"


class StoppedError(LauncherError):
    """The server is stopped, and the command needs it."""

    exit_code = 3
    remedy = "run `stigmer server`"


class DegradedError(LauncherError):
    """The server runs, but one of its services does not."""

    exit_code = 4
    remedy = "run `stigmer server logs`, then `stigmer server restart`"


class HomeError(LauncherError):
    """The home directory cannot be used: not writable, no space, mounted noexec, or in use from elsewhere."""


class KegError(LauncherError):
    """The installation is missing, damaged, or for another machine."""

    remedy = "run `brew reinstall stigmer`; without Homebrew, unpack the archive again"


class BusyError(LauncherError):
    """Another process did not finish in time."""

    remedy = "wait until that process has finished, or end it, and run the command again"


class LimitError(LauncherError):
    """The system allows this user too few open files or processes."""

    remedy = "raise it: `sudo prlimit --pid $$ --nofile=10240`, or `LimitNOFILE=10240` in the systemd unit"


class ConfigError(LauncherError):
    """config.yaml, or a variable that overrides it, has an invalid value, key or form."""

    remedy = "run `stigmer config edit` and correct the lines named"


class PortError(LauncherError):
    """Another process listens on a port, or this user has no permission to do so."""

    remedy = "stop the process that owns it, or move ours with `--port` or `stigmer config set ports.NAME NUMBER`"


class StartError(LauncherError):
    """A service did not start, or was not ready in time."""

    remedy = "read its last lines above and `stigmer server logs`"


class SmokeError(LauncherError):
    """The smoke test failed."""

    remedy = "run `stigmer server status` and `stigmer server logs`"


def suggestion(typed: str, known: Collection[str]) -> str:
    """Return "; did you mean …?" with a known name that is similar, or has a word with that beginning; empty for none."""
    import difflib

    same_beginning = [name for name in known if f" {typed}" in f" {name}" or f".{typed}" in f".{name}"]
    near = same_beginning or difflib.get_close_matches(typed, known, 1)
    return f"; did you mean `{near[0]}`?" if near else ""
