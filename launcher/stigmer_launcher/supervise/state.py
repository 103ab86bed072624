"""The running instance as others see it: who supervises, and the state it writes down at every change.

The supervisor's lock is the truth about "is it running"; the state file tells the rest, and after a violent death, whom
the dead supervisor left behind.
"""

import json
import os
from contextlib import suppress
from typing import Any, NamedTuple

from stigmer_launcher.system import locks

_LOCK, _WATCHDOG, _STATE = "supervisor.lock", "warden.lock", "state.json"
_FORMAT = 1

State = dict[str, Any]


class Member(NamedTuple):
    """A service's process, which leads its group: who it is, and how it is stopped."""

    pid: int
    identity: str
    stop_order: int
    grace: float


class Instance(NamedTuple):
    """The files of one home's instance: two locks, and the state."""

    run: str

    @property
    def lock(self) -> str:
        """Name the lock a supervisor holds for life."""
        return os.path.join(self.run, _LOCK)

    @property
    def watchdog_lock(self) -> str:
        """Name the lock a watchdog holds for life."""
        return os.path.join(self.run, _WATCHDOG)

    @property
    def state(self) -> str:
        """Name the state file."""
        return os.path.join(self.run, _STATE)


def supervisor_pid(instance: Instance) -> int:
    """Give the pid of the living supervisor, 0 when there is none."""
    return locks.holder(instance.lock)


def watchdog_pid(instance: Instance) -> int:
    """Give the pid of the living watchdog, 0 when there is none."""
    return locks.holder(instance.watchdog_lock)


def read_state(instance: Instance) -> State:
    """Read what a supervisor wrote last, empty when there is nothing whole."""
    with suppress(OSError, ValueError), open(instance.state, encoding="utf-8") as stream:
        state = json.loads(stream.read())
        if isinstance(state, dict) and state.get("format") == _FORMAT:
            return state
    return {}


def living_state(instance: Instance) -> State:
    """Give the state of the supervisor that runs now, empty when none runs or it has not written any yet."""
    pid = supervisor_pid(instance)
    state = read_state(instance) if pid else {}
    return state if state.get("supervisor_pid") == pid else {}


def write_state(instance: Instance, state: State) -> None:
    """Write the state so that a reader finds the old or the new one, whole."""
    text = json.dumps({"format": _FORMAT, **state})
    beside = f"{instance.state}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    os.replace(beside, instance.state)


def members(state: State) -> list[Member]:
    """List the processes of services that a state names."""
    services = state.get("services", ())
    return [
        Member(each["pid"], each["identity"], each["stop_order"], each["grace"]) for each in services if each["pid"]
    ]


def versions_in_use(instance: Instance) -> tuple[str, ...]:
    """Name the version a running supervisor uses: it must stay."""
    return tuple(filter(None, (living_state(instance).get("installed", ""),)))
