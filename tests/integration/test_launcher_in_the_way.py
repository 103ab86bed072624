"""Concurrent starts, and other programs on our ports: the result is one server, or an error that names the program."""

import os
import socket
from pathlib import Path

import pytest

from support.launcher_checks import fails_to_start, server_state
from support.launcher_services import Done, Stigmer, eventually, fake_stack, finished, stigmer


def starts_at_once(launcher: Stigmer, count: int) -> list[Done]:
    processes = [launcher.popen("server") for _ in range(count)]
    return [finished(process, 100) for process in processes]


def test_twenty_starts_at_once_start_one_server(launcher: Stigmer) -> None:
    starts = starts_at_once(launcher, 20)
    assert [done.code for done in starts] == [0] * 20, [done for done in starts if done.code]
    assert sum("All services running" in done.out for done in starts) == 1
    assert sum("Stigmer is running already" in done.out for done in starts) == 19
    assert len(launcher.children()) == 4
    assert server_state(launcher) == [f"started {launcher.pid('stigmer-server')}"]


@pytest.mark.stack(workflow_runner="exit=1")
def test_simultaneous_starts_of_a_broken_stack_all_fail(launcher: Stigmer) -> None:
    for done in starts_at_once(launcher, 5):
        assert done.code == 1
        assert "workflow-runner exited with status 1" in done.err
    assert launcher.processes() == []


def test_a_port_of_another_stigmer_is_named(tmp_path: Path) -> None:
    """With two homes on one machine, the second start fails, and the first server keeps running."""
    parts = fake_stack()
    with stigmer(tmp_path / "one", parts) as one, stigmer(tmp_path / "two", parts) as two:
        one.started()
        output, owners = fails_to_start(two), one.pids()
        assert any(f"(process {owners[name]})" in output for name in ("temporal", "stigmer-server"))
        assert one("smoke").code == 0


def test_a_restart_with_a_port_of_another_program_leaves_the_running_server_alone(running: Stigmer) -> None:
    """Regression: it stopped the server before it failed. Ports of the server itself do not count: the stop frees them."""
    before = running.pids()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = running("server", "restart", "--port", f"server={port}")
    assert refused.code == 1
    assert f"port {port} (server) is taken by " in refused.err
    assert running.pids() == before


@pytest.mark.parametrize("killed", [False, True])
def test_a_start_after_a_kill_names_the_port_of_another_program(launcher: Stigmer, *, killed: bool) -> None:
    launcher.started()
    if killed:
        launcher.kill_supervisor()
    else:
        assert launcher("server", "stop").code == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = launcher("server", "--port", f"server={port}")
    assert refused.code == 1
    assert f"port {port} (server) is taken by " in refused.err


@pytest.mark.stack(stigmer_server="slow=1")
def test_a_port_taken_at_the_last_moment_fails_the_start_and_is_named(launcher: Stigmer) -> None:
    """Regression: the error was whatever the service that came too late had printed."""
    process = launcher.popen("server")
    eventually(lambda: "stigmer-server: starting" in launcher.log("supervisor"), "the start")
    port = launcher.status()["ports"]["server"]
    with socket.create_server(("127.0.0.1", port)):
        done = finished(process)
    assert done.code == 1
    assert f"port {port} (server) is taken by " in done.err
    assert f"(process {os.getpid()})" in done.err
