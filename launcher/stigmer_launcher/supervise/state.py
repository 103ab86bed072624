"""The state of an instance: the pid of its supervisor, and the snapshot that it writes to a file at every change.

A supervisor runs while its lock is held. If it was killed, the file lists the processes that it left behind. `since` and
`began` are seconds of the monotonic clock, which all processes of one boot share; `timeline` has the seconds
from `began` to each event of a service's last run; `started` is epoch time.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from stigmer_launcher.supervise.phases import STOPPED
from stigmer_launcher.system import locks

_FORMAT = 1
_SIZE = 16383  # bytes, to which a snapshot is filled up with spaces; with its newline, as many blocks as the one before
_REPLACE_TIME, _POLL_INTERVAL = 0.2, 0.005  # seconds
STOP_MARGIN = 25.0  # seconds to wait for a stop beyond the grace periods: two timeouts of SIGKILL and a reserve
CLEANUP = "stops the services of a killed supervisor"  # what a watchdog does, in messages: "process 7, which …"


class ServiceSnapshot(NamedTuple):
    """The last state of one service, and the process that leads its group."""

    name: str = ""
    state: str = ""
    managed: bool = True
    pid: int = 0  # 0 while there is none
    identity: str = ""
    stop_order: int = 0
    grace: float = 0.0
    since: float = 0.0
    restarts: int = 0
    last_error: str = ""
    not_ready_reason: str = ""
    port: int = 0  # 0 when it has none
    version: str = ""


class Snapshot(NamedTuple):
    """The last state that a supervisor wrote."""

    supervisor_pid: int = 0  # 0 in an empty snapshot
    started: float = 0.0
    began: float = 0.0
    state: str = ""
    version: str = ""
    installed: str = ""  # the id of the components' version that it uses
    token: str = ""
    temporal: str = ""
    logs: str = ""
    job: str = ""  # the label of its launchd job
    ports: Mapping[str, int] = {}
    asked_ports: Mapping[str, int] = {}  # those of its command line
    timeline: Mapping[str, Mapping[str, float]] = {}
    services: tuple[ServiceSnapshot, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Return whether a supervisor stopped everything itself, or there was none."""
        return self.state in ("", STOPPED)

    @property
    def processes(self) -> list[ServiceSnapshot]:
        """List the services that have a process."""
        return [each for each in self.services if each.pid]

    @property
    def grace(self) -> float:
        """Return the seconds that a stop may take: the longest grace period of each stop order, summed."""
        orders = {each.stop_order for each in self.services}
        return sum(max(each.grace for each in self.services if each.stop_order == order) for order in orders)

    def service(self, name: str) -> ServiceSnapshot:
        """Return the service of this name, with default values when there is none."""
        return next((each for each in self.services if each.name == name), ServiceSnapshot(name))


class Instance:
    """The files in a home's `run`: the lock of the supervisor, the lock of its watchdog, the state, and a FIFO for requests."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.lock = os.path.join(run, "supervisor.lock")
        self.watchdog_lock = os.path.join(run, "warden.lock")
        self.state = os.path.join(run, "state.json")
        self.control = os.path.join(run, "control")


def supervisor_pid(instance: Instance) -> int:
    """Return the pid of the living supervisor, 0 when there is none; HomeError as `locks.holder` raises it."""
    return locks.holder(instance.lock)


def cleaning_pid(instance: Instance) -> int:
    """Return the pid of a watchdog that stops the services of a killed supervisor, 0 when none does."""
    pid = locks.holder(instance.watchdog_lock)
    return 0 if supervisor_pid(instance) else pid


def read_snapshot(instance: Instance) -> Snapshot:
    """Read the last snapshot, without values of a wrong type; an empty one if there is none, it is damaged, or a copy."""
    with suppress(OSError, ValueError, RecursionError), open(instance.state, encoding="utf-8") as stream:
        import json  # costs `status` a fifth of its time; without a file it is not needed

        document = json.load(stream)
        if isinstance(document, dict) and document.get("format") == _FORMAT and not _is_copy(document, instance):
            return Snapshot(**_valid_parts(document, _SAMPLE._asdict()))
    return Snapshot()


def living_snapshot(instance: Instance) -> Snapshot:
    """Read the snapshot of the running supervisor; an empty one when none runs, or it has written none."""
    deadline = time.monotonic() + _REPLACE_TIME  # on FUSE and NFS a file may be missing while it is replaced
    while pid := supervisor_pid(instance):
        if (snapshot := read_snapshot(instance)).supervisor_pid == pid:
            return snapshot
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_INTERVAL)
    return Snapshot()


def write_snapshot(instance: Instance, snapshot: Snapshot) -> None:
    """Write the snapshot atomically: a reader finds the old or the new one. On a full disk, the old one is overwritten."""
    import json

    services = [each._asdict() for each in snapshot.services]
    text = json.dumps({"format": _FORMAT, **_place(instance), **snapshot._asdict(), "services": services})
    temporary = f"{instance.state}.new"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(f"{text:{_SIZE}}\n")
        os.replace(temporary, instance.state)
    except OSError:  # a new file needs space, the old one already has it
        with open(instance.state, "r+", encoding="utf-8") as stream:
            stream.write(f"{text:{_SIZE}}\n")
            stream.truncate()


def _is_copy(document: Mapping[str, Any], instance: Instance) -> bool:
    """Return whether `run` is a copy, with another inode and another path: the processes in its state file are not its own."""
    # A directory that was moved has another path, and on some FUSE file systems one that was not has another inode.
    return "run" in document and all(document.get(name) != value for name, value in _place(instance).items())


def _place(instance: Instance) -> dict[str, Any]:
    status = os.stat(instance.run)
    return {"run": [status.st_ino, status.st_dev], "path": [status.st_dev, os.path.realpath(instance.run)]}


# A sample of each value in the file shows its type. A number in it is the maximum, with a minimum of 1; 0 means no limit.
_PORTS = {"": 65535}
_SAMPLE = Snapshot(ports=_PORTS, asked_ports=_PORTS, timeline={"": {"": 0.0}}, services=(ServiceSnapshot(),))
_JSON_TYPES: dict[type, Any] = {ServiceSnapshot: dict, tuple: list, float: (int, float)}  # of other samples: their own


def _validated(value: Any, sample: Any) -> Any:
    """Return a JSON value as the type of the sample, without parts of a wrong type; None if it has a wrong type itself."""
    is_bool = isinstance(value, bool)  # which is an int, too
    if is_bool != isinstance(sample, bool) or not isinstance(value, _JSON_TYPES.get(type(sample), type(sample))):
        return None
    if isinstance(sample, ServiceSnapshot):
        return ServiceSnapshot(**_valid_parts(value, sample._asdict()))
    if isinstance(sample, dict):
        return _valid_parts(value, dict.fromkeys(value, sample[""]))
    if isinstance(sample, tuple):
        return tuple(part for each in value if (part := _validated(each, sample[0])) is not None)
    if isinstance(sample, (bool, str)):
        return value
    return value if (0 < value <= sample if sample else 0 <= value < float("inf")) else None


def _valid_parts(value: Mapping[str, Any], samples: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, sample in samples.items() if (part := _validated(value.get(name), sample)) is not None}
