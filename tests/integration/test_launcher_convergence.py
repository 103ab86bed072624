"""Whatever `stigmer server` and `stigmer server stop` meet, they wait for it: then everything runs, or nothing does."""

import os
import resource
import signal
from pathlib import Path

from support.launcher_checks import all_run, watchdog, works
from support.launcher_services import Stigmer, eventually, fake_stack, free_ports, is_running, stigmer


def kill_together(launcher: Stigmer) -> None:
    """Kill the supervisor and its watchdog, so that neither has time to notice the other's end."""
    pids = (watchdog(launcher), launcher.status()["supervisor_pid"])
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    eventually(lambda: not any(map(is_running, pids)), "the end of both")


def test_a_start_right_after_a_service_was_killed_waits_until_it_is_back(tmp_path: Path) -> None:
    """It succeeds exactly when everything is ready again."""
    with stigmer(tmp_path, fake_stack(workflow_runner="slow=0.5")) as launcher:
        launcher.started()
        before = launcher.pid("workflow-runner")
        os.kill(before, signal.SIGKILL)
        done = launcher("server")
        assert (done.code, done.err) == (0, "")
        assert "has restarted what ended" in done.out
        assert launcher.status()["state"] == "running"
        assert launcher.pid("workflow-runner") not in (0, before)


def test_a_start_that_finds_another_one_failing_tries_itself(tmp_path: Path) -> None:
    """What made the other fail may be over."""
    broken = tmp_path / "broken"
    broken.touch()
    with stigmer(
        tmp_path, fake_stack(agent_runner=f"broken={broken}", stigmer_server="term=ignore", grace=1)
    ) as launcher:
        first = launcher.popen("server")
        eventually(lambda: "everything: stopping" in launcher.log("supervisor"), "the failure")
        broken.unlink()
        done = launcher("server")
        first.communicate(timeout=30)
        assert first.returncode == 1
        assert done.code == 0, done.err
        all_run(launcher)


def test_a_start_during_a_stop_waits_for_its_end_and_starts(tmp_path: Path) -> None:
    """The one who stops is told of."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=1)) as launcher:
        launcher.started()
        pid = launcher.status()["supervisor_pid"]
        stopping = launcher.popen("server", "stop")
        eventually(lambda: "agent-runner: ending" in launcher.log("supervisor"), "the stop")
        done = launcher("server")
        assert done.code == 0, done.err
        assert f"The server (pid {pid}) is stopping; waiting" in done.out
        stopping.communicate(timeout=30)
        assert launcher.status()["supervisor_pid"] not in (0, pid)


def test_a_stop_right_after_the_supervisor_was_killed_waits_for_the_watchdog(tmp_path: Path) -> None:
    """It returns when nothing runs any more."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=1)) as launcher:
        launcher.started()
        pid = launcher.status()["supervisor_pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid), "the supervisor's end")
        done = launcher("server", "stop")
        assert launcher.processes() == []
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith("Stopping server... ok\n")
        assert "Server is not running" not in done.out
        works(launcher)


def test_a_stop_whose_supervisor_is_killed_meanwhile_returns_when_nothing_runs(tmp_path: Path) -> None:
    """The watchdog finishes the work, and the stop waits for it."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=1)) as launcher:
        launcher.started()
        pid = launcher.status()["supervisor_pid"]
        stopping = launcher.popen("server", "stop")
        eventually(lambda: "agent-runner: ending" in launcher.log("supervisor"), "the stop")
        os.kill(pid, signal.SIGKILL)
        stopping.communicate(timeout=30)
        assert launcher.processes() == []
        assert stopping.returncode == 0
        works(launcher)


def test_a_restart_that_cannot_be_spawned_is_tried_again(tmp_path: Path) -> None:
    """The program is back a moment later."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        program = launcher.home / "bin" / "agent-runner"
        program = program.resolve()
        aside = program.with_name("aside")
        program.rename(aside)
        os.kill(launcher.pid("agent-runner"), signal.SIGKILL)
        eventually(lambda: "agent-runner: pausing: could not be run" in launcher.log("supervisor"), "a failed spawn")
        aside.rename(program)
        all_run(launcher)


def test_a_watchdog_that_cannot_be_replaced_at_once_is_replaced_later(tmp_path: Path) -> None:
    """The supervisor has no descriptor left for a moment; it goes on, and so do the services."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        first, supervisor = watchdog(launcher), launcher.status()["supervisor_pid"]
        before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (6, before[1]))
        os.kill(first, signal.SIGKILL)
        eventually(lambda: "cannot start another watchdog" in launcher.log("supervisor"), "a failed try")
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
        eventually(lambda: watchdog(launcher) not in (0, first), "another watchdog")
        assert launcher.status()["state"] == "running"
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")


def test_a_service_killed_during_the_start_is_started_again(tmp_path: Path) -> None:
    """The start goes on."""
    with stigmer(tmp_path, fake_stack(agent_runner="slow=1")) as launcher:
        process = launcher.popen("server")
        pid = eventually(lambda: launcher.pid("agent-runner"), "the runner's start")
        os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "agent-runner killed by SIGKILL; restarting it" in out


def test_a_restart_keeps_the_ports_that_the_start_was_asked_for(tmp_path: Path) -> None:
    """Those of its own command line overrule them; a start after a stop uses the settings again."""
    with stigmer(tmp_path) as launcher:
        server, temporal = free_ports(2)
        usual = launcher("server", "--port", f"server={server}")
        assert usual.code == 0, usual.err
        assert launcher("server", "restart").code == 0
        assert launcher.status()["ports"]["server"] == server
        assert launcher("server", "restart", "--port", f"temporal={temporal}").code == 0
        assert {**launcher.status()["ports"], "server": server, "temporal": temporal} == launcher.status()["ports"]
        assert launcher("server", "stop").code == 0
        launcher.started()
        assert launcher.status()["ports"]["server"] != server


def test_a_restart_after_a_kill_keeps_the_ports_too(tmp_path: Path) -> None:
    """Nobody has stopped that server on purpose."""
    with stigmer(tmp_path) as launcher:
        (server,) = free_ports(1)
        assert launcher("server", "--port", f"server={server}").code == 0
        kill_together(launcher)
        done = launcher("server", "restart")
        assert done.code == 0, done.err
        assert launcher.status()["ports"]["server"] == server
