"""State, events and actions of the supervisor's decisions.

Times are seconds of one monotonic clock.

    service: waiting -> starting -> running -> pausing -> waiting …     stack: starting -> running -> stopping -> stopped
                           |           |                                          |______________________^
                           |           |-> proving (something it needs was restarted) -> running or ending
                           |-> failed  |-> ending (told to go) -> stopped or pausing

A service that a command has stopped stays stopped until a command starts it.
"""

from typing import NamedTuple

from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise.phases import PROVING, RUNNING, STARTING, TERMINATING, WAITING

ALIVE = (STARTING, RUNNING, PROVING, TERMINATING)
NEVER = float("inf")
TERMINATE, KILL = 15, 9
START, STOP, RESTART = "start", "stop", "restart"  # of one service, by a command


class Policy(NamedTuple):
    """How long to pause before the next try, for each crash in a window, and how many a start survives."""

    first_pause: float = 0.5
    longest_pause: float = 30.0
    limit: int = 5
    window: float = 600.0


class Service(NamedTuple):
    """State of a service: `since` is its last start, `until` the next deadline, `crashes` the recent crashes.

    `asked` is when it was last asked to prove that it is ready, at its start or after the restart of something it needs.
    `error` is why it went down last, `not_ready_reason` what its readiness is still waiting for, `order` what a command
    has asked for: STOP holds until RESTART, which holds until the next start.
    """

    plan: Plan
    phase: str = WAITING
    pid: int = 0
    since: float = 0.0
    asked: float = 0.0
    until: float = NEVER
    crashes: tuple[float, ...] = ()
    restarts: int = 0
    error: str = ""
    not_ready_reason: str = ""
    order: str = ""


class State(NamedTuple):
    """State of the stack; `failed` is the service that made the start fail."""

    services: tuple[Service, ...]
    stage: str = STARTING
    failed: str = ""
    policy: Policy = Policy()


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


class Signal(NamedTuple):
    """Send a signal to the service's process group."""

    name: str
    number: int


Event = Spawned | NotReady | Ready | Exited | StopRequested | ServiceStopRequested | ServiceStartRequested
Action = Spawn | Prove | Signal
