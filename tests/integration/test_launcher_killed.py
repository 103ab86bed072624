"""After SIGKILL of any process, nothing is left behind or lost, and the next `stigmer server` works."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.launcher_checks import assert_works, await_all_running, kill_together, watchdog
from support.launcher_services import NAMES, Stigmer, eventually, is_running


def test_a_killed_supervisor_leaves_no_service_behind(running: Stigmer) -> None:
    running.kill_supervisor()
    eventually(lambda: running.processes() == [], "the end of every process")
    assert running("server", "status").code == 3
    assert_works(running)


@pytest.mark.stack(agent_runner="term=ignore", grace=2)
def test_the_next_start_waits_for_a_watchdog_at_work(running: Stigmer) -> None:
    """Two sets of services must never run at the same time or compete for the ports."""
    old = running.children()
    running.kill_supervisor()
    done = running("server")
    assert done.code == 0, done.err
    assert "which stops the services of a killed supervisor" in done.out
    assert not [pid for pid in old if is_running(pid)]


@pytest.mark.stack(agent_runner="term=ignore", grace=2)
def test_the_status_names_the_watchdog_at_work(running: Stigmer) -> None:
    guard = watchdog(running)
    os.kill(guard, signal.SIGSTOP)  # makes it as slow as the test
    running.kill_supervisor()
    shown, plain = running("server", "status"), running.status()
    os.kill(guard, signal.SIGCONT)
    assert (shown.code, shown.err) == (4, "")
    assert shown.out.splitlines() == [
        f"Stigmer is cleaning up (watchdog {guard})",
        "  its supervisor was killed; `stigmer server` waits for its watchdog, then starts the server again",
    ]
    assert (plain["state"], plain["supervisor_pid"]) == ("cleaning up", 0)
    eventually(lambda: running("server", "status").code == 3, "the end of the watchdog's work")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("server", "Ended processes that a killed supervisor had left: 4"),
        ("server stop", "Ended processes of a killed server: 4\n"),
    ],
)
def test_services_of_a_killed_supervisor_and_watchdog_are_stopped_first(
    running: Stigmer, words: str, message: str
) -> None:
    old = await_all_running(running)
    kill_together(running)
    assert all(is_running(pid) for pid in old.values())
    done = running(*words.split())
    assert (done.code, message in done.out) == (0, True), done
    assert not [pid for pid in old.values() if is_running(pid)]
    assert running("server", "stop").code == 0
    assert_works(running)


def test_the_status_names_the_services_that_a_killed_server_has_left(running: Stigmer) -> None:
    """It once said only that the server was stopped, and in JSON that every service was."""
    old = await_all_running(running)
    kill_together(running)
    shown = running("server", "status")
    left = f"  services of a killed server still run: {', '.join(NAMES)}; `stigmer server` ends them"
    assert (shown.code, shown.out.splitlines()[2:]) == (3, [left])
    assert {each["name"]: each["pid"] for each in running.status()["services"]} == old
    assert running("server", "stop").code == 0
    assert running("server", "status").out.splitlines()[2:] == []


def test_a_stale_pid_that_was_reused_is_left_alone(running: Stigmer) -> None:
    state_file = running.home / "run" / "state.json"
    state = json.loads(state_file.read_text(encoding="utf-8"))
    assert running("server", "stop").code == 0
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        for service in state["services"]:
            service["pid"] = stranger.pid
        state["supervisor_pid"] = stranger.pid
        state_file.write_text(json.dumps(state), encoding="utf-8")
        assert running("server", "status").code == 3
        assert running("server", "stop").code == 0
        assert_works(running)
        assert stranger.poll() is None
        stranger.kill()


WRONG_SHAPES = (
    '{"format": 1, "state": "running", "services": [{"pid": 5}]}',
    '{"format": 1, "state": "running", "services": 3}',
    '{"format": 1, "state": ["running"], "token": 7, "services": [{"pid": "5", "identity": 5, "stop_order": "x"}]}',
    '{"format": 1, "state": "stopping", "services": [3, null], "ports": [7234], "timeline": {"server": 1}}',
)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\0" * 100, *WRONG_SHAPES])
def test_a_broken_state_file_does_not_break_a_start(launcher: Stigmer, content: str) -> None:
    """A power failure may leave any content."""
    (launcher.home / "run").mkdir(parents=True)
    (launcher.home / "run" / "state.json").write_text(content, encoding="utf-8")
    assert launcher("server", "status").code == 3
    assert launcher("server", "stop").code == 0
    assert_works(launcher)


@pytest.mark.parametrize("names", [(name,) for name in NAMES] + [("temporal", "agent-runner"), NAMES], ids="+".join)
def test_killed_services_are_started_again(running: Stigmer, names: tuple[str, ...]) -> None:
    before = await_all_running(running)
    for name in names:
        os.kill(before[name], signal.SIGKILL)
    eventually(lambda: "pausing" in running.log("supervisor"), "the crash to be seen")
    after = await_all_running(running)
    assert {name for name in NAMES if before[name] != after[name]} == set(names)
    services = running.services()
    assert {name: each["restarts"] for name, each in services.items()} == {name: int(name in names) for name in NAMES}
    assert all(services[name]["last_error"] == "killed by SIGKILL" for name in names)
    lines = [line.partition(" ")[2] for line in running.log("supervisor").splitlines() if line.endswith("by SIGKILL")]
    assert sorted(lines) == sorted(f"{name}: pausing: killed by SIGKILL" for name in names)
    assert running("smoke").code == 0


@pytest.mark.stack(agent_runner="slow=1")
def test_a_killed_command_does_not_take_the_services_with_it(launcher: Stigmer) -> None:
    process = launcher.popen("server")
    eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
    process.kill()
    process.communicate()
    done = launcher("server")
    assert done.code == 0, done.err
    assert f"Another `stigmer server` (pid {launcher.status()['supervisor_pid']}) is starting; waiting" in done.out
    await_all_running(launcher)


@pytest.mark.stack(agent_runner="slow=1")
@pytest.mark.skipif(sys.platform != "linux", reason="open files are read from /proc")
def test_the_supervisor_of_a_killed_command_keeps_no_pipe_to_it(launcher: Stigmer) -> None:
    """Otherwise it would try to write every later event to it."""
    process = launcher.popen("server")
    eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
    process.kill()
    process.communicate()
    launcher.started()
    killed = open_pipes(launcher)
    assert launcher("server", "stop").code == 0
    launcher.started()
    assert killed == open_pipes(launcher)


def open_pipes(launcher: Stigmer) -> int:
    """Return the number of pipe ends that the supervisor has open."""
    folder = Path(f"/proc/{launcher.status()['supervisor_pid']}/fd")
    return sum(str(path.readlink()).startswith("pipe:") for path in folder.iterdir())


def test_a_state_that_could_not_be_written_is_written_later(running: Stigmer) -> None:
    """Regression: if the disk was full when a service was restarted, the status kept naming the old process."""
    old = running.kill("agent-runner")
    obstacles = [running.home / "run" / name for name in ("state.json.new", "state.json")]
    obstacles[1].unlink()
    for obstacle in obstacles:
        obstacle.mkdir()
    eventually(lambda: running.log("supervisor").count("agent-runner: running") == 2, "agent-runner to run again")
    assert running.pid("agent-runner") == 0
    for obstacle in obstacles:
        obstacle.rmdir()
    eventually(lambda: running.pid("agent-runner") not in (0, old), "the new process to be named")
