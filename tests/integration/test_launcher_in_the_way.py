"""Others at the same time, and others on our ports: one server comes of it, or an error that names them."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.launcher_checks import kept, works
from support.launcher_services import (
    eventually,
    fake_stack,
    free_ports,
    stigmer,
)


def test_twenty_starts_at_once_make_one_server(tmp_path: Path) -> None:
    """The work is done once, and all of them succeed."""
    with stigmer(tmp_path) as launcher:
        processes = [launcher.popen("server") for _ in range(20)]
        finished = [(process.communicate(timeout=100), process.returncode) for process in processes]
        assert [code for _, code in finished] == [0] * 20, [texts for texts, code in finished if code]
        outputs = [out for (out, _), _ in finished]
        assert sum("All services running" in out for out in outputs) == 1
        assert sum("Stigmer is running already" in out for out in outputs) == 19
        assert len(launcher.services()) == 4
        assert kept(launcher) == [f"started {launcher.pid('stigmer-server')}"]


def test_twenty_starts_at_once_of_what_cannot_start_all_fail(tmp_path: Path) -> None:
    """With the reason, whoever it was that tried."""
    with stigmer(tmp_path, fake_stack(workflow_runner="exit=1")) as launcher:
        processes = [launcher.popen("server") for _ in range(5)]
        finished = [(process.communicate(timeout=100), process.returncode) for process in processes]
        assert [code for _, code in finished] == [1] * 5
        assert all("workflow-runner exited with status 1" in err for (_, err), _ in finished)
        assert launcher.processes() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - a stranger's carelessness
def test_a_port_of_somebody_else_is_named_with_its_owner(tmp_path: Path, address: str) -> None:
    """Before anything is started, with what can be done."""
    (port,) = free_ports(1)
    program = f"import socket; s = socket.create_server(({address!r}, {port})); print(1, flush=True); s.accept()"
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    owner.stdout.read(1)
    try:
        with stigmer(tmp_path) as launcher:
            done = launcher("server", "--port", f"server={port}")
            assert done.code == 1
            assert f"port {port} (server) is taken by " in done.err
            assert f"(process {owner.pid})" in done.err
            assert "--port server=NUMBER" in done.err
            assert launcher.processes() == []
            works(launcher)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()


def test_a_port_of_another_stigmer_is_named_too(tmp_path: Path) -> None:
    """Two homes on one machine: the second start fails, the first server goes on."""
    parts = fake_stack()
    with stigmer(tmp_path / "one", parts) as one, stigmer(tmp_path / "two", parts) as two:
        one.started()
        done = two("server")
        assert done.code == 1
        assert f"(process {one.pid('temporal')})" in done.err or f"(process {one.pid('stigmer-server')})" in done.err
        assert two.processes() == []
        assert one("smoke").code == 0


def test_a_port_taken_at_the_last_moment_fails_the_start(tmp_path: Path) -> None:
    """The check came too early; then it is the service that says it."""
    with stigmer(tmp_path, fake_stack(stigmer_server="slow=1")) as launcher:
        process = launcher.popen("server")
        eventually(lambda: "stigmer-server: starting" in launcher.log("supervisor"), "the start")
        port = launcher.status()["ports"]["server"]
        with socket.create_server(("127.0.0.1", port)):
            _, err = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "stigmer-server exited with status 1" in err
        assert "Address already in use" in err
