"""Service managers (systemd, launchd, brew services): the unit that runs the server, its management commands, and `READY=1`.

Sources: sd_notify(3); cgroups(7) for /proc/PID/cgroup. systemd names the cgroup of a service after its unit. launchd
puts the job's label in XPC_SERVICE_NAME; applications have labels too, which shells in their terminals inherit, as well as
`0`. `brew services` calls its units `homebrew.FORMULA` and its jobs `homebrew.mxcl.FORMULA`.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

_USER_MANAGER, _SYSTEM_MANAGER = "systemctl --user", "sudo systemctl"
_LAUNCHCTL = {"stop": "bootout", "restart": "kickstart -k"}


class Unit(NamedTuple):
    """A unit of systemd, with the command that manages it, or a job of launchd, with its domain."""

    name: str
    manager: str

    def command(self, verb: str) -> str:
        """Return the command that stops or restarts (`verb`) the unit."""
        if self.name.startswith("homebrew."):
            formula = self.name.removeprefix("homebrew.").removeprefix("mxcl.").removesuffix(".service")
            return f"brew services {verb} {formula}"
        if self.manager in (_USER_MANAGER, _SYSTEM_MANAGER):
            return f"{self.manager} {verb} {self.name}"
        return f"launchctl {_LAUNCHCTL[verb]} {self.manager}/{self.name}"


def launchd_job(environ: Mapping[str, str], parent: int) -> str:
    """Return the label of the launchd job whose program is this process, empty when launchd is not its parent."""
    label = environ.get("XPC_SERVICE_NAME", "0")
    return "" if parent != 1 or label == "0" or label.startswith(("application.", "com.apple.")) else label


def command_for(verb: str, pid: int, job: str) -> str:
    """Return the command that stops or restarts (`verb`) the server, by its service manager if it runs (`pid`) in a unit."""
    unit = find_unit(pid, job) if pid else None  # the state of a stopped server names the job of its last start
    return unit.command(verb) if unit else f"stigmer server {verb}"


def find_unit(pid: int, job: str = "", proc: str = "/proc") -> Unit | None:
    """Find the unit whose main process this is, or its launchd `job`; None when no service manager started it.

    Terminals may be services, too, so the cgroup is not enough: systemd must be the parent, which gives each service a session.
    """
    if job:
        return Unit(job, f"gui/{os.getuid()}" if os.getuid() else "system")
    with suppress(OSError, ValueError, IndexError):
        arguments = _read(f"{proc}/{pid}/cmdline").split("\0")
        _, parent, _, session = _read(f"{proc}/{pid}/stat").rpartition(")")[2].split()[:4]
        if "--foreground" in arguments and session == str(pid) and _read(f"{proc}/{parent}/comm") == "systemd\n":
            return unit_in(_read(f"{proc}/{pid}/cgroup"))
    return None


def unit_in(cgroup: str) -> Unit | None:
    """Return the unit in the text of /proc/PID/cgroup, of cgroup version 2 or version 1's named hierarchy."""
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        *parents, name = path.split("/")
        if controllers in ("", "name=systemd") and name.endswith(".service"):
            return Unit(name, _USER_MANAGER if any(part.startswith("user@") for part in parents) else _SYSTEM_MANAGER)
    return None


def notify_ready(environ: Mapping[str, str]) -> None:
    """Notify a service manager that waits for it (`Type=notify`) that the server is ready."""
    if address := environ.get("NOTIFY_SOCKET"):
        import socket

        path = "\0" + address[1:] if address.startswith("@") else address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", path)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()
