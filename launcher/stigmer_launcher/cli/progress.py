"""Shows the progress of a start: each step that succeeded, what is pending, and why it failed."""

from typing import Any

from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.errors import LauncherError, StartError
from stigmer_launcher.supervise import phases

Event = dict[str, Any]
_IN_DOUBT = (phases.PROVING, phases.DEGRADED)


class RefusedError(LauncherError):
    """The supervisor refused to start; its own error, carried over."""

    def __init__(self, event: Event) -> None:
        super().__init__(event["message"], event["remedy"])
        self.exit_code = event["code"]


class Progress:
    """Displays the events of a start, and of the run that follows in the foreground."""

    def __init__(self, out: Terminal) -> None:
        self._out = out
        self._awaited: list[str] = []
        self._doubted: set[str] = set()
        self._failure: Event = {}
        self._started = False
        self.again = False  # another start came first: wait for that one
        self.interrupted = False

    def step(self, text: str) -> None:
        """Show that something has begun; `done` or an error follows."""
        self._out.passing(f"{text}...")

    def done(self, text: str) -> None:
        """Print that something has succeeded."""
        self._out.line(f"{text}... {self._out.paint(self._out.mark('done'), 'green')}")

    def note(self, text: str) -> None:
        """Print something worth knowing."""
        self._out.line(text)

    def take(self, event: Event) -> None:
        """Handle an event; RefusedError when the supervisor refused to start."""
        kind = event["event"]
        if kind == "service":
            self._take_service(event)
        elif kind == "note":
            self.note(event["text"])
        elif kind in ("busy", "superseded"):
            self.again = True
        elif kind == "error":
            raise RefusedError(event)
        elif kind == "interrupted":
            self.interrupted = True
            self.step("Stopping")
        elif kind == phases.RUNNING:
            self._started = True
        elif kind == phases.STOPPING:
            self.interrupted = not self._started and not event["failed"]
            self.step("Stopping")

    def conclude(self) -> None:
        """Raise StartError when the services do not run."""
        if self._started or self.again or self.interrupted:
            return
        if not self._failure:
            raise StartError("the supervisor ended before all services ran", "run `stigmer server logs supervisor`")
        raise failure_of(self._failure)

    def _take_service(self, event: Event) -> None:
        name, state = event["service"], event["state"]
        if state == phases.STARTING:
            self._awaited.append(name)
        elif name in self._awaited:
            self._awaited.remove(name)
        if state in _IN_DOUBT:
            self._doubted.add(name)
        elif state == phases.RUNNING and name in self._doubted:
            self.note(f"{name} works again")
        elif state == phases.RUNNING:
            self.done(f"Starting {name}")
        elif event["error"] and (self._started or state == phases.BACKOFF):
            self.note(f"{name} {event['error']}" + ("; restarting it" if state == phases.BACKOFF else ""))
        elif event["error"] and not self._failure:
            self._failure = event
            self._out.line(f"Starting {name}... {self._out.paint(self._out.mark('failed'), 'red')}")
        if state not in _IN_DOUBT:
            self._doubted.discard(name)
        if self._awaited and not self._failure:
            self.step("Starting " + ", ".join(self._awaited))


def failure_of(event: Event) -> StartError:
    """Say why a service ended the start, with the last lines it printed."""
    from stigmer_launcher.cli.logtext import readable  # regular expressions, which a start that succeeds does not need

    lines = "".join(f"\n    {readable(line)}" for line in event["lines"])
    said = f"\n  the end of {event['log']}:{lines}" if lines else f"\n  it printed nothing to {event['log']}"
    return StartError(f"{event['service']} {event['error']}{said}")
