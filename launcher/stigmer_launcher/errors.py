"""Every way the launcher fails. `main` prints `Error: …` and `Hint: …` on stderr and exits with the code (see `grammar`)."""


class LauncherError(Exception):
    """A failure the user can act on: what happened, and what to do about it."""

    exit_code = 1
    remedy = "run `stigmer doctor` and read what it finds"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy or self.remedy


class UsageError(LauncherError):
    """The command line asks for something that does not exist or must not be done."""

    exit_code = 2
    remedy = "run `stigmer --help`"


class StoppedError(LauncherError):
    """The server does not run, and what was asked needs it."""

    exit_code = 3
    remedy = "run `stigmer server`"


class DegradedError(LauncherError):
    """The server runs, but a service of it does not."""

    exit_code = 4
    remedy = "run `stigmer server logs`, then `stigmer server restart`"


class HomeError(LauncherError):
    """The home directory cannot hold what it must: not writable, no space, no permission to execute."""


class KegError(LauncherError):
    """What Homebrew installed is missing, damaged, or for another machine."""

    remedy = "run `brew reinstall stigmer`"


class BusyError(LauncherError):
    """Another process did not finish in time."""

    remedy = "wait until that process has finished, or end it, and run the command again"


class HiddenHolderError(LauncherError):
    """A lock is held by a process whose pid cannot be known here: in another container, pid namespace or machine."""

    remedy = "run the command where Stigmer was started (container or machine), or set another STIGMER_HOME"


class LimitError(LauncherError):
    """The system allows this user too few open files."""

    remedy = "raise it: `ulimit -Hn 10240` as root, or `LimitNOFILE=10240` in the systemd unit"


class ConfigError(LauncherError):
    """config.yaml, or a variable that overrules it, says something that cannot be followed."""

    remedy = "correct the file at the line named (`stigmer config path` prints where it is)"


class PortError(LauncherError):
    """A port is taken by somebody else."""

    remedy = "stop the process that owns it, or move ours with `--port` or `stigmer config set ports.NAME NUMBER`"


class StartError(LauncherError):
    """A service did not start, or was not ready in time."""

    remedy = "read its last lines above and `stigmer server logs`"


class SmokeError(LauncherError):
    """The stack was tried, and did not do what it should."""

    remedy = "run `stigmer server status` and `stigmer server logs`"
