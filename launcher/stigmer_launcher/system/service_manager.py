"""The service manager that started a process in the foreground, and the commands that keep the server within its unit.

Sources: cgroups(7) for /proc/PID/cgroup; systemd names the cgroup of a service after its unit; the units of
`brew services` are called `homebrew.FORMULA`. Only Linux is looked at.
"""

from contextlib import suppress
from typing import NamedTuple

_BREW = "homebrew."
_SUFFIX = ".service"


class Unit(NamedTuple):
    """A systemd unit, of the user's own manager or of the machine's."""

    name: str
    is_users: bool

    def command(self, verb: str) -> str:
        """Give the command that starts, stops or restarts the unit."""
        formula = self.name.removeprefix(_BREW).removesuffix(_SUFFIX)
        if self.name.startswith(_BREW):
            return f"brew services {verb} {formula}"
        return f"systemctl --user {verb} {self.name}" if self.is_users else f"sudo systemctl {verb} {self.name}"


def find_unit(pid: int, proc: str = "/proc") -> Unit | None:
    """Find the unit a process is the main process of; None when it was started in another way.

    Terminals may be services too, so being in a service's cgroup is not enough: systemd must be the parent, and the
    process must be in the foreground.
    """
    with suppress(OSError, ValueError, IndexError):
        arguments = _read(f"{proc}/{pid}/cmdline").split("\0")
        parent = _read(f"{proc}/{pid}/stat").rpartition(")")[2].split()[1]
        if "--foreground" in arguments and _read(f"{proc}/{parent}/comm").strip() == "systemd":
            return unit_in(_read(f"{proc}/{pid}/cgroup"))
    return None


def restart_command(supervisor_pid: int) -> str:
    """Give the command that restarts a running server, by the service manager if one started it."""
    unit = find_unit(supervisor_pid)
    return unit.command("restart") if unit else "stigmer server restart"


def unit_in(cgroup: str) -> Unit | None:
    """Read the unit from the text of /proc/PID/cgroup, of version 2 or of version 1's named hierarchy."""
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        *above, name = path.split("/")
        if controllers in ("", "name=systemd") and name.endswith(_SUFFIX):
            return Unit(name, any(part.startswith("user@") for part in above))
    return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()
