"""Homes with missing, unwritable or foreign files: the error names the file and a command that makes a start work."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_launcher.install.payload import Readiness
from support.launcher_payloads import part
from support.launcher_services import Stigmer, stigmer
from support.mounts import mount_command, needs_mounts
from support.users import NOBODY, UNPRIVILEGED, needs_unprivileged

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
pytestmark = needs_unprivileged


@pytest.fixture(name="used")
def _used(running: Stigmer) -> Stigmer:
    """Return the launcher of a user without root's override; its server has run, so the home is complete."""
    assert running("server", "stop").code == 0
    running.program[:0] = UNPRIVILEGED
    return running


@pytest.mark.parametrize("name", ["run", "logs"])
def test_a_missing_directory_is_created_again(used: Stigmer, name: str) -> None:
    shutil.rmtree(used.home / name)
    used.started()
    assert "everything: running" in used.log("supervisor")


NEEDED = ("run/supervisor.lock", "run/state.json", "logs/supervisor.log", "run", "logs")
COMMANDS = ("server", "server --foreground", "doctor")


@pytest.mark.parametrize(("name", "words"), [*itertools.product(NEEDED, COMMANDS), (".", "doctor")])
def test_an_unwritable_file_is_named_with_the_command_that_helps(used: Stigmer, name: str, words: str) -> None:
    """Regression: doctor found nothing, although no start could succeed."""
    path = used.home / name
    path.chmod(0o500 if path.is_dir() else 0o400)
    done = used(*words.split())
    path.chmod(0o700)
    assert done.code == 1
    assert f"no permission to write {path}" in done.out + done.err
    assert f"`chmod -R u+rwX {used.home}`" in done.out + done.err
    assert used("doctor").code == 0


@pytest.mark.parametrize("words", ["server", "server stop", "server status", "doctor"])
def test_a_home_that_cannot_be_entered_is_still_the_users_own(used: Stigmer, words: str) -> None:
    """Regression: as the owners of its files could not be read, the hint was to run chown as root."""
    used.home.chmod(0)
    done = used(*words.split())
    used.home.chmod(0o700)
    assert done.code == 1
    assert f"`chmod -R u+rwX {used.home}`" in done.out + done.err
    assert "chown" not in done.out + done.err


@pytest.mark.parametrize("words", ["server", "config list", "config set ports.server 7777", "doctor"])
def test_a_configuration_that_cannot_be_read_is_named_with_the_command_that_helps(used: Stigmer, words: str) -> None:
    path = used.home / "config.yaml"
    path.chmod(0)
    done = used(*words.split())
    assert done.code == 1
    assert f"cannot read {path}: Permission denied" in done.out + done.err
    assert f"`chmod -R u+rwX {used.home}`" in done.out + done.err


@pytest.mark.parametrize("mode", [0o500, 0o400, 0])
@pytest.mark.parametrize("words", ["server", "doctor"])
def test_an_unwritable_directory_of_a_service_is_named(tmp_path: Path, words: str, mode: int) -> None:
    """Regression: doctor found nothing, or advised creating a directory in place of a database it could not see."""
    only = part("temporal", arguments=("--db-filename", "{home}/data/temporal.db"), readiness=Readiness(9.0, ()))
    with stigmer(tmp_path, (only,)) as launcher:
        launcher.program[:0] = UNPRIVILEGED
        (data := launcher.home / "data").mkdir(parents=True)
        (data / "temporal.db").write_bytes(b"x")
        data.chmod(mode)
        done = launcher(*words.split())
        data.chmod(0o700)
    assert done.code == 1
    assert f"no permission to write {data}" in done.out + done.err
    assert "`chmod -R u+rwX " in done.out + done.err
    assert "install -d" not in done.out + done.err


@needs_mounts
def test_a_read_only_file_system_is_named_once(used: Stigmer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Regression: doctor named it for each file of the home."""
    home = str(used.home)
    bind = f"mount --bind {home} {home} && mount -o remount,bind,ro {home}"
    used.program[:0] = mount_command("size=1m", tmp_path_factory.mktemp("other"), then=bind)
    done = used("doctor")
    assert done.code == 1
    problems = [line for line in done.out.splitlines() if f"{home} is on a read-only file system" in line]
    assert [line.split()[1] for line in problems] == ["directory", "files"]


def test_a_home_that_is_a_file_is_named(launcher: Stigmer) -> None:
    """Regression: the error was that its configuration is unreadable."""
    launcher.home.touch()
    done = launcher("server")
    assert (done.code, done.err.splitlines()[0]) == (1, f"Error: {launcher.home} is in the way: it is not a directory")


@pytest.mark.parametrize("mode", [0, 0o400], ids=["nothing", "reading"])
@pytest.mark.parametrize("words", ["server", "doctor"])
def test_a_database_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path, words: str, mode: int) -> None:
    """Regression: the remedy was to start with an empty history."""
    only = part("temporal", arguments=("--db-filename", "temporal.db"), readiness=Readiness(9.0, ()))
    with stigmer(tmp_path, (only,)) as launcher:
        launcher.program[:0] = UNPRIVILEGED
        launcher.home.mkdir()
        database = launcher.home / "temporal.db"
        database.touch(mode)
        done = launcher(*words.split())
    assert done.code == 1
    assert f"no permission to write {database}" in done.out + done.err
    assert f"`chmod -R u+rwX {database}`" in done.out + done.err
    assert database.exists()


@as_root
@pytest.mark.parametrize("name", ["run/supervisor.lock", "logs/supervisor.log"])
def test_files_of_another_user_are_named_with_the_chown_that_helps(used: Stigmer, name: str) -> None:
    """A start with sudo leaves such files."""
    os.chown(used.home / name, NOBODY, NOBODY)
    done = used("server")
    assert done.code == 1
    assert f"no permission to write {used.home / name}: it belongs to user nobody" in done.err
    assert f'`sudo chown -R "$(id -un)" {used.home}`' in done.err


@as_root
@pytest.mark.parametrize("words", ["server status", "server stop", "server"])
def test_a_lock_that_cannot_be_read_does_not_mean_a_stopped_server(used: Stigmer, words: str) -> None:
    os.chown(used.home / "run" / "supervisor.lock", NOBODY, NOBODY)
    done = used(*words.split())
    assert done.code == 1
    assert "sudo chown -R" in done.err


def give_home(home: Path) -> None:
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)


def give_parent(home: Path) -> None:
    os.chown(home.parent, NOBODY, NOBODY)


@as_root
@pytest.mark.parametrize("prepare", [give_home, give_parent])
@pytest.mark.parametrize("words", ["server", "server --foreground", "config set ports.server 7777"])
def test_root_creates_nothing_in_the_home_of_another_user(
    launcher: Stigmer, tmp_path: Path, words: str, prepare: Callable[[Path], None]
) -> None:
    """Regression: after `sudo --preserve-env=HOME stigmer server`, the user could not write root's files."""
    home = tmp_path / "user" / "home"
    launcher.environment["STIGMER_HOME"] = str(home)
    home.parent.mkdir()
    prepare(home)
    done = launcher(*words.split())
    assert done.code == 1
    assert "belongs to user nobody, and this is root" in done.err
    assert "without sudo" in done.err
    assert [path for path in home.parent.rglob("*") if path.lstat().st_uid == 0] == []


@as_root
@needs_mounts
def test_a_read_only_home_is_named(used: Stigmer) -> None:
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    used.program[:0] = ["unshare", "--mount", "sh", "-c", script, str(used.home)]
    done = used("server")
    assert done.code == 1
    assert f"{used.home} is on a read-only file system" in done.err
