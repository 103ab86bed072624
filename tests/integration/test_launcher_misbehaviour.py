"""Services that ignore, fork, flood, exit or crash: what the supervisor makes of them."""

import os
import signal
from pathlib import Path

import pytest

from support.launcher_checks import works
from support.launcher_services import (
    eventually,
    fake_stack,
    stigmer,
)


def test_a_service_that_ignores_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    """The stop comes to an end, and so does the service."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=0.5)) as launcher:
        works(launcher)


def test_what_a_service_forks_does_not_outlive_it(tmp_path: Path) -> None:
    """Neither in its group, nor escaped into a session of its own."""
    with stigmer(tmp_path, fake_stack(agent_runner="forks=1")) as launcher:
        launcher.started()
        assert len(launcher.services()) == 6
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []
        launcher.started()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")


def test_a_service_that_prints_a_hundred_megabytes_is_no_trouble(tmp_path: Path) -> None:
    """The others start meanwhile, and the log stays within its bounds."""
    with stigmer(tmp_path, fake_stack(stigmer_server="megabytes=100")) as launcher:
        launcher.started()
        files = list((launcher.home / "logs").glob("stigmer-server.log*"))
        assert sum(path.stat().st_size for path in files) <= 5 * 10 * 1024 * 1024
        assert len(files) == 5
        timeline = launcher.status()["timeline"]
        assert timeline["temporal"]["ready"] < timeline["stigmer-server"]["ready"]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_service_that_exits_at_once_fails_the_start(tmp_path: Path, code: int) -> None:
    """Also with status 0: it is named, with its last lines, and everything else is stopped."""
    stack = fake_stack(workflow_runner=f"says=no-such-endpoint exit={code}")
    with stigmer(tmp_path, stack) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert f"Error: workflow-runner exited with status {code}\n" in done.err
        assert "\n    no-such-endpoint\n" in done.err
        assert "Hint: " in done.err
        assert launcher.processes() == []
        assert launcher("server", "status").code == 3


def test_a_service_that_never_gets_ready_fails_the_start_with_what_it_lacked(tmp_path: Path) -> None:
    """Not "Ready!" although the runner polls nothing."""
    with stigmer(tmp_path, fake_stack(seconds=1.5, agent_runner="unready=1")) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert "agent-runner was not ready within 1.5 s: no worker polls the queue agent_execution_runner" in done.err
        assert launcher.processes() == []


def test_a_server_that_answers_and_polls_none_of_its_queues_fails_the_start(tmp_path: Path) -> None:
    """Not "All services running" while nothing can execute."""
    with stigmer(tmp_path, fake_stack(seconds=2, stigmer_server="dials=never")) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert "running" not in done.out
        assert (
            "stigmer-server was not ready within 2 s: no worker polls the queue workflow_execution_stigmer" in done.err
        )
        assert launcher.processes() == []


def test_a_service_that_crashes_again_and_again_is_said_and_does_not_disturb_the_others(tmp_path: Path) -> None:
    """The rest works, the status is degraded and says why, and so does the next start, which does not wait for ever."""
    broken = tmp_path / "broken"
    with stigmer(tmp_path, fake_stack(agent_runner=f"broken={broken}")) as launcher:
        launcher.started()
        broken.touch()
        os.kill(launcher.pid("agent-runner"), signal.SIGKILL)
        again = launcher("server")
        assert again.code == 4
        assert "agent-runner is pausing: exited with status 1" in again.err
        assert launcher("server", "status").code == 4
        assert launcher("smoke").code == 0
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []


def test_a_component_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    """As a script whose interpreter this machine does not have."""
    program = tmp_path / "nonsense"
    program.write_text("#!/nonexistent/interpreter\n", encoding="utf-8")
    program.chmod(0o755)
    with stigmer(tmp_path, STIGMER_TEMPORAL_BIN=str(program)) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert f"Error: temporal could not be run: {program}: No such file or directory\n" in done.err
        assert launcher.processes() == []
