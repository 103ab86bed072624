"""The state of an instance as others see it: who supervises, and what the supervisor writes down at every change.

Whether it runs is decided by the supervisor's lock alone. The state file holds the rest, and, if the supervisor was
killed, which processes it left behind. Times called `since`, `began` and in `timeline` are seconds of the monotonic clock, which
all processes of one boot share; `started` is for people.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from stigmer_launcher.supervise.phases import STOPPED
from stigmer_launcher.system import locks

_FORMAT = 1
WATCHDOG_SECONDS = 60.0  # a watchdog at work waits for the graces of the services, one order after the other


class ServiceSnapshot(NamedTuple):
    """One service as its supervisor saw it last, and the process that leads its group."""

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
    lacking: str = ""  # why it is not ready
    port: int = 0  # 0 when it has none
    version: str = ""


class Snapshot(NamedTuple):
    """What a supervisor wrote down last."""

    supervisor_pid: int = 0  # 0 when there is nothing
    started: float = 0.0
    began: float = 0.0
    state: str = ""
    version: str = ""
    failed: str = ""  # the service that ended the start
    installed: str = ""  # the id of the components' version that it uses
    token: str = ""
    temporal: str = ""
    logs: str = ""
    job: str = ""  # the launchd job that it is
    ports: Mapping[str, int] = {}
    asked_ports: Mapping[str, int] = {}  # those of its command line
    timeline: Mapping[str, Mapping[str, float]] = {}
    services: tuple[ServiceSnapshot, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Return whether a supervisor stopped everything itself, or there was none."""
        return self.state in ("", STOPPED)

    @property
    def members(self) -> list[ServiceSnapshot]:
        """List the services that have a process."""
        return [each for each in self.services if each.pid]

    @property
    def grace(self) -> float:
        """Return the seconds that a stop may take: services of one stop order stop together, one order after the other."""
        orders = {each.stop_order for each in self.services}
        return sum(max(each.grace for each in self.services if each.stop_order == order) for order in orders)

    def service(self, name: str) -> ServiceSnapshot:
        """Return a service by its name; one that is not there knows nothing."""
        return next((each for each in self.services if each.name == name), ServiceSnapshot(name))


class Instance:
    """The files of one home's instance: locks that supervisor and watchdog hold for life, the state, a FIFO for requests."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.lock = os.path.join(run, "supervisor.lock")
        self.watchdog_lock = os.path.join(run, "warden.lock")
        self.state = os.path.join(run, "state.json")
        self.control = os.path.join(run, "control")


def supervisor_pid(instance: Instance) -> int:
    """Return the pid of the living supervisor, 0 when there is none."""
    return locks.holder(instance.lock)


def cleaning_pid(instance: Instance) -> int:
    """Return the pid of a watchdog that stops the services of a killed supervisor, 0 when none does."""
    pid = locks.holder(instance.watchdog_lock)
    return 0 if supervisor_pid(instance) else pid


def read_snapshot(instance: Instance) -> Snapshot:
    """Read what a supervisor wrote last; an empty one when there is nothing whole.

    It may be damaged, or of another version: a value that is not of its kind is left out.
    """
    with suppress(OSError, ValueError, RecursionError), open(instance.state, encoding="utf-8") as stream:
        import json  # costs `status` a fifth of its time, and where nothing has run there is no file

        plain = json.load(stream)
        if isinstance(plain, dict) and plain.get("format") == _FORMAT:
            snapshot: Snapshot = _readable(plain, _SAMPLE)
            return snapshot
    return Snapshot()


def living_snapshot(instance: Instance) -> Snapshot:
    """Read the snapshot of the supervisor that runs now; an empty one when none runs or it has not written any yet."""
    pid = supervisor_pid(instance)
    snapshot = read_snapshot(instance) if pid else Snapshot()
    return snapshot if snapshot.supervisor_pid == pid else Snapshot()


def write_snapshot(instance: Instance, snapshot: Snapshot) -> None:
    """Write the snapshot so that a reader finds the old or the new one, whole."""
    import json

    services = [each._asdict() for each in snapshot.services]
    text = json.dumps({"format": _FORMAT, **snapshot._asdict(), "services": services})
    beside = f"{instance.state}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    os.replace(beside, instance.state)


# A sample of what the file may hold. A number is not negative; where the sample has another than zero, it is 1 to that.
_PORTS = {"": 65535}
_SAMPLE = Snapshot(ports=_PORTS, asked_ports=_PORTS, timeline={"": {"": 0.0}}, services=(ServiceSnapshot(),))


def _readable(value: Any, sample: Any) -> Any:
    """Return a value if it is like the sample; of a record, map or list, the parts that are. None when nothing is."""
    if isinstance(sample, (Snapshot, ServiceSnapshot)):
        return type(sample)(**_parts(value, sample._asdict())) if isinstance(value, dict) else None
    if isinstance(sample, dict):
        return _parts(value, dict.fromkeys(value, sample[""])) if isinstance(value, dict) else {}
    if isinstance(sample, tuple):
        found = (_readable(each, sample[0]) for each in value) if isinstance(value, list) else ()
        return tuple(each for each in found if each is not None)
    if isinstance(sample, (bool, str)) or isinstance(value, bool):
        return value if type(value) is type(sample) else None
    if not isinstance(value, int if isinstance(sample, int) else (int, float)):
        return None
    return value if (0 < value <= sample if sample else 0 <= value < float("inf")) else None


def _parts(value: Mapping[str, Any], samples: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: _readable(value.get(name), sample) for name, sample in samples.items()}
    return {name: part for name, part in parts.items() if part is not None}
