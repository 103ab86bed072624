"""A service that hangs is seen, restarted after a while, and does not drag others into its fault."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stigmer_launcher.install.payload import Liveness
from support.launcher_checks import all_run
from support.launcher_services import NAMES, Stigmer, eventually, fake_stack, free_ports, stigmer

SOON = Liveness(every=0.2, timeout=0.5, failures=3)
PATIENT = Liveness(every=0.2, timeout=0.5, failures=10_000)
FAKES = Path(__file__).parents[1] / "support" / "fake_services.py"


def degraded(launcher: Stigmer, name: str) -> None:
    """Wait until a service is seen to hang."""
    eventually(lambda: f"{name}: degraded" in launcher.log("supervisor"), f"{name} to be degraded")


def state_of(launcher: Stigmer, name: str) -> str:
    """Give a service's state."""
    return next(str(each["state"]) for each in launcher.status()["services"] if each["name"] == name)


@contextmanager
def temporal_of_somebody_else(port: int) -> Iterator[int]:
    """Run a Temporal that is not ours, and give its pid."""
    with subprocess.Popen([sys.executable, "-IS", FAKES, "FakeTemporal", f"port={port}"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_service_that_hangs_is_degraded_and_then_restarted(tmp_path: Path) -> None:
    """It does not go when it is told to, being stopped; so it is killed after its grace."""
    with stigmer(tmp_path, fake_stack(grace=0.5, liveness=SOON)) as launcher:
        launcher.started()
        before = all_run(launcher)
        os.kill(before["stigmer-server"], signal.SIGSTOP)
        degraded(launcher, "stigmer-server")
        eventually(lambda: launcher.pid("stigmer-server") not in (0, before["stigmer-server"]), "another process")
        after = all_run(launcher)
        assert [name for name in NAMES if before[name] != after[name]] == ["stigmer-server"]
        server = next(each for each in launcher.status()["services"] if each["name"] == "stigmer-server")
        assert server["last_error"].startswith("failed 3 liveness checks in a row: 127.0.0.1:")
        assert "stigmer-server did not stop within 0.5 s; it is killed" in launcher.log("supervisor")


def test_a_service_that_hangs_for_a_while_is_shown_everywhere_and_goes_on_by_itself(tmp_path: Path) -> None:
    """Its process stays."""
    with stigmer(tmp_path, fake_stack(liveness=PATIENT)) as launcher:
        launcher.started()
        before = all_run(launcher)
        os.kill(before["stigmer-server"], signal.SIGSTOP)
        degraded(launcher, "stigmer-server")
        status = launcher("server", "status")
        assert status.code == 4
        assert "no answer" in status.out
        assert (launcher.status()["state"], state_of(launcher, "stigmer-server")) == ("degraded", "degraded")
        doctor = launcher("doctor")
        assert doctor.code == 1
        (line,) = (line for line in doctor.out.splitlines() if "no answer" in line)
        assert line.split()[:3] == ["problem", "stigmer-server", "degraded,"]
        os.kill(before["stigmer-server"], signal.SIGCONT)
        assert all_run(launcher) == before
        assert launcher("server", "status").code == 0


def test_a_temporal_that_hangs_is_restarted_and_nobody_else(tmp_path: Path) -> None:
    """Those that need it prove afterwards that they work with its next process."""
    with stigmer(tmp_path, fake_stack(grace=0.5, liveness=SOON)) as launcher:
        launcher.started()
        before = all_run(launcher)
        os.kill(before["temporal"], signal.SIGSTOP)
        eventually(lambda: launcher.pid("temporal") not in (0, before["temporal"]), "another process")
        after = all_run(launcher)
        assert [name for name in NAMES if before[name] != after[name]] == ["temporal"]


def test_a_hung_service_is_stopped_by_a_stop(tmp_path: Path) -> None:
    with stigmer(tmp_path, fake_stack(grace=0.5, liveness=PATIENT)) as launcher:
        launcher.started()
        os.kill(launcher.pid("stigmer-server"), signal.SIGSTOP)
        degraded(launcher, "stigmer-server")
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []


def test_the_end_of_a_temporal_of_somebody_else_is_noticed_and_its_return_too(tmp_path: Path) -> None:
    """A start meanwhile does not wait for what only somebody else can bring back."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    with stigmer(tmp_path, fake_stack(liveness=SOON), TEMPORAL_SERVICE_ADDRESS=address) as launcher:
        with temporal_of_somebody_else(port):
            launcher.started()
            before = all_run(launcher)
        degraded(launcher, "temporal")
        assert launcher("server", "status").code == 4
        again = launcher("server")
        assert again.code == 4
        assert f"temporal is degraded: {address}" in again.err
        with temporal_of_somebody_else(port):
            assert all_run(launcher) == before
            for name in NAMES[1:]:
                assert f"{name}: proving as process {before[name]}" in launcher.log("supervisor")


def test_a_temporal_of_somebody_else_that_hangs_is_left_alone(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (
        temporal_of_somebody_else(port) as pid,
        stigmer(tmp_path, fake_stack(liveness=SOON), TEMPORAL_SERVICE_ADDRESS=f"127.0.0.1:{port}") as launcher,
    ):
        launcher.started()
        before = all_run(launcher)
        os.kill(pid, signal.SIGSTOP)
        degraded(launcher, "temporal")
        os.kill(pid, signal.SIGCONT)
        assert all_run(launcher) == before
        assert "SIG" not in launcher.log("supervisor")
