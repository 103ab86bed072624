"""`stigmer server stop SERVICE` and `restart SERVICE`: the supervisor executes them; other services keep running."""

import os
import signal
import stat

import pytest

from stigmer_launcher.supervise.state import Instance
from support.launcher_services import NAMES, Stigmer, eventually, external_temporal, finished, is_running

OTHERS = tuple(name for name in NAMES if name != "workflow-runner")


def test_a_stopped_service_stays_stopped_until_the_next_start(running: Stigmer) -> None:
    pids = running.pids()
    stopped = running("server", "stop", "workflow-runner")
    assert (stopped.code, stopped.out) == (0, "Stopping workflow-runner... ok\n"), stopped.err
    assert not is_running(pids["workflow-runner"])
    shown = running("server", "status")
    assert shown.code == 4
    assert "workflow-runner: stopped by `stigmer server stop`; `stigmer server` starts it" in shown.out
    again = running("server", "stop", "workflow-runner", "workflow-runner")
    assert again.code == 0, again.err
    started = running("server")
    assert started.code == 0, started.err
    assert running.states() == dict.fromkeys(NAMES, "running")
    after = running.pids()
    assert {name: after[name] for name in OTHERS} == {name: pids[name] for name in OTHERS}


@pytest.mark.stack(grace=0.5)
def test_a_restart_of_one_service_returns_when_all_work_again(running: Stigmer) -> None:
    """Services that need it must be ready again first; a suspended service is killed after its grace period."""
    pids = running.pids()
    os.kill(pids["temporal"], signal.SIGSTOP)
    restarted = running("server", "restart", "temporal", "agent-runner")
    assert restarted.code == 0, restarted.err
    assert restarted.out.endswith("Restarting temporal, agent-runner... ok\n")
    assert running.states() == dict.fromkeys(NAMES, "running")
    services = running.services()
    assert {name for name in NAMES if services[name]["pid"] != pids[name]} == {"temporal", "agent-runner"}
    assert {each["restarts"] for each in services.values()} == {0}


def test_a_restart_leaves_other_stopped_services_alone(running: Stigmer) -> None:
    assert running("server", "stop", "workflow-runner", "agent-runner").code == 0
    restarted = running("server", "restart", "agent-runner")
    assert restarted.code == 0, restarted.err
    assert running.states() == {**dict.fromkeys(NAMES, "running"), "workflow-runner": "stopped"}


@pytest.mark.stack(workflow_runner="broken={home}/broken")
def test_a_service_that_does_not_come_back_is_named(running: Stigmer) -> None:
    (running.home / "broken").touch()
    restarted = running("server", "restart", "workflow-runner")
    assert restarted.code == 4
    assert "Error: workflow-runner is pausing: exited with status 1" in restarted.err


def test_a_new_supervisor_begins_with_everything(running: Stigmer) -> None:
    """Stopped services and pending requests of a killed supervisor do not affect the next one."""
    assert running("server", "stop", "agent-runner").code == 0
    os.kill(running.status()["supervisor_pid"], signal.SIGSTOP)
    control = os.open(Instance(str(running.home / "run")).control, os.O_WRONLY | os.O_NONBLOCK)
    os.write(control, b"stop workflow-runner\n")
    os.close(control)
    running.kill_supervisor()
    running.started()
    assert running.states() == dict.fromkeys(NAMES, "running")


def test_garbage_in_the_control_fifo_is_ignored(running: Stigmer) -> None:
    control = running.home / "run" / "control"
    with control.open("wb", buffering=0) as stream:
        stream.write(b"\xff\n\nstop\nstop nobody\nfly temporal\nrestart workflow-runner extra\n")
    restarted = running("server", "restart", "workflow-runner")
    assert restarted.code == 0, restarted.err


def test_the_control_fifo_is_private_and_removed_with_its_supervisor(launcher: Stigmer) -> None:
    """Opening one without a reader would block forever; an existing file is replaced."""
    (launcher.home / "run").mkdir(parents=True)
    control = launcher.home / "run" / "control"
    control.write_text("stop temporal\n", encoding="utf-8")
    launcher.started()
    mode = control.lstat().st_mode
    assert (stat.S_ISFIFO(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert launcher("server", "stop").code == 0
    assert not control.exists()


def test_a_server_without_a_control_fifo_names_the_restart_of_everything(running: Stigmer) -> None:
    """A supervisor of an earlier version has none, nor does one on a file system without FIFOs."""
    (running.home / "run" / "control").unlink()
    refused = running("server", "restart", "temporal")
    assert refused.code == 1
    assert refused.err.splitlines()[1] == "Hint: run `stigmer server restart`, which restarts all services"


def test_a_server_whose_control_fifo_cannot_be_created_runs_nevertheless(launcher: Stigmer) -> None:
    (launcher.home / "run" / "control" / "x").mkdir(parents=True)
    launcher.started()
    assert launcher("server", "stop", "temporal").code == 1
    assert launcher("server", "stop").code == 0


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_an_unknown_service_is_a_usage_error_that_lists_the_services(launcher: Stigmer, verb: str) -> None:
    listed = f"Error: there is no service workflow; there are {', '.join(NAMES)}"
    stopped = launcher("server", verb, "temporal", "workflow")
    assert (stopped.code, stopped.err.splitlines()[0]) == (2, listed)
    launcher.started()
    running = launcher("server", verb, "workflow")
    assert (running.code, running.err.splitlines()[0]) == (2, listed)


def test_a_stopped_server_has_nothing_to_stop_and_nothing_to_restart(launcher: Stigmer) -> None:
    assert launcher("server", "stop", "temporal")[:2] == (0, "Server is not running\n")
    refused = launcher("server", "restart", "temporal")
    assert (refused.code, refused.err) == (3, "Error: the server is stopped\nHint: run `stigmer server`\n")


@pytest.mark.stack(grace=2.0, temporal="term=ignore")
def test_a_stop_of_one_service_succeeds_when_the_whole_server_is_stopped_meanwhile(running: Stigmer) -> None:
    """The service is stopped then, too; when the last service has stopped, the supervisor exits."""
    one = running.popen("server", "stop", "temporal")
    eventually(lambda: running.states()["temporal"] == "ending", "the service is told to stop")
    assert running("server", "stop").code == 0
    done = finished(one)
    assert (done.code, done.err) == (0, "")


@pytest.mark.stack(grace=3.0, agent_runner="term=ignore")
@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("stop", "restart", (0, "")),
        (
            "restart",
            "stop",
            (4, "Error: agent-runner is stopped: stopped by `stigmer server stop`; `stigmer server` starts it"),
        ),
    ],
)
def test_a_command_returns_when_a_later_one_asks_the_opposite_of_the_same_service(
    running: Stigmer, first: str, second: str, outcome: tuple[int, str]
) -> None:
    earlier = running.popen("server", first, "agent-runner")
    eventually(lambda: running.states()["agent-runner"] == "ending", "the service is told to stop")
    assert running("server", second, "agent-runner").code == 0
    done = finished(earlier)
    assert (done.code, done.err.partition("\n")[0]) == outcome


@pytest.mark.stack(grace=3.0, stigmer_server="term=ignore")
def test_a_restart_returns_when_another_command_stops_what_the_service_needs(running: Stigmer) -> None:
    restart = running.popen("server", "restart", "stigmer-server")
    eventually(lambda: running.states()["stigmer-server"] == "ending", "the service is told to stop")
    assert running("server", "stop", "temporal").code == 0
    done = finished(restart)
    assert (done.code, done.err.partition("\n")[0]) == (4, "Error: stigmer-server is waiting")


def test_an_external_service_is_neither_stopped_nor_restarted(launcher: Stigmer) -> None:
    with external_temporal(launcher):
        launcher.started()
        refused = launcher("server", "restart", "temporal")
        assert refused.code == 2
        address = launcher.environment["TEMPORAL_SERVICE_ADDRESS"]
        assert f"temporal at {address} is external: this server does not run it" in refused.err


@pytest.mark.stack(temporal="broken={home}/broken")
def test_a_restart_whose_need_does_not_come_back_names_both(running: Stigmer) -> None:
    (running.home / "broken").touch()
    running.kill("temporal")
    eventually(lambda: running.states()["temporal"] == "pausing", "the crash of temporal")
    restarted = running("server", "restart", "agent-runner")
    assert restarted.code == 4
    assert "temporal is pausing: exited with status 1; agent-runner is waiting" in restarted.err


def test_options_of_a_whole_restart_are_refused_for_one_service(launcher: Stigmer) -> None:
    refused = launcher("server", "restart", "temporal", "--port", "temporal=7000")
    assert refused.code == 2
    assert "without SERVICE" in refused.err
