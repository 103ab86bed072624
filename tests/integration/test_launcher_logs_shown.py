"""`stigmer server logs` of a service that prints colours, emoji and bytes that are not UTF-8, in the C locale."""

import pytest

from support.launcher_checks import shown_on_terminal
from support.launcher_services import Stigmer, eventually

PRINTED = (
    b"\x1b[90m11:00PM\x1b[0m \x1b[32mINF\x1b[0m \xf0\x9f\xa4\x96 ready\n"
    b"\x1b]0;another title\x07\x1b[2J10%\r100%\n"
    b"half \xf0\x9f and \xff\n"
)
LOGS = ("server", "logs", "agent-runner")
pytestmark = pytest.mark.stack(agent_runner=f"prints={PRINTED.hex()}")


@pytest.fixture(name="printed")
def _printed(launcher: Stigmer) -> Stigmer:
    """Run the stack in the C locale until its agent-runner has printed PRINTED."""
    launcher.environment |= {"LC_ALL": "C", "LANG": "C"}
    launcher.started()
    eventually(lambda: "half" in launcher(*LOGS).out, "its last line")
    return launcher


def in_pipe(launcher: Stigmer, *options: str) -> str:
    done = launcher(*LOGS, *options, encoding="utf-8")
    assert (done.code, done.err) == (0, "")
    return done.out


def test_a_log_is_readable_in_any_locale(printed: Stigmer) -> None:
    """A file has the raw output, a pipe plain text, and a terminal the service's colours but no other escapes."""
    text = "INF \N{ROBOT FACE} ready\n100%\nhalf \\xf0\\x9f and \\xff\n"
    assert all(line in (printed.home / "logs" / "agent-runner.log").read_bytes() for line in PRINTED.splitlines())
    assert in_pipe(printed) == f"11:00PM {text}"
    stamped = in_pipe(printed, "--timestamps").splitlines(keepends=True)
    assert "".join(line.partition("Z ")[2] for line in stamped) == text
    printed.environment |= {"TERM": "xterm"}
    coloured = text.replace("INF", "\x1b[90m11:00PM\x1b[0m \x1b[32mINF\x1b[0m").replace("ready", "ready\x1b[0m")
    assert shown_on_terminal(printed, *LOGS) == coloured.encode()
    printed.environment |= {"NO_COLOR": "1"}
    assert shown_on_terminal(printed, *LOGS) == f"11:00PM {text}".encode()


def test_a_service_that_has_printed_nothing_has_an_empty_log(printed: Stigmer) -> None:
    nothing = printed("server", "logs", "temporal")
    assert (nothing.code, nothing.out) == (0, "")


def test_an_unknown_service_is_refused_with_a_list_of_the_logs(printed: Stigmer) -> None:
    refused = printed("server", "logs", "temporl")
    assert refused.code == 2
    assert "there are agent-runner, stigmer-server, supervisor, temporal, workflow-runner" in refused.err


def test_output_limited_to_ascii_contains_escapes(printed: Stigmer) -> None:
    """Even if neither Python nor the freezer has selected UTF-8."""
    printed.environment |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "INF \\U0001f916 ready\n" in in_pipe(printed)
