"""`stigmer server stop`: tell the supervisor, and return when it is gone with everything it ran."""

import os
import time

from stigmer_launcher import bare_signal, instance, leftovers, locks
from stigmer_launcher.context import Context
from stigmer_launcher.errors import BusyError
from stigmer_launcher.instance import Instance
from stigmer_launcher.output import Terminal
from stigmer_launcher.parse import Invocation
from stigmer_launcher.places import find_places
from stigmer_launcher.quietly import suppress

_PAUSE = 0.005
_SPARE = 15.0  # seconds beyond the graces of all services


def stop(invocation: Invocation, context: Context) -> int:
    """Stop everything; nothing to stop is no failure."""
    del invocation
    place = Instance(find_places(context.environ).run)
    if not stop_running(place, context.out):
        ended = _end_leftovers(place)
        context.out.line(f"Ended {ended} processes of a killed server" if ended else "Server is not running")
    return 0


def stop_running(place: Instance, out: Terminal) -> bool:
    """Stop the supervisor and wait for its end; False when none ran, BusyError when it does not come to an end."""
    pid = instance.supervisor(place)
    if not pid:
        return False
    out.passing("Stopping server...")
    known = locks.identity(pid)
    graces = {each["stop_order"]: each["grace"] for each in instance.living_state(place).get("services", ())}
    deadline = time.monotonic() + sum(graces.values()) + _SPARE
    with suppress(ProcessLookupError):
        os.kill(pid, bare_signal.SIGTERM)
    while instance.supervisor(place) == pid or locks.is_same_process(pid, known):  # its lock goes before it does
        if time.monotonic() > deadline:
            raise BusyError(
                f"the supervisor, process {pid}, was told to stop and still runs",
                f"look at `stigmer server status`; `kill -9 {pid}` lets its warden end the services",
            )
        time.sleep(_PAUSE)
    out.line(f"Stopping server... {out.paint(out.mark('done'), 'green')}")
    return True


def _end_leftovers(place: Instance) -> int:
    """End what a supervisor left that was killed together with its warden."""
    left = instance.read_state(place)
    if left.get("state", "stopped") == "stopped" or instance.warden(place):
        return 0
    return leftovers.end_members(instance.members(left), left.get("token", ""))
