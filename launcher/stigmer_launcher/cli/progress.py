"""Shows the progress of a start: each step that succeeded, what is pending, and why it failed."""

from typing import Any

from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.errors import LauncherError, StartError
from stigmer_launcher.supervise import phases

Event = dict[str, Any]
_IN_DOUBT = (phases.PROVING, phases.DEGRADED)


class Progress:
    """Displays the events of a start, and of the run that follows in the foreground."""

    def __init__(self, out: Terminal) -> None:
        self._out = out
        self._states: dict[str, str] = {}
        self._failure: Event = {}
        self._started = False
        self.again = False  # another start came first: wait for that one
        self.interrupted = False

    def take(self, event: Event) -> None:
        """Handle an event; LauncherError, the supervisor's own, when it refused to start."""
        match event["event"]:
            case "service":
                self._take_service(event)
            case "note":
                self._out.line(event["text"])
            case "busy" | "superseded":
                self.again = True
            case "error":
                error = LauncherError(event["message"], event["remedy"])
                error.exit_code = event["code"]
                raise error
            case "interrupted":
                self.interrupted = True
                self._out.passing("Stopping...")
            case phases.RUNNING:
                self._started = True
            case phases.STOPPING:
                self.interrupted = not self._started and not event["failed"]
                self._out.passing("Stopping...")

    def _take_service(self, event: Event) -> None:
        name, state = event["service"], event["state"]
        before = self._states.pop(name, "")
        self._states[name] = state
        if state == phases.RUNNING and before in _IN_DOUBT:
            self._out.line(f"{name} works again")
        elif state == phases.RUNNING:
            self._out.done(f"Starting {name}")
        elif event["error"] and state not in _IN_DOUBT:
            self._take_failure(event)
        awaited = [each for each, state in self._states.items() if state == phases.STARTING]
        if awaited and not self._failure:
            self._out.passing(f"Starting {', '.join(awaited)}...")

    def _take_failure(self, event: Event) -> None:
        name, restarting = event["service"], event["state"] == phases.BACKOFF
        if self._started or restarting:
            self._out.line(f"{name} {event['error']}" + ("; restarting it" if restarting else ""))
        elif not self._failure:
            self._failure = event
            self._out.line(f"Starting {name}... {self._out.paint(self._out.mark('failed'), 'red')}")

    def conclude(self) -> None:
        """Raise StartError when the services do not run: why the first one failed, with the last lines it printed."""
        if self._started or self.again or self.interrupted:
            return
        if not self._failure:
            raise StartError("the supervisor ended before all services ran", "run `stigmer server logs supervisor`")
        from stigmer_launcher.cli.logtext import readable  # its regular expressions cost a start that succeeds

        event = self._failure
        lines = "".join(f"\n    {readable(line)}" for line in event["lines"])
        said = f"the end of {event['log']}:{lines}" if lines else f"it printed nothing to {event['log']}"
        raise StartError(f"{event['service']} {event['error']}\n  {said}")
