"""`stigmer server stop SERVICE` and `restart SERVICE`: the supervisor does it, and the other services go on."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.supervise.state import Instance
from support.launcher_services import NAMES, PROGRAM, Stigmer, eventually, fake_stack, free_ports, is_running, stigmer

OTHERS = tuple(name for name in NAMES if name != "workflow-runner")


def states(launcher: Stigmer) -> dict[str, Any]:
    """Give each service's state."""
    return {each["name"]: each["state"] for each in launcher.status()["services"]}


def test_a_stopped_service_stays_stopped_until_the_next_start(tmp_path: Path) -> None:
    """The status says by whom, and the other services keep their processes."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        pids = {name: launcher.pid(name) for name in NAMES}
        stopped = launcher("server", "stop", "workflow-runner")
        assert (stopped.code, stopped.out) == (0, "Stopping workflow-runner... ok\n"), stopped.err
        assert not is_running(pids["workflow-runner"])
        shown = launcher("server", "status")
        assert shown.code == 4
        assert "workflow-runner: stopped by `stigmer server stop`; `stigmer server` starts it" in shown.out
        again = launcher("server", "stop", "workflow-runner", "workflow-runner")
        assert again.code == 0, again.err
        started = launcher("server")
        assert started.code == 0, started.err
        assert states(launcher) == dict.fromkeys(NAMES, "running")
        assert {name: launcher.pid(name) for name in OTHERS} == {name: pids[name] for name in OTHERS}


def test_a_restart_of_one_service_returns_when_all_work_again(tmp_path: Path) -> None:
    """Those that need it prove themselves before; a service that stands still is killed after its grace."""
    with stigmer(tmp_path, fake_stack(grace=0.5)) as launcher:
        launcher.started()
        pids = {name: launcher.pid(name) for name in NAMES}
        os.kill(pids["temporal"], signal.SIGSTOP)
        restarted = launcher("server", "restart", "temporal", "agent-runner")
        assert restarted.code == 0, restarted.err
        assert restarted.out.endswith("Restarting temporal, agent-runner... ok\n")
        assert states(launcher) == dict.fromkeys(NAMES, "running")
        changed = {name for name in NAMES if launcher.pid(name) != pids[name]}
        assert changed == {"temporal", "agent-runner"}
        assert [each["restarts"] for each in launcher.status()["services"]] == [0, 0, 0, 0]


def test_a_restart_leaves_other_stopped_services_alone(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        launcher.started()
        assert launcher("server", "stop", "workflow-runner", "agent-runner").code == 0
        restarted = launcher("server", "restart", "agent-runner")
        assert restarted.code == 0, restarted.err
        assert states(launcher) == {**dict.fromkeys(NAMES, "running"), "workflow-runner": "stopped"}


def test_a_service_that_does_not_come_back_is_named(tmp_path: Path) -> None:
    """A few tries are waited for."""
    broken = tmp_path / "broken"
    with stigmer(tmp_path, fake_stack(workflow_runner=f"broken={broken}")) as launcher:
        launcher.started()
        broken.touch()
        restarted = launcher("server", "restart", "workflow-runner")
        assert restarted.code == 4
        assert "Error: workflow-runner is pausing: exited with status 1" in restarted.err


def test_a_new_supervisor_begins_with_everything(tmp_path: Path) -> None:
    """Neither what was stopped nor what was requested of a killed supervisor concerns the next one."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        assert launcher("server", "stop", "agent-runner").code == 0
        os.kill(supervisor := launcher.status()["supervisor_pid"], signal.SIGSTOP)
        control = os.open(Instance(str(launcher.home / "run")).control, os.O_WRONLY | os.O_NONBLOCK)
        os.write(control, b"stop workflow-runner\n")
        os.close(control)
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: not is_running(supervisor), "the supervisor has ended")
        launcher.started()
        assert states(launcher) == dict.fromkeys(NAMES, "running")


def test_garbage_in_the_control_fifo_is_ignored(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        launcher.started()
        control = launcher.home / "run" / "control"
        with control.open("wb", buffering=0) as stream:
            stream.write(b"\xff\n\nstop\nstop nobody\nfly temporal\nrestart workflow-runner extra\n")
        restarted = launcher("server", "restart", "workflow-runner")
        assert restarted.code == 0, restarted.err


def test_the_control_fifo_is_the_users_own_and_goes_with_its_supervisor(tmp_path: Path) -> None:
    """Whoever opened one that nobody serves would wait for ever; what lay there before is replaced."""
    with stigmer(tmp_path) as launcher:
        (launcher.home / "run").mkdir(parents=True)
        control = launcher.home / "run" / "control"
        control.write_text("stop temporal\n", encoding="utf-8")
        launcher.started()
        mode = control.lstat().st_mode
        assert (stat.S_ISFIFO(mode), stat.S_IMODE(mode)) == (True, 0o600)
        assert launcher("server", "stop").code == 0
        assert not control.exists()


def test_a_server_without_a_control_fifo_names_the_restart_of_everything(tmp_path: Path) -> None:
    """So it is with the supervisor of an earlier version, and on a file system without FIFOs."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        (launcher.home / "run" / "control").unlink()
        refused = launcher("server", "restart", "temporal")
        assert refused.code == 1
        assert refused.err.splitlines()[1] == "Hint: run `stigmer server restart`, which restarts all services"


def test_a_server_whose_control_fifo_cannot_be_made_runs_all_the_same(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        (launcher.home / "run" / "control" / "x").mkdir(parents=True)
        launcher.started()
        assert launcher("server", "stop", "temporal").code == 1
        assert launcher("server", "stop").code == 0


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_an_unknown_service_is_a_usage_error_that_names_those_there_are(tmp_path: Path, verb: str) -> None:
    """Whether the server runs or not."""
    with stigmer(tmp_path) as launcher:
        listed = f"Error: there is no service workflow; there are {', '.join(NAMES)}"
        stopped = launcher("server", verb, "temporal", "workflow")
        assert (stopped.code, stopped.err.splitlines()[0]) == (2, listed)
        launcher.started()
        running = launcher("server", verb, "workflow")
        assert (running.code, running.err.splitlines()[0]) == (2, listed)


def test_a_stopped_server_has_nothing_to_stop_and_nothing_to_restart(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        assert launcher("server", "stop", "temporal")[:2] == (0, "Server is not running\n")
        refused = launcher("server", "restart", "temporal")
        assert (refused.code, refused.err) == (3, "Error: the server is stopped\nHint: run `stigmer server`\n")


def test_a_stop_of_one_service_succeeds_when_the_whole_server_is_stopped_meanwhile(tmp_path: Path) -> None:
    """What was asked for holds then, too, and the last service to stop takes the supervisor with it."""
    with stigmer(tmp_path, fake_stack(grace=2.0, temporal="term=ignore")) as launcher:
        launcher.started()
        one = launcher.popen("server", "stop", "temporal")
        eventually(lambda: states(launcher)["temporal"] == "ending", "the service is told to stop")
        assert launcher("server", "stop").code == 0
        _, said = one.communicate(timeout=60)
        assert (one.returncode, said) == (0, "")


def test_a_service_of_somebody_else_is_neither_stopped_nor_restarted(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with subprocess.Popen([sys.executable, "-IS", "-c", PROGRAM, "FakeTemporal", f"port={port}"]) as theirs:
        with stigmer(tmp_path, TEMPORAL_SERVICE_ADDRESS=f"127.0.0.1:{port}") as launcher:
            launcher.started()
            refused = launcher("server", "restart", "temporal")
            assert refused.code == 2
            assert f"temporal at 127.0.0.1:{port} is external: this server does not run it" in refused.err
        theirs.kill()


def test_a_restart_whose_need_does_not_come_back_names_both(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with stigmer(tmp_path, fake_stack(temporal=f"broken={broken}")) as launcher:
        launcher.started()
        broken.touch()
        os.kill(launcher.pid("temporal"), signal.SIGKILL)
        eventually(lambda: states(launcher)["temporal"] == "pausing", "the need's crash")
        restarted = launcher("server", "restart", "agent-runner")
        assert restarted.code == 4
        assert "temporal is pausing: exited with status 1; agent-runner is waiting" in restarted.err


def test_options_of_a_whole_restart_are_refused_for_one_service(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        refused = launcher("server", "restart", "temporal", "--port", "temporal=7000")
        assert refused.code == 2
        assert "without SERVICE" in refused.err
