"""Homes with missing, unwritable or foreign files: the file and the command that helps are named, and a start works again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.launcher_services import Done, Stigmer, stigmer

NOBODY = 65534
# Root without its privilege to write everything is a user like any other.
PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
pytestmark = pytest.mark.skipif(bool(PLAIN) and not shutil.which("setpriv"), reason="root can write everything here")


def plainly(launcher: Stigmer, *arguments: str, prefix: tuple[str, ...] = PLAIN) -> Done:
    """Run a command as a user who may not write everything."""
    command = [*prefix, sys.executable, "-S", "-m", "stigmer_launcher", *arguments]
    done = subprocess.run(
        command, env=launcher.environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def used(launcher: Stigmer) -> None:
    """Start and stop, so that everything is in the home."""
    launcher.started()
    assert launcher("server", "stop").code == 0


def test_a_missing_run_directory_is_made_anew(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        used(launcher)
        shutil.rmtree(launcher.home / "run")
        launcher.started()


def test_missing_logs_are_made_anew(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        used(launcher)
        shutil.rmtree(launcher.home / "logs")
        launcher.started()
        assert "everything: running" in launcher.log("supervisor")


@pytest.mark.parametrize("words", ["server", "server --foreground"])
@pytest.mark.parametrize("name", ["run/supervisor.lock", "run/state.json", "logs/supervisor.log", "run", "logs"])
def test_what_may_not_be_written_is_named_with_the_command_that_helps(tmp_path: Path, name: str, words: str) -> None:
    with stigmer(tmp_path) as launcher:
        used(launcher)
        path = launcher.home / name
        path.chmod(0o500 if path.is_dir() else 0o400)
        done = plainly(launcher, *words.split())
        path.chmod(0o700)
        assert done.code == 1
        assert done.err.splitlines()[0] == f"Error: you may not write {path}"
        assert f"`chmod -R u+rwX {launcher.home}`" in done.err


@pytest.mark.parametrize("name", ["run/supervisor.lock", "run/state.json", "logs/supervisor.log", "run", "logs", "."])
def test_doctor_names_what_may_not_be_written(tmp_path: Path, name: str) -> None:
    """Once it found nothing, while no start could succeed."""
    with stigmer(tmp_path) as launcher:
        used(launcher)
        path = launcher.home / name
        path.chmod(0o500 if path.is_dir() else 0o400)
        done = plainly(launcher, "doctor")
        path.chmod(0o700)
        assert done.code == 1
        assert f"you may not write {path}" in done.out
        assert f"`chmod -R u+rwX {launcher.home}`" in done.out
        assert launcher("doctor").code == 0


@as_root
@pytest.mark.parametrize("name", ["run/supervisor.lock", "logs/supervisor.log"])
def test_files_of_another_user_are_named_with_the_chown_that_helps(tmp_path: Path, name: str) -> None:
    """As a start with sudo leaves them."""
    with stigmer(tmp_path) as launcher:
        used(launcher)
        os.chown(launcher.home / name, NOBODY, NOBODY)
        done = plainly(launcher, "server")
        assert done.code == 1
        assert f"you may not write {launcher.home / name}: it belongs to user nobody" in done.err
        assert f'`sudo chown -R "$(id -un)" {launcher.home}`' in done.err


@as_root
@pytest.mark.parametrize("words", ["server status", "server stop", "server"])
def test_a_lock_that_may_not_be_read_is_no_stopped_server(tmp_path: Path, words: str) -> None:
    with stigmer(tmp_path) as launcher:
        used(launcher)
        os.chown(launcher.home / "run" / "supervisor.lock", NOBODY, NOBODY)
        done = plainly(launcher, *words.split())
        assert done.code == 1
        assert "sudo chown -R" in done.err


def give_home(home: Path) -> None:
    """Give an existing home to another user."""
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)


def give_parent(home: Path) -> None:
    """Give the directory to another user that the home would be made in."""
    os.chown(home.parent, NOBODY, NOBODY)


@as_root
@pytest.mark.parametrize("prepare", [give_home, give_parent])
@pytest.mark.parametrize("words", ["server", "server --foreground", "config set ports.server 7777"])
def test_root_makes_nothing_in_the_home_of_another_user(
    tmp_path: Path, words: str, prepare: Callable[[Path], None]
) -> None:
    """`sudo --preserve-env=HOME stigmer server`: the user could not write what root has made."""
    with stigmer(tmp_path) as launcher:
        launcher.environment["STIGMER_HOME"] = str(tmp_path / "user" / "home")
        (tmp_path / "user").mkdir()
        prepare(tmp_path / "user" / "home")
        done = launcher(*words.split())
        assert done.code == 1
        assert "belongs to user nobody, and this is root" in done.err
        assert "without sudo" in done.err
        assert [path for path in (tmp_path / "user").rglob("*") if path.lstat().st_uid == 0] == []


@as_root
def test_a_read_only_home_is_named(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    with stigmer(tmp_path) as launcher:
        used(launcher)
        script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        prefix = ("unshare", "--mount", "sh", "-c", script, str(launcher.home))
        done = plainly(launcher, "server", prefix=prefix)
        assert done.code == 1
        assert f"{launcher.home} is on a read-only file system" in done.err
