"""The smoke call and its answer; the smoke command, its time limit, exit code and output."""

import json
import os
import signal
import time

import pytest

from stigmer_launcher.cli.commands.smoke import judge, run, send_request
from stigmer_launcher.errors import SmokeError
from stigmer_launcher.install.payload import Smoke
from stigmer_launcher.launch.environment import ServiceCommand
from stigmer_launcher.readiness import channel, grpc
from stigmer_launcher.supervise.state import Snapshot
from support.launcher_services import eventually, is_running


def shell(script: str, seconds: float = 30.0) -> tuple[int, str]:
    return run(ServiceCommand(("/bin/sh", "-c", script), {"NAME": "value"}), seconds)


def test_a_command_runs_with_its_own_environment_and_stdout_and_stderr_are_captured() -> None:
    status, output = shell('echo "$NAME $HOME"; echo error >&2; exit 3')
    assert os.waitstatus_to_exitcode(status) == 3
    assert output == "value \nerror"


def test_a_command_that_closes_its_output_is_waited_for() -> None:
    assert os.waitstatus_to_exitcode(shell("exec >&- 2>&-; sleep 0.2; exit 5")[0]) == 5


def test_a_command_has_an_exit_code_although_the_caller_ignores_sigchld() -> None:
    """An ignored SIGCHLD is inherited, as after `trap '' CHLD`, and the kernel then keeps no exit status."""
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert os.waitstatus_to_exitcode(shell("exit 5")[0]) == 5
    finally:
        signal.signal(signal.SIGCHLD, ignored)


def test_a_command_that_takes_too_long_is_killed_with_its_children() -> None:
    """Even if a child keeps the output open."""
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"did not end within 0\.5 s"):
        shell("sleep 600 & sleep 600", 0.5)
    assert time.monotonic() - began < 60


def test_a_command_that_prints_endlessly_is_killed_at_its_time_limit() -> None:
    with pytest.raises(TimeoutError):
        shell("exec yes", 0.5)


def test_background_processes_of_a_command_are_killed() -> None:
    pid = int(shell("sleep 600 & echo $!")[1])
    eventually(lambda: not is_running(pid), "the end of the background process")


def test_the_end_of_a_long_output_is_kept() -> None:
    """One megabyte is enough for any regular expression."""
    _, output = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert len(output) <= 1024 * 1024
    assert output.endswith("\nthe end")


@pytest.mark.parametrize(
    ("smoke", "status", "output", "problem"),
    [
        (Smoke("command"), 0, "anything", ""),
        (Smoke("command", exit_code=3, output="^b$|c+"), 3 << 8, "a\ncc", ""),
        (Smoke("command"), 1 << 8, "", "exited with status 1, not with status 0"),
        (Smoke("command"), 9, "", "killed by SIGKILL, not with status 0"),
        (Smoke("command", output="ok"), 0, "bad", "printed nothing that matches 'ok'"),
    ],
)
def test_a_command_is_judged_by_its_exit_code_and_its_output(
    smoke: Smoke, status: int, output: str, problem: str
) -> None:
    assert judge(smoke, status, output) == problem


@pytest.mark.parametrize(("path", "shown"), [(["server", "agent"], "server -> agent"), (7, ""), (None, "")])
def test_the_path_of_a_request_is_shown_if_the_answer_has_one(
    monkeypatch: pytest.MonkeyPatch, path: object, shown: str
) -> None:
    reply = grpc.encode({1: json.dumps({"path": path, "message": "hello"})})
    monkeypatch.setattr(channel, "ask", lambda *_: (reply,))
    _, lines = send_request(Smoke("grpc", 1.0, "/a.B/C", "server"), Snapshot(ports={"server": 7234}), "hello")
    assert lines[:2] == [shown, "  answer: hello"]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (None, "the server refused the request"),
        (b"\xff", "the server's answer is not JSON"),
        (grpc.encode({1: "{"}), "the server's answer is not JSON"),
        (grpc.encode({1: "[" * 100_000}), "the server's answer is not JSON"),
        (grpc.encode({1: '{"message": "hello"}'.encode("utf-32-be")}), "the server's answer is not JSON"),
        (grpc.encode({1: "[1]"}), "the server's answer is not a JSON object"),
    ],
)
def test_an_invalid_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch, reply: bytes | None, problem: str) -> None:
    """Including one in UTF-32, for which the frozen launcher has no codec."""
    monkeypatch.setattr(channel, "ask", lambda *_: (reply,))
    with pytest.raises(SmokeError, match=problem):
        send_request(Smoke("grpc", 1.0, "/a.B/C", "server"), Snapshot(ports={"server": 7234}), "hello")
