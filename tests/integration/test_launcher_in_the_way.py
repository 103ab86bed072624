"""Others at the same time, and others on our ports: one server comes of it, or an error that names them."""

import socket
from pathlib import Path

import pytest

from support.launcher_checks import fails_to_start, kept
from support.launcher_services import Stigmer, eventually, fake_stack, stigmer


def test_twenty_starts_at_once_make_one_server(launcher: Stigmer) -> None:
    processes = [launcher.popen("server") for _ in range(20)]
    finished = [(process.communicate(timeout=100), process.returncode) for process in processes]
    assert [code for _, code in finished] == [0] * 20, [texts for texts, code in finished if code]
    outputs = [out for (out, _), _ in finished]
    assert sum("All services running" in out for out in outputs) == 1
    assert sum("Stigmer is running already" in out for out in outputs) == 19
    assert len(launcher.children()) == 4
    assert kept(launcher) == [f"started {launcher.pid('stigmer-server')}"]


@pytest.mark.stack(workflow_runner="exit=1")
def test_twenty_starts_at_once_of_what_cannot_start_all_fail(launcher: Stigmer) -> None:
    processes = [launcher.popen("server") for _ in range(5)]
    finished = [(process.communicate(timeout=100), process.returncode) for process in processes]
    assert [code for _, code in finished] == [1] * 5
    assert all("workflow-runner exited with status 1" in err for (_, err), _ in finished)
    assert launcher.processes() == []


def test_a_port_of_another_stigmer_is_named(tmp_path: Path) -> None:
    """Two homes on one machine: the second start fails, the first server goes on."""
    parts = fake_stack()
    with stigmer(tmp_path / "one", parts) as one, stigmer(tmp_path / "two", parts) as two:
        one.started()
        said, owners = fails_to_start(two), one.pids()
        assert any(f"(process {owners[name]})" in said for name in ("temporal", "stigmer-server"))
        assert one("smoke").code == 0


@pytest.mark.stack(stigmer_server="slow=1")
def test_a_port_taken_at_the_last_moment_fails_the_start(launcher: Stigmer) -> None:
    process = launcher.popen("server")
    eventually(lambda: "stigmer-server: starting" in launcher.log("supervisor"), "the start")
    port = launcher.status()["ports"]["server"]
    with socket.create_server(("127.0.0.1", port)):
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "stigmer-server exited with status 1" in err
    assert "Address already in use" in err
