"""A hanging service is detected and restarted; services that need it are probed again, and restarted only if needed."""

import os
import signal

import pytest

from stigmer_launcher.install.payload import Liveness
from support.launcher_checks import await_all_running, in_foreground, stop_by
from support.launcher_services import (
    NAMES,
    SERVER_QUEUES,
    Stigmer,
    eventually,
    external_temporal,
)

SOON = Liveness(every=0.2, timeout=0.5, failures=3)
PATIENT = Liveness(every=0.2, timeout=0.5, failures=10_000)


def await_degraded(launcher: Stigmer, name: str) -> None:
    eventually(lambda: f"{name}: degraded" in launcher.log("supervisor"), f"{name} to be degraded")


@pytest.mark.stack(grace=0.5, liveness=SOON)
def test_a_service_that_hangs_is_degraded_and_then_restarted(running: Stigmer) -> None:
    """As it is suspended, it does not react to SIGTERM, and is killed after its grace period."""
    before = await_all_running(running)
    os.kill(before["stigmer-server"], signal.SIGSTOP)
    await_degraded(running, "stigmer-server")
    eventually(lambda: running.pid("stigmer-server") not in (0, before["stigmer-server"]), "another process")
    after = await_all_running(running)
    assert [name for name in NAMES if before[name] != after[name]] == ["stigmer-server"]
    last_error = running.services()["stigmer-server"]["last_error"]
    assert last_error.startswith("failed 3 liveness checks in a row: 127.0.0.1:")
    assert "stigmer-server did not stop within 0.5 s; it is killed" in running.log("supervisor")


@pytest.mark.stack(liveness=PATIENT)
def test_a_service_that_hangs_for_a_while_is_shown_everywhere_and_recovers(running: Stigmer) -> None:
    before = await_all_running(running)
    os.kill(before["stigmer-server"], signal.SIGSTOP)
    await_degraded(running, "stigmer-server")
    status = running("server", "status")
    assert status.code == 4
    assert "no answer" in status.out
    assert (running.status()["state"], running.states()["stigmer-server"]) == ("degraded", "degraded")
    doctor = running("doctor")
    assert doctor.code == 1
    (line,) = (line for line in doctor.out.splitlines() if "no answer" in line)
    assert line.split()[:3] == ["problem", "stigmer-server", "degraded,"]
    os.kill(before["stigmer-server"], signal.SIGCONT)
    assert await_all_running(running) == before
    assert running("server", "status").code == 0


@pytest.mark.stack(grace=0.5, liveness=PATIENT)
def test_a_hung_service_is_stopped_by_a_stop(running: Stigmer) -> None:
    os.kill(running.pid("stigmer-server"), signal.SIGSTOP)
    await_degraded(running, "stigmer-server")
    assert running("server", "stop").code == 0
    assert running.processes() == []


@pytest.mark.stack(grace=0.5, liveness=SOON)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_temporal_that_ends_or_hangs_is_restarted_and_no_other_service(running: Stigmer, number: int) -> None:
    """Those that need it prove that they work with its new process; a restart would lose their current work."""
    before = await_all_running(running)
    os.kill(before["temporal"], number)
    eventually(lambda: running.pid("temporal") not in (0, before["temporal"]), "another process")
    after = await_all_running(running)
    assert [name for name in NAMES if before[name] != after[name]] == ["temporal"]
    assert_proving(running, after)


def assert_proving(launcher: Stigmer, pids: dict[str, int]) -> None:
    """Assert that all services that need Temporal have been probed again, each as the same process."""
    for name in NAMES[1:]:
        assert f"{name}: proving as process {pids[name]}" in launcher.log("supervisor")


@pytest.mark.stack(seconds=5, stigmer_server="dials=once")
def test_a_server_that_dials_once_is_restarted_with_the_reason_after_temporals_restart(
    launcher: Stigmer,
) -> None:
    """Otherwise it would keep answering without executing anything."""
    process = in_foreground(launcher)
    before = launcher.pid("stigmer-server")
    launcher.kill("temporal")
    why = f"did not work again within 5 s of the return of temporal: no worker polls the queue {SERVER_QUEUES[0]}"
    eventually(lambda: why in launcher.log("supervisor"), "the reason")
    assert await_all_running(launcher)["stigmer-server"] != before
    assert why in launcher.services()["stigmer-server"]["last_error"]
    assert why in stop_by(process)


@pytest.mark.stack(liveness=SOON)
def test_the_end_and_the_return_of_an_external_temporal_are_noticed(launcher: Stigmer) -> None:
    """A start meanwhile does not wait for Temporal, which only its owner can restart."""
    with external_temporal(launcher):
        launcher.started()
        before = await_all_running(launcher)
    await_degraded(launcher, "temporal")
    assert launcher("server", "status").code == 4
    again = launcher("server")
    assert again.code == 4
    assert f"temporal is degraded: {launcher.environment['TEMPORAL_SERVICE_ADDRESS']}" in again.err
    with external_temporal(launcher):
        assert await_all_running(launcher) == before
        assert_proving(launcher, before)


@pytest.mark.stack(liveness=SOON)
def test_an_external_temporal_that_hangs_is_left_alone(launcher: Stigmer) -> None:
    with external_temporal(launcher) as pid:
        launcher.started()
        before = await_all_running(launcher)
        os.kill(pid, signal.SIGSTOP)
        await_degraded(launcher, "temporal")
        os.kill(pid, signal.SIGCONT)
        assert await_all_running(launcher) == before
        assert "SIG" not in launcher.log("supervisor")
