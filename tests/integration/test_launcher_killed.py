"""Whatever is killed with -9, nothing is left behind, nothing is lost, and the next `stigmer server` works."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.launcher_checks import all_run, watchdog, works
from support.launcher_services import (
    NAMES,
    eventually,
    fake_stack,
    is_running,
    stigmer,
)


def test_a_killed_supervisor_leaves_no_service_behind(tmp_path: Path) -> None:
    """The watchdog stops them all, in order."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")
        assert launcher("server", "status").code == 3
        works(launcher)


def test_the_next_start_waits_for_a_watchdog_at_work(tmp_path: Path) -> None:
    """Two sets of services must never run at once, nor fight for the ports."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=2)) as launcher:
        launcher.started()
        old = launcher.services()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        done = launcher("server")
        assert done.code == 0, done.err
        assert "which stops the services of a killed supervisor" in done.out
        assert not [pid for pid in old if is_running(pid)]


def test_the_status_names_the_watchdog_at_work(tmp_path: Path) -> None:
    """The server is neither stopped nor does it run."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=2)) as launcher:
        launcher.started()
        guard = watchdog(launcher)
        os.kill(guard, signal.SIGSTOP)  # it is as slow as the test is
        os.kill(supervisor := launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: not is_running(supervisor), "the supervisor's end")
        shown, plain = launcher("server", "status"), launcher.status()
        os.kill(guard, signal.SIGCONT)
        assert (shown.code, shown.err) == (4, "")
        assert shown.out.splitlines() == [
            f"Stigmer is cleaning up (watchdog {guard})",
            "  its supervisor was killed; `stigmer server` waits for the watchdog and starts it again",
        ]
        assert (plain["state"], plain["supervisor_pid"]) == ("cleaning up", 0)
        eventually(lambda: launcher("server", "status").code == 3, "the end of the watchdog's work")


def test_supervisor_and_watchdog_killed_together_the_next_start_ends_what_they_left(tmp_path: Path) -> None:
    """By identity: exactly those."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        old = all_run(launcher)
        for pid in (watchdog(launcher), launcher.status()["supervisor_pid"]):
            os.kill(pid, signal.SIGSTOP)
        for pid in (watchdog(launcher), launcher.status()["supervisor_pid"]):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not launcher.status()["supervisor_pid"], "the supervisor's end")
        assert all(is_running(pid) for pid in old.values())
        done = launcher("server")
        assert done.code == 0, done.err
        assert "Ended 4 processes that a killed supervisor had left" in done.out
        assert not [pid for pid in old.values() if is_running(pid)]
        assert launcher("server", "stop").code == 0
        works(launcher)


def test_stop_ends_what_a_killed_pair_left(tmp_path: Path) -> None:
    """Nobody has to start the server in order to stop it."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        old = all_run(launcher)
        pids = [watchdog(launcher), launcher.status()["supervisor_pid"]]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        eventually(lambda: not launcher.status()["supervisor_pid"], "the supervisor's end")
        assert launcher("server", "stop").out == "Ended 4 processes of a killed server\n"
        assert not [pid for pid in old.values() if is_running(pid)]
        works(launcher)


def test_a_stale_pid_that_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """The state file names a number; its owner is a stranger by now."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        state_file = launcher.home / "run" / "state.json"
        state = json.loads(state_file.read_text(encoding="utf-8"))
        assert launcher("server", "stop").code == 0
        stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
        try:
            for service in state["services"]:
                service["pid"] = stranger.pid
            state["supervisor_pid"] = stranger.pid
            state_file.write_text(json.dumps(state), encoding="utf-8")
            assert launcher("server", "status").code == 3
            assert launcher("server", "stop").code == 0
            works(launcher)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


WRONG_SHAPES = (
    '{"format": 1, "state": "running", "services": [{"pid": 5}]}',
    '{"format": 1, "state": "running", "services": 3}',
    '{"format": 1, "state": ["running"], "token": 7, "services": [{"pid": "5", "identity": 5, "stop_order": "x"}]}',
    '{"format": 1, "state": "stopping", "services": [3, null], "ports": [7234], "timeline": {"server": 1}}',
)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\0" * 100, *WRONG_SHAPES])
def test_a_broken_state_file_is_nothing_to_stumble_over(tmp_path: Path, content: str) -> None:
    """A power cut may leave anything."""
    with stigmer(tmp_path) as launcher:
        (launcher.home / "run").mkdir(parents=True)
        (launcher.home / "run" / "state.json").write_text(content, encoding="utf-8")
        assert launcher("server", "status").code == 3
        assert launcher("server", "stop").code == 0
        works(launcher)


@pytest.mark.parametrize("names", [(name,) for name in NAMES] + [("temporal", "agent-runner"), NAMES], ids="+".join)
def test_killed_services_are_started_again(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Each alone, two at once, all at once; the others keep running."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = all_run(launcher)
        for name in names:
            os.kill(before[name], signal.SIGKILL)
        eventually(lambda: "pausing" in launcher.log("supervisor"), "the crash to be seen")
        after = all_run(launcher)
        assert {name for name in NAMES if before[name] != after[name]} == set(names)
        restarts = {each["name"]: each["restarts"] for each in launcher.status()["services"]}
        assert restarts == {name: int(name in names) for name in NAMES}
        errors = {each["name"]: each["last_error"] for each in launcher.status()["services"]}
        assert all(errors[name] == "killed by SIGKILL" for name in names)
        assert launcher("smoke").code == 0


def test_a_killed_watchdog_is_replaced(tmp_path: Path) -> None:
    """And the new one knows the services."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        first = watchdog(launcher)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: watchdog(launcher) not in (0, first), "another watchdog")
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")
        works(launcher)


def test_a_killed_command_does_not_take_the_services_with_it(tmp_path: Path) -> None:
    """Whoever started it is gone; the start goes on, and the next command finds it."""
    with stigmer(tmp_path, fake_stack(agent_runner="slow=1")) as launcher:
        process = launcher.popen("server")
        eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
        process.kill()
        process.communicate()
        done = launcher("server")
        assert done.code == 0, done.err
        assert f"Another `stigmer server` (pid {launcher.status()['supervisor_pid']}) is starting; waiting" in done.out
        all_run(launcher)
