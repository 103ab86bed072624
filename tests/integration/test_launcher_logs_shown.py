"""`stigmer server logs` over a service that prints colours, emoji and bytes that are no text, where no locale helps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.launcher_checks import shown_on_terminal
from support.launcher_services import Stigmer, eventually, fake_stack, stigmer

PRINTED = (
    b"\x1b[90m11:00PM\x1b[0m \x1b[32mINF\x1b[0m \xf0\x9f\xa4\x96 ready\n"
    b"\x1b]0;another title\x07\x1b[2J10%\r100%\n"
    b"half \xf0\x9f and \xff\n"
)
C_LOCALE = {"LC_ALL": "C", "LANG": "C"}


@pytest.fixture(name="launcher")
def _launcher(tmp_path: Path) -> Iterator[Stigmer]:
    """Run a stack whose agent-runner prints all that."""
    with stigmer(tmp_path, fake_stack(agent_runner=f"prints={PRINTED.hex()}"), **C_LOCALE) as launcher:
        launcher.started()
        eventually(lambda: "half" in launcher("server", "logs", "agent-runner").out, "its last line")
        yield launcher


def in_pipe(launcher: Stigmer, *arguments: str) -> str:
    """Run a command whose output is a pipe, and give what came."""
    process = launcher.popen(*arguments, encoding="utf-8")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    return out


def test_a_log_is_shown_as_it_was_meant_whatever_the_locale(launcher: Stigmer) -> None:
    """In the file as printed; in a pipe as text; on a terminal with the service's colours and nothing else of it."""
    logs = ("server", "logs", "agent-runner")
    text = "INF \N{ROBOT FACE} ready\n100%\nhalf \\xf0\\x9f and \\xff\n"
    assert all(line in (launcher.home / "logs" / "agent-runner.log").read_bytes() for line in PRINTED.splitlines())
    assert in_pipe(launcher, *logs) == f"11:00PM {text}"
    stamped = in_pipe(launcher, *logs, "--timestamps").splitlines(keepends=True)
    assert "".join(line.partition("Z ")[2] for line in stamped) == text
    launcher.environment |= {"TERM": "xterm"}
    coloured = text.replace("INF", "\x1b[90m11:00PM\x1b[0m \x1b[32mINF\x1b[0m").replace("ready", "ready\x1b[0m")
    assert shown_on_terminal(launcher, *logs) == coloured.encode()
    launcher.environment |= {"NO_COLOR": "1"}
    assert shown_on_terminal(launcher, *logs) == f"11:00PM {text}".encode()


def test_output_that_can_hold_nothing_but_ascii_gets_escapes(launcher: Stigmer) -> None:
    """Also where neither Python nor the freezer has chosen UTF-8."""
    launcher.environment |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "INF \\U0001f916 ready\n" in in_pipe(launcher, "server", "logs", "agent-runner")


def test_the_lines_of_several_services_are_told_apart_in_a_pipe(launcher: Stigmer) -> None:
    lines = in_pipe(launcher, "server", "logs").splitlines()
    assert "agent-runner | 100%" in lines
    assert any(line.startswith("supervisor   | temporal: starting") for line in lines)


def test_a_service_that_has_printed_nothing_has_an_empty_log(launcher: Stigmer) -> None:
    assert in_pipe(launcher, "server", "logs", "temporal") == ""
    refused = launcher("server", "logs", "temporl")
    assert refused.code == 2
    assert "there are agent-runner, stigmer-server, supervisor, temporal, workflow-runner" in refused.err


def test_following_shows_services_that_print_later(tmp_path: Path) -> None:
    """Begun before the first start, when there is no log at all."""
    with stigmer(tmp_path, fake_stack(agent_runner=f"prints={PRINTED.hex()}")) as launcher:
        following = launcher.popen("server", "logs", "--follow", encoding="utf-8")
        assert following.stdout is not None
        launcher.started()
        seen = (line for line in following.stdout if line.endswith("| 100%\n"))
        assert next(seen) == "agent-runner    | 100%\n"
        following.kill()
        following.communicate()
