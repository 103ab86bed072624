"""A home that is removed, moved or replaced under a running server: the server stops by itself, cleanly."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.launcher_checks import needs_proc, wakeups
from support.launcher_services import Stigmer, eventually, is_running


def remove(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)


def remove_run(home: Path) -> None:
    shutil.rmtree(home / "run")


def move(home: Path) -> None:
    home.rename(home.with_name("aside"))


@pytest.mark.parametrize("take_away", [remove, remove_run, move])
def test_a_server_whose_home_was_removed_stops_with_its_services(
    running: Stigmer, take_away: Callable[[Path], None]
) -> None:
    pids = [running.status()["supervisor_pid"], *running.pids().values()]
    take_away(running.home)
    eventually(lambda: not any(map(is_running, pids)), "the end of the supervisor and its services")
    if take_away is not remove_run:
        assert not (running.home / "logs").exists()
    running.started()
    assert running("server", "stop").code == 0


@needs_proc
def test_a_server_whose_home_is_inaccessible_for_a_while_keeps_running(running: Stigmer) -> None:
    """Like a home on a network file system with an expired ticket; here the obstacle is a link to itself."""
    pid, run = running.status()["supervisor_pid"], running.home / "run"
    aside = run.rename(running.home / "aside")
    run.symlink_to("run")
    before = wakeups(pid)
    eventually(lambda: wakeups(pid) >= before + 3 or not is_running(pid), "the supervisor to look at its home")
    run.unlink()
    aside.rename(run)
    assert running.status()["supervisor_pid"] == pid
    assert running.status()["state"] == "running"


def test_a_state_file_that_was_removed_or_restored_from_a_backup_is_written_again(running: Stigmer) -> None:
    """Regression: without it, commands took the server for one that is starting, until a service changed."""
    file = running.home / "run/state.json"
    backup = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    eventually(lambda: running.status()["state"] == "running", "a new state file")
    file.write_text(json.dumps({**backup, "supervisor_pid": 1}), encoding="utf-8")
    eventually(lambda: running.status()["state"] == "running", "the present state")
    assert running("server").code == 0


def test_an_old_server_does_not_write_into_the_state_of_the_new_one(running: Stigmer, tmp_path: Path) -> None:
    old = running.status()["supervisor_pid"]
    move(running.home)
    new = Stigmer(tmp_path / "keg" / "libexec", running.home)
    eventually(lambda: new("server").code == 0, "a start in the new home")
    assert not is_running(old)
    status = new.status()
    assert status["state"] == "running"
    assert status["supervisor_pid"] != old
