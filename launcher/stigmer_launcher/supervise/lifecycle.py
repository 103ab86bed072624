"""State, events and actions of the supervisor's decisions.

Times are seconds of one monotonic clock.

    service: waiting -> starting -> running -> pausing -> waiting …     stack: starting -> running -> stopping -> stopped
                           |           |                                          |______________________^
                           |           |-> degraded (does not answer) -> running or ending
                           |           |-> proving (something it needs came back) -> running or ending
                           |-> failed  |-> ending (told to go) -> stopped or pausing

A service that a command has stopped stays stopped until a command starts it.
"""

from typing import NamedTuple

from stigmer_launcher.install.payload import Restart
from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise.phases import DEGRADED, PROVING, RUNNING, STARTING, TERMINATING, WAITING

ALIVE = (STARTING, RUNNING, PROVING, DEGRADED, TERMINATING)
NEVER = float("inf")
TERMINATE, KILL = 15, 9
START, STOP, RESTART = "start", "stop", "restart"  # of one service, by a command


class Service(NamedTuple):
    """State of a service: `since` is its last start, `until` the next deadline, `crashes` the recent crashes.

    `asked` is when it was last asked to prove that it is ready, at its start or when something it needs came back;
    `back` when it came back itself, by a start or by answering again. `checking` tells that its liveness is being checked,
    `failures` how many checks in a row have failed.
    `error` is why it went down last, `not_ready_reason` what its readiness is still waiting for, `requested` what a
    command wants: STOP holds until RESTART, which holds until the next start.
    """

    plan: Plan
    phase: str = WAITING
    pid: int = 0
    since: float = 0.0
    asked: float = 0.0
    back: float = 0.0
    until: float = NEVER
    crashes: tuple[float, ...] = ()
    restarts: int = 0
    error: str = ""
    not_ready_reason: str = ""
    checking: bool = False
    failures: int = 0
    requested: str = ""


class State(NamedTuple):
    """State of the stack; `failed` is the service that made the start fail."""

    services: tuple[Service, ...]
    stage: str = STARTING
    failed: str = ""
    policy: Restart = Restart()


class Spawned(NamedTuple):
    """A service's process runs."""

    name: str
    pid: int


class NotReady(NamedTuple):
    """A service was asked, and is not ready."""

    name: str
    reason: str


class Ready(NamedTuple):
    """A service proved that it is ready."""

    name: str


class Exited(NamedTuple):
    """A service's process ended or could not be run; `outside` when a signal of somebody else's ended it."""

    name: str
    error: str
    outside: bool = False


class StopRequested(NamedTuple):
    """Stop everything; with `now`, kill what is still terminating."""

    now: bool = False


class ServiceStopRequested(NamedTuple):
    """Stop one service, and keep it stopped."""

    name: str


class ServiceStartRequested(NamedTuple):
    """Start a service that was stopped by a command, and those that it needs; right after a stop it is a restart."""

    name: str


class Spawn(NamedTuple):
    """Start the service's process; one that is not managed is only probed."""

    name: str


class Prove(NamedTuple):
    """Ask a service that runs for all its proofs once more."""

    name: str


class CheckLiveness(NamedTuple):
    """Ask a service that is ready whether it still answers."""

    name: str


class Signal(NamedTuple):
    """Send a signal to the service's process group."""

    name: str
    number: int


Event = Spawned | NotReady | Ready | Exited | StopRequested | ServiceStopRequested | ServiceStartRequested
Action = Spawn | Prove | CheckLiveness | Signal
