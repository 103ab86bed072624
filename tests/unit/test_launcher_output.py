"""Output for users: the same text everywhere, colours and symbols only where the terminal supports them."""

import io
import os
import pty
from typing import Any

import pytest

from stigmer_launcher.cli.commands.services import require_running
from stigmer_launcher.cli.commands.start import Progress
from stigmer_launcher.cli.terminal import Terminal, duration, terminal_of
from stigmer_launcher.errors import EXTERNAL_REMEDY, DegradedError, LauncherError, StartError
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.state import ServiceSnapshot

UTF8 = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}


@pytest.mark.parametrize(
    ("environ", "live", "colour", "unicode"),
    [
        (UTF8, True, True, True),
        ({**UTF8, "NO_COLOR": "1"}, True, False, True),
        ({**UTF8, "NO_COLOR": ""}, True, True, True),
        ({**UTF8, "LANG": "C"}, True, True, False),
        ({**UTF8, "LC_ALL": "POSIX"}, True, True, False),
        ({"TERM": "xterm", "LC_CTYPE": "UTF-8"}, True, True, True),
        ({**UTF8, "TERM": "dumb"}, False, False, False),
        ({"LANG": "en_US.UTF-8"}, False, False, False),
    ],
)
def test_output_uses_what_the_terminal_supports(
    environ: dict[str, str], *, live: bool, colour: bool, unicode: bool
) -> None:
    """It also respects the user's settings: NO_COLOR, a dumb terminal, a locale without UTF-8."""
    controller, descriptor = pty.openpty()
    with os.fdopen(descriptor, "w", encoding="utf-8") as screen:
        terminal = terminal_of(screen, environ)
    os.close(controller)
    assert (terminal.live, terminal.colour, terminal.unicode) == (live, colour, unicode)


def test_a_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    terminal = terminal_of(out, UTF8)
    terminal.transient("not for pipes")
    terminal.line(f"{terminal.paint('red', 'red')} {terminal.mark('done')}")
    assert out.getvalue() == "red ok\n"


def test_a_transient_line_is_overwritten() -> None:
    out = io.StringIO()
    terminal = Terminal(out, live=True, colour=False, unicode=True)
    terminal.transient("waiting")
    terminal.line(f"done {terminal.mark('done')}")
    assert out.getvalue() == "\r\033[Kwaiting\r\033[Kdone ✓\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_a_stream_cannot_encode_are_escaped(encoding: str) -> None:
    """An emoji from a service, or a path that is not UTF-8, must not crash a command."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    terminal_of(stream, {}).line("\N{ROBOT FACE} \udcff")
    assert raw.getvalue() == "\N{ROBOT FACE} \udcff\n".encode(encoding, errors="backslashreplace")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (5.9, "5s"), (123, "2m 3s"), (3840, "1h 4m"), (183600, "2d 3h"), (86400, "1d 0h")],
)
def test_durations_are_shown_in_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- the progress of a start ---------------------------------------------------------------------------------------------


def service(name: str, state: str, error: str = "", lines: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "event": "service", "service": name, "state": state, "pid": 1, "error": error, "lines": list(lines), "log": "/l",
    }  # fmt: skip


def follow(*events: dict[str, Any], live: bool = False) -> str:
    out = io.StringIO()
    progress = Progress(Terminal(out, live=live, colour=False, unicode=True))
    for event in events:
        progress.handle(event)
    progress.require_started({})
    return out.getvalue()


RUNS: dict[str, Any] = {"event": phases.RUNNING, "failed": ""}


def test_each_step_is_printed_when_it_succeeds() -> None:
    steps = (service("a", "starting"), service("b", "starting"), service("b", "running"), service("a", "running"))
    assert follow(*steps, RUNS) == "Starting b... ✓\nStarting a... ✓\n"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (("Traceback", "ImportError: x"), "\n  the end of /l:\n    Traceback\n    ImportError: x"),
        (
            ("\033[31mFTL\033[0m no database", "10%\r20%", "\033]0;title\a"),
            "\n  the end of /l:\n    FTL no database\n    20%\n    ",
        ),
        ((), "\n  it printed nothing to /l"),
    ],
    ids=["lines", "control sequences", "nothing"],
)
def test_a_failed_start_names_the_service_its_last_lines_and_the_remedy(lines: tuple[str, ...], shown: str) -> None:
    """Only the first failure is reported: later ones are its consequences."""
    with pytest.raises(StartError) as caught:
        follow(
            service("b", "failed", "exited with status 1", lines),
            {"event": phases.STOPPING, "failed": "b"},
            service("a", "ending", "a consequence"),
        )
    assert str(caught.value) == f"b exited with status 1{shown}"
    assert caught.value.exit_code == 1
    assert "stigmer server logs" in caught.value.remedy


def test_the_error_of_an_external_service_refers_to_no_log() -> None:
    with pytest.raises(StartError) as caught:
        follow(service("b", "failed", "was not ready within 60 s") | {"log": ""})
    assert (str(caught.value), caught.value.remedy) == ("b was not ready within 60 s", EXTERNAL_REMEDY)


@pytest.mark.parametrize(("managed", "remedy"), [(False, EXTERNAL_REMEDY), (True, "`stigmer server restart a`")])
def test_the_remedy_is_a_restart_only_for_a_managed_service(*, managed: bool, remedy: str) -> None:
    with pytest.raises(DegradedError) as caught:
        require_running([ServiceSnapshot("a", phases.DEGRADED, managed=managed, not_ready_reason="no answer")])
    assert str(caught.value) == "a is degraded: no answer"
    assert remedy in caught.value.remedy


def test_an_interrupted_start_without_running_services_is_not_a_failure() -> None:
    """For example with an external Temporal that does not answer: there is nothing to stop."""
    out = follow(service("a", "starting"), {"event": phases.STOPPED, "failed": ""})
    assert out.endswith("Stopping server... ✓\n")


@pytest.mark.parametrize("before", [(), (RUNS,)], ids=["while it starts", "in the foreground"])
def test_the_end_of_a_stop_is_printed_on_a_line_of_its_own(before: tuple[dict[str, Any], ...]) -> None:
    """The shell prompt once followed `Stopping...`, or the start of an abandoned service, on the same line."""
    ends = ({"event": stage, "failed": ""} for stage in (phases.STOPPING, phases.STOPPED))
    started = [service("a", "starting"), *([service("a", "running")] if before else []), *before]
    output = follow(*started, next(ends), service("b", "stopped"), next(ends), live=True)
    assert output.endswith("\r\033[KStopping...\r\033[KStopping server... ✓\n")


def test_an_error_event_keeps_its_message_remedy_and_exit_code() -> None:
    with pytest.raises(LauncherError) as caught:
        follow({"event": "error", "message": "port 1 is taken", "remedy": "free it", "code": 1})
    assert (str(caught.value), caught.value.remedy, caught.value.exit_code) == ("port 1 is taken", "free it", 1)


def test_a_supervisor_that_ends_during_the_start_is_a_failure() -> None:
    with pytest.raises(StartError, match="ended before all services ran"):
        follow(service("a", "starting"))


def test_later_crashes_are_also_shown_in_the_foreground() -> None:
    output = follow(RUNS, service("a", "pausing", "killed by SIGKILL"), service("b", "failed", "exited"))
    assert output == "a killed by SIGKILL; restarting it\nb exited\n"


def test_a_service_that_recovers_is_reported() -> None:
    """The reason for its degradation is left to `status`; a crash in between is reported as a restart."""
    states = (service("a", "degraded", "does not answer"), service("a", "running"))
    assert follow(RUNS, *states) == "a works again\n"
    crash = (
        service("a", "degraded"),
        service("a", "pausing", "killed"),
        service("a", "starting"),
        service("a", "running"),
    )
    assert follow(RUNS, *crash) == "a killed; restarting it\nStarting a... ✓\n"
