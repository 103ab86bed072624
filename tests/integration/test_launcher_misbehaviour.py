"""Services that fork, flood, exit or crash, and how the supervisor handles them."""

from pathlib import Path

import pytest

from support.launcher_checks import fails_to_start
from support.launcher_services import Stigmer, eventually, fake_stack, free_ports, stigmer


@pytest.mark.stack(agent_runner="forks=1")
def test_forked_processes_do_not_outlive_their_service(running: Stigmer) -> None:
    """Neither those in its process group nor those that escaped into a session of their own."""
    assert len(running.children()) == 6
    assert running("server", "stop").code == 0
    assert running.processes() == []
    running.started()
    running.kill_supervisor()
    eventually(lambda: running.processes() == [], "the end of every process")


@pytest.mark.stack(stigmer_server="megabytes=100")
def test_a_service_may_print_a_hundred_megabytes(running: Stigmer) -> None:
    """The others start meanwhile, and the log stays within its bounds."""
    files = list((running.home / "logs").glob("stigmer-server.log*"))
    assert sum(path.stat().st_size for path in files) <= 5 * 10 * 1024 * 1024
    assert len(files) == 5
    timeline = running.status()["timeline"]
    assert timeline["temporal"]["ready"] < timeline["stigmer-server"]["ready"]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_service_that_exits_at_once_fails_the_start(tmp_path: Path, code: int) -> None:
    """Also with status 0: the error has its name and last lines, and everything else is stopped."""
    with stigmer(tmp_path, fake_stack(workflow_runner=f"line=no-such-endpoint exit={code}")) as launcher:
        output = fails_to_start(launcher)
        assert f"Error: workflow-runner exited with status {code}\n" in output
        assert "\n    no-such-endpoint\n" in output
        assert "Hint: " in output
        assert launcher("server", "status").code == 3


@pytest.mark.stack(seconds=1.5, agent_runner="unready=1")
def test_a_service_that_never_gets_ready_fails_the_start_with_the_reason(launcher: Stigmer) -> None:
    error = "agent-runner was not ready within 1.5 s: no worker polls the queue agent_execution_runner"
    assert error in fails_to_start(launcher)


@pytest.mark.stack(seconds=2, stigmer_server="dials=never")
def test_a_server_that_answers_and_polls_none_of_its_queues_fails_the_start(launcher: Stigmer) -> None:
    error = "stigmer-server was not ready within 2 s: no worker polls the queue workflow_execution_stigmer"
    assert error in fails_to_start(launcher)


@pytest.mark.stack(seconds=1)
def test_an_external_temporal_that_does_not_answer_fails_the_start(launcher: Stigmer) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    launcher.environment["TEMPORAL_SERVICE_ADDRESS"] = address
    assert f"temporal was not ready within 1 s: {address}: " in fails_to_start(launcher)


@pytest.mark.stack(agent_runner="broken={home}/broken")
def test_a_service_that_crashes_again_and_again_is_reported_and_does_not_disturb_the_others(running: Stigmer) -> None:
    """The others work; the degraded status gives the reason, as does the next start, which does not wait forever."""
    (running.home / "broken").touch()
    running.kill("agent-runner")
    again = running("server")
    assert again.code == 4
    assert "agent-runner is pausing: exited with status 1" in again.err
    assert running("server", "status").code == 4
    others = {name: each["state"] for name, each in running.services().items() if name != "agent-runner"}
    assert set(others.values()) == {"running"}
    assert running("server", "stop").code == 0
    assert running.processes() == []


def test_a_component_that_cannot_be_run_is_named(launcher: Stigmer, tmp_path: Path) -> None:
    """The script exists, but its interpreter does not exist on this machine."""
    program = tmp_path / "nonsense"
    program.write_text("#!/nonexistent/interpreter\n", encoding="utf-8")
    program.chmod(0o755)
    launcher.environment["STIGMER_TEMPORAL_BIN"] = str(program)
    error = f"Error: temporal could not be run: the interpreter of {program}: No such file or directory\n"
    assert error in fails_to_start(launcher)
