"""`stigmer server` and `stigmer server stop` wait for any concurrent command; then everything runs, or nothing does."""

import os
import resource
import signal

import pytest

from support.launcher_checks import assert_works, await_all_running, kill_together, watchdog
from support.launcher_services import Stigmer, eventually, finished, free_ports


@pytest.mark.stack(workflow_runner="slow=0.5")
def test_a_start_right_after_a_service_was_killed_waits_until_it_is_back(running: Stigmer) -> None:
    before = running.kill("workflow-runner")
    done = running("server")
    assert (done.code, done.err) == (0, "")
    assert "is restarting services; waiting" in done.out
    assert running.status()["state"] == "running"
    assert running.pid("workflow-runner") not in (0, before)


@pytest.mark.stack(stigmer_server="slow=0.3 dials=once", seconds=8)
def test_a_start_survives_a_kill_of_temporal_while_a_service_that_dials_once_dials(launcher: Stigmer) -> None:
    """Regression: the service served without workflows, and the start failed."""
    starting = launcher.popen("server")
    eventually(lambda: "stigmer-server: starting" in launcher.log("supervisor"), "the service's start")
    launcher.kill("temporal")
    done = finished(starting)
    assert (done.code, done.err) == (0, ""), launcher.log("supervisor")
    await_all_running(launcher)


@pytest.mark.stack(agent_runner="broken={home}/broken", stigmer_server="term=ignore", grace=1)
def test_a_start_that_waited_for_a_failing_one_starts_the_server_itself(launcher: Stigmer) -> None:
    """The cause of the other one's failure may be gone."""
    launcher.home.mkdir()
    (launcher.home / "broken").touch()
    first = launcher.popen("server")
    eventually(lambda: "everything: stopping" in launcher.log("supervisor"), "the failure")
    (launcher.home / "broken").unlink()
    done = launcher("server")
    assert finished(first).code == 1
    assert done.code == 0, done.err
    await_all_running(launcher)


@pytest.mark.stack(agent_runner="term=ignore", grace=4)
def test_a_start_during_a_stop_waits_for_its_end_and_starts(running: Stigmer) -> None:
    pid = running.status()["supervisor_pid"]
    stopping = running.popen("server", "stop")
    eventually(lambda: "agent-runner: ending" in running.log("supervisor"), "the stop")
    done = running("server")
    assert done.code == 0, done.err
    assert f"The server (pid {pid}) is stopping; waiting" in done.out
    finished(stopping)
    assert running.status()["supervisor_pid"] not in (0, pid)


@pytest.mark.stack(agent_runner="term=ignore", grace=1)
def test_a_stop_right_after_the_supervisor_was_killed_waits_for_the_watchdog(running: Stigmer) -> None:
    running.kill_supervisor()
    done = running("server", "stop")
    assert running.processes() == []
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Stopping server... ok\n")
    assert "Server is not running" not in done.out
    assert_works(running)


@pytest.mark.stack(agent_runner="term=ignore", grace=1)
def test_a_stop_whose_supervisor_is_killed_meanwhile_returns_when_nothing_runs(running: Stigmer) -> None:
    stopping = running.popen("server", "stop")
    eventually(lambda: "agent-runner: ending" in running.log("supervisor"), "the stop")
    running.kill_supervisor()
    assert finished(stopping).code == 0
    assert running.processes() == []
    assert_works(running)


def test_a_restart_that_cannot_be_spawned_is_tried_again(running: Stigmer) -> None:
    program = (running.home / "bin" / "agent-runner").resolve()
    aside = program.rename(program.with_name("aside"))
    running.kill("agent-runner")
    eventually(lambda: "agent-runner: pausing: could not be run" in running.log("supervisor"), "a failed spawn")
    aside.rename(program)
    await_all_running(running)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can lower the limit of another process")
def test_a_watchdog_that_cannot_be_replaced_at_once_is_replaced_later(running: Stigmer) -> None:
    """The supervisor has no free descriptor for a moment; it and the services keep running.

    One service is stopped first: poll(2) fails with more descriptors than the limit.
    """
    assert running("server", "stop", "agent-runner").code == 0
    first, supervisor, services = watchdog(running), running.status()["supervisor_pid"], running.processes()
    before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (5, before[1]))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: "cannot start another watchdog" in running.log("supervisor"), "a failed attempt")
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
    second = eventually(lambda: watchdog(running) not in (0, first) and watchdog(running), "another watchdog")
    assert set(running.processes()) == {*services, second} - {first}
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: running.processes() == [], "the end of every process")


@pytest.mark.stack(agent_runner="slow=1")
def test_a_service_killed_during_the_start_is_started_again(launcher: Stigmer) -> None:
    process = launcher.popen("server")
    pid = eventually(lambda: launcher.pid("agent-runner"), "the runner's start")
    os.kill(pid, signal.SIGKILL)
    done = finished(process)
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if "agent-runner" in line]
    assert lines == ["agent-runner killed by SIGKILL; restarting it", "Starting agent-runner... ok"]


def test_a_restart_keeps_the_ports_that_the_start_was_asked_for(launcher: Stigmer) -> None:
    """Ports on the restart's command line override them; a start after a stop uses the settings again."""
    server, temporal = free_ports(2)
    assert launcher("server", "--port", f"server={server}").code == 0
    assert launcher("server", "restart").code == 0
    assert launcher.status()["ports"]["server"] == server
    assert launcher("server", "restart", "--port", f"temporal={temporal}").code == 0
    assert launcher.status()["ports"] == {"server": server, "temporal": temporal}
    assert launcher("server", "stop").code == 0
    launcher.started()
    assert launcher.status()["ports"]["server"] != server


def test_a_restart_after_a_kill_keeps_the_ports_too(launcher: Stigmer) -> None:
    (server,) = free_ports(1)
    assert launcher("server", "--port", f"server={server}").code == 0
    kill_together(launcher)
    done = launcher("server", "restart")
    assert done.code == 0, done.err
    assert launcher.status()["ports"]["server"] == server
