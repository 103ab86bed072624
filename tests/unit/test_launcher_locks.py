"""Locks exclude other processes, report their holder, and are released when its process ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stigmer_launcher.errors import BusyError, HomeError
from stigmer_launcher.system import locks, process
from support.launcher_services import LAUNCHER, hold, read_line


@contextmanager
def held_by_another_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    with hold(path) as child:
        assert read_line(child) == "held\n"
        try:
            yield child
        finally:
            child.kill()


def test_a_lock_of_another_process_is_refused_and_released_when_that_is_killed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with held_by_another_process(tmp_path / "lock") as child:
        assert locks.try_acquire(path) is None
        assert locks.holder(path) == child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert locks.holder(path) == 0
        with locks.try_acquire(path) or pytest.fail("the lock is free"):
            pass


def test_finding_the_holder_of_a_lock_creates_no_file(tmp_path: Path) -> None:
    assert locks.holder(str(tmp_path / "lock")) == 0
    assert list(tmp_path.iterdir()) == []


def test_finding_the_holder_of_our_own_lock_does_not_release_it(tmp_path: Path) -> None:
    """POSIX drops a lock when any descriptor of the file is closed: `try_acquire` and `holder` must not reopen it."""
    path = tmp_path / "lock"
    with locks.try_acquire(str(path)) or pytest.fail("the lock is free") as lock:
        assert locks.holder(str(path)) == os.getpid()
        assert locks.try_acquire(str(path)) is None
        assert hold(path).communicate()[0] == "busy\n"
        lock.release()
        lock.release()
    assert locks.holder(str(path)) == 0
    with locks.try_acquire(str(path)) or pytest.fail("the lock is free again"):
        assert locks.holder(str(path)) == os.getpid()
        path.read_bytes()
        assert hold(path).communicate()[0] == "held\n", "closing another descriptor drops the lock, hence the guard"


def test_a_forked_child_does_not_hold_its_parents_lock(tmp_path: Path) -> None:
    """The child inherits the table of held locks but not the locks."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from stigmer_launcher.system import locks\n"
        "lock, parent = locks.try_acquire(sys.argv[2]), os.getpid()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if locks.holder(sys.argv[2]) == parent and locks.try_acquire(sys.argv[2]) is None else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(LAUNCHER), str(tmp_path / "lock")], check=True)


def test_waiting_reports_the_holder_and_ends_at_the_deadline_or_with_the_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    messages: list[str] = []
    with held_by_another_process(tmp_path / "lock") as child:
        with pytest.raises(BusyError, match=f"^process {child.pid}, which works, has not finished within 0.05 s$"):
            locks.acquire(path, 0.05, messages.append, "works")
        assert messages == [f"Waiting for process {child.pid}, which works"]
        with locks.acquire(path, 60, lambda _: child.kill()) as lock:
            assert lock is not None
        assert child.wait() == -signal.SIGKILL


def test_a_removed_lock_file_is_created_and_locked_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_by_another_process(path):
        path.unlink()
        with locks.try_acquire(str(path)) or pytest.fail("the lock is free"):
            assert locks.holder(str(path)) == os.getpid()


def test_a_file_in_place_of_the_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="file/lock is in the way: it is not a directory"):
        locks.try_acquire(str(tmp_path / "file" / "lock"))


@pytest.mark.parametrize("use", [locks.try_acquire, locks.holder])
def test_a_lock_that_cannot_be_opened_is_reported_with_the_systems_reason(
    tmp_path: Path, use: Callable[[str], object]
) -> None:
    """Looking up the holder once reported a missing write permission instead."""
    (tmp_path / "lock").symlink_to("lock")
    with pytest.raises(HomeError, match=f"cannot work in {tmp_path}: Too many levels"):
        use(str(tmp_path / "lock"))


def test_an_identity_is_stable_and_unique_to_one_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        ours, theirs = process.identity(os.getpid()), process.identity(child.pid)
        assert ours
        assert ours == process.identity(os.getpid())
        assert theirs
        assert process.is_same_process(child.pid, theirs)
        assert not process.is_same_process(child.pid, theirs + "0")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process.identity(child.pid) == "", "a zombie has ended"
    assert not process.is_same_process(child.pid, theirs)
    assert not process.is_same_process(child.pid, ""), "neither is known nor found, but they are not the same"
    assert not process.is_same_process(os.getpid(), "")
    assert not process.is_same_process(0, "x")
