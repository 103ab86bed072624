"""Many rounds of start, stop and crash leave no process, port, file or descriptor.

STIGMER_TEST_ROUNDS sets the number of rounds (default: 200).
"""

import os
from pathlib import Path

import pytest

from support.launcher_checks import assert_works, crash, needs_proc, server_state
from support.launcher_services import stigmer

ROUNDS = int(os.environ.get("STIGMER_TEST_ROUNDS", "200"))


@pytest.mark.timeout(120 + 5 * ROUNDS)
def test_rounds_of_start_and_stop_leave_nothing_behind(tmp_path: Path) -> None:
    """No process, no open port, no file beyond those of the first round, and no growing number of descriptors."""
    with stigmer(tmp_path) as launcher:
        assert_works(launcher)
        files = sorted(path.name for path in launcher.home.rglob("*"))
        for _ in range(ROUNDS):
            launcher.started()
            assert launcher("server", "stop").code == 0
            assert launcher.processes() == []
        assert sorted(path.name for path in launcher.home.rglob("*")) == files
        assert len(server_state(launcher)) == ROUNDS + 1


@needs_proc
def test_crashes_leave_no_descriptor_open_in_the_supervisor(tmp_path: Path) -> None:
    """Each start of a service opens a pipe and a connection; each exit closes them."""

    def descriptors() -> int:
        return len(list(Path(f"/proc/{launcher.status()['supervisor_pid']}/fd").iterdir()))

    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = descriptors()
        for _ in range(3):
            crash(launcher, "stigmer-server")
        assert descriptors() == before
