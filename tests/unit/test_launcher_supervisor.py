"""The supervisor's end: what has happened when its state says that everything is stopped."""

import os
import signal
from pathlib import Path

import pytest

from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise import leftovers, phases
from stigmer_launcher.supervise.signals import SignalPipe
from stigmer_launcher.supervise.state import Instance, read_snapshot
from stigmer_launcher.supervise.supervisor import Supervisor
from stigmer_launcher.system import locks


def test_escaped_processes_are_ended_before_the_state_says_that_all_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start does not look for processes of a run that has stopped, should supervisor and watchdog be killed."""
    home, run, logs = str(tmp_path), str(tmp_path / "run"), str(tmp_path / "logs")
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    seen: list[str] = []

    def end_escaped(token: str) -> int:
        seen.append(read_snapshot(Instance(run)).state)
        return 0

    monkeypatch.setattr(leftovers, "end_escaped", end_escaped)
    launch = Launch("2.0.0", "2.0.0-abc", home, home, run, logs, "", {}, "127.0.0.1:7233", (), ())
    with locks.wait(Instance(run).lock, 1), SignalPipe() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert Supervisor(launch, signals, lambda _: None).run()
    assert seen == [phases.RUNNING]
    assert read_snapshot(Instance(run)).state == phases.STOPPED
