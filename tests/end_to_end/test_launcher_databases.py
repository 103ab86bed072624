"""Databases that a killed Temporal, a full disk or another program left behind, with the real Temporal."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.launcher_payloads import build_libexec
from support.launcher_services import Stigmer, eventually, fake_stack, free_ports
from support.mounts import mount_command, needs_mounts
from support.reference_processes import starting_temporal
from support.reference_stack import reference_keg

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def keg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference_keg(tmp_path_factory.mktemp("real"), "temporal")


@pytest.fixture
def launcher(tmp_path: Path, keg: Path) -> Iterator[Stigmer]:
    """Return a launcher whose home's name has characters that are special in a URI."""
    with Stigmer(keg, tmp_path / "home #1") as opened:
        yield opened


def kill_temporal_at(folder: Path, size: int) -> None:
    """Kill Temporal when its new database has reached this size in bytes."""
    database = folder / "temporal.db"
    with starting_temporal(free_ports(1)[0], folder, "--db-filename", "./temporal.db"):
        eventually(lambda: database.exists() and database.stat().st_size >= size, "the database")


@pytest.mark.parametrize("size", [0, 1, 20_000, 100_000, 300_000])
def test_a_database_that_temporal_did_not_finish_is_set_aside(launcher: Stigmer, size: int) -> None:
    """Regression: every later start failed with "no such table", and doctor found nothing."""
    data = launcher.home / "temporal-data"
    kill_temporal_at(data, size)
    assert "temporal.db is unfinished" in launcher("doctor").out
    done = launcher("server")
    assert done.code == 0, done.err
    assert "temporal.db.unfinished-1" in done.out + done.err
    assert (data / "temporal.db.unfinished-1").exists()
    assert launcher("server", "stop").code == 0
    launcher.started()
    assert not (data / "temporal.db.unfinished-2").exists()


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_damaged_database_is_never_touched_and_the_command_that_is_named_helps(
    launcher: Stigmer, keep: float
) -> None:
    """The user decides what happens to the history; the printed command works."""
    launcher.started()
    assert launcher("server", "stop").code == 0
    damaged = launcher.home / "temporal-data" / "temporal.db"
    os.truncate(damaged, int(damaged.stat().st_size * keep))
    before = damaged.read_bytes()
    refused = launcher("server")
    assert refused.code == 1
    assert f"{damaged} is damaged and may hold workflow history" in refused.err
    assert damaged.read_bytes() == before
    assert "is damaged and may hold workflow history" in launcher("doctor").out
    command = next(line for line in refused.err.splitlines() if "`mv " in line).split("`")[1]
    subprocess.run(shlex.split(command), check=True)
    launcher.started()
    assert (launcher.home / "temporal-data.damaged-1" / "temporal.db").read_bytes() == before


@pytest.mark.parametrize(("size", "code"), [(504, 0), (505, 1)])
def test_a_home_whose_path_is_too_long_for_sqlite_is_refused(tmp_path: Path, keg: Path, size: int, code: int) -> None:
    """Temporal's own error would be "unable to open database file"."""
    left = size - len(f"{tmp_path}//temporal-data/temporal.db")
    home = tmp_path / (f"{'d' * 99}/" * (left // 100) + "h" * (left % 100 or 1))
    assert len(str(home / "temporal-data" / "temporal.db")) == size
    with Stigmer(keg, home) as launcher:
        done = launcher("server")
        assert done.code == code, done.err
        assert ("the path of a database is too long: 505 of at most 504 bytes" in done.err) == bool(code)


def truncate_and_kill(launcher: Stigmer, keep: float) -> Path:
    """Truncate the database of the running Temporal and kill it; the supervisor restarts it. Return the database."""
    launcher.started()
    database = launcher.home / "temporal-data" / "temporal.db"
    pid = launcher.pid("temporal")
    os.kill(pid, signal.SIGSTOP)
    os.truncate(database, int(database.stat().st_size * keep))
    for side in ("-journal", "-wal", "-shm"):
        Path(f"{database}{side}").unlink(missing_ok=True)
    os.kill(pid, signal.SIGKILL)
    return database


def test_a_restart_by_the_supervisor_sets_an_unfinished_database_aside(launcher: Stigmer) -> None:
    """Otherwise Temporal would fail at every restart."""
    database = truncate_and_kill(launcher, 0)
    launcher.started()
    assert launcher.status()["state"] == "running"
    assert Path(f"{database}.unfinished-1").exists()
    assert "temporal.db is unfinished" in launcher.log("supervisor")


def test_a_restart_by_the_supervisor_leaves_a_damaged_database_as_it_is(launcher: Stigmer) -> None:
    """The status names a command; after that was run, Temporal starts again."""
    database = truncate_and_kill(launcher, 0.5)
    before = database.read_bytes()
    status = eventually(lambda: "is damaged" in (out := launcher("server", "status").out) and out, "the reason")
    assert database.read_bytes() == before
    subprocess.run(shlex.split(status.split("`")[1]), check=True)
    launcher.started()
    assert launcher.status()["state"] == "running"


@needs_mounts
def test_a_first_start_on_a_full_disk_says_so(tmp_path: Path) -> None:
    """The components are installed, but the disk has no room for more. Regression: Temporal's internals were shown."""
    disk = tmp_path / "disk"
    disk.mkdir()
    launcher = Stigmer(build_libexec(tmp_path / "keg", fake_stack()), disk / "home")
    launcher.program[:0] = mount_command("size=3m", disk)
    done = launcher("server")
    assert done.code == 1
    assert f"{launcher.home} has 2 MB free, and databases and logs need 4 MB" in done.err
