"""Temporal is killed and comes back: whoever needs it proves that it works again, or is restarted and the reason is said."""

import os
import signal
from pathlib import Path

from support.launcher_services import NAMES, SERVER_QUEUES, Stigmer, eventually, fake_stack, stigmer


def kill_temporal(launcher: Stigmer) -> None:
    """Kill Temporal as nobody asks for, and return when its next process is ready."""
    pid = launcher.pid("temporal")
    os.kill(pid, signal.SIGKILL)
    ready = "temporal: running as process"
    eventually(lambda: launcher.log("supervisor").count(ready) == 2, "Temporal to be ready again")


def test_services_that_work_again_after_temporals_restart_are_left_alone(tmp_path: Path) -> None:
    """Their connections come back; a restart would lose what they are at."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = {name: launcher.pid(name) for name in NAMES}
        kill_temporal(launcher)
        eventually(lambda: launcher.status()["state"] == "running", "everything to work again")
        after = {name: launcher.pid(name) for name in NAMES}
        assert [name for name in NAMES if before[name] != after[name]] == ["temporal"]
        for name in NAMES[1:]:
            assert f"{name}: proving as process {after[name]}" in launcher.log("supervisor")


def test_a_server_that_dials_once_is_restarted_after_temporals_restart_and_the_reason_is_said(tmp_path: Path) -> None:
    """Else it would answer for ever and execute nothing."""
    with stigmer(tmp_path, fake_stack(seconds=5, stigmer_server="dials=once")) as launcher:
        process = launcher.popen("server", "--foreground")
        assert process.stdout is not None
        eventually(lambda: "All services running" in process.stdout.readline(), "the start")
        before = launcher.pid("stigmer-server")
        kill_temporal(launcher)
        why = f"did not work again within 5 s of the return of temporal: no worker polls the queue {SERVER_QUEUES[0]}"
        eventually(lambda: why in process.stdout.readline(), "the reason to be said")
        eventually(lambda: launcher.status()["state"] == "running", "everything to work again")
        assert launcher.pid("stigmer-server") != before
        server = next(each for each in launcher.status()["services"] if each["name"] == "stigmer-server")
        assert why in server["last_error"]
        assert why in launcher.log("supervisor")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
