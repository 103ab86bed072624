"""A home that is removed, moved or replaced under a running server: the server ends by itself, cleanly."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.launcher_services import Stigmer, eventually, is_running, stigmer


def remove(home: Path) -> None:
    """Remove a home as users start afresh."""
    shutil.rmtree(home, ignore_errors=True)


def remove_run(home: Path) -> None:
    """Remove only what looks like leftovers of runs."""
    shutil.rmtree(home / "run")


def move(home: Path) -> None:
    """Set a home aside."""
    home.rename(home.with_name("aside"))


@pytest.mark.parametrize("take_away", [remove, remove_run, move])
def test_a_server_whose_home_was_taken_away_ends_with_its_services(
    tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    with stigmer(tmp_path) as launcher:
        launcher.started()
        status = launcher.status()
        pids = [status["supervisor_pid"], *(each["pid"] for each in status["services"])]
        take_away(launcher.home)
        eventually(lambda: not any(map(is_running, pids)), "the end of the supervisor and its services")
        if take_away is not remove_run:
            assert not (launcher.home / "logs").exists()
        launcher.started()
        assert launcher("server", "stop").code == 0


def test_an_old_server_does_not_write_into_the_state_of_the_new_one(tmp_path: Path) -> None:
    """Both know the home by its path."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        old = launcher.status()["supervisor_pid"]
        move(launcher.home)
        new = Stigmer(tmp_path / "keg" / "libexec", launcher.home)
        eventually(lambda: new("server").code == 0, "a start in the new home")
        assert not is_running(old)
        status = new.status()
        assert status["state"] == "running"
        assert status["supervisor_pid"] != old


def test_a_foreground_server_says_why_it_ends(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        foreground = launcher.popen("server", "--foreground")
        eventually(lambda: launcher.status()["state"] == "running", "the services to run")
        move(launcher.home)
        out, err = foreground.communicate(timeout=30)
        assert (foreground.returncode, err) == (0, "")
        assert f"{launcher.home}/run/supervisor.lock was removed or replaced; stopping" in out
