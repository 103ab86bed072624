"""Finding the home and the keg from the environment; every error has a remedy."""

import contextlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.system import darwin
from stigmer_launcher.system.places import find_places, installed_libexec, prepare_home, unwritable, unwritable_files

OWN_HOME = f"{pwd.getpwuid(os.getuid()).pw_dir}/.stigmer"


def test_stigmer_home_relocates_every_place() -> None:
    names = ("bin", "versions", "run", "logs", "config.yaml")
    places = find_places({"STIGMER_HOME": "/srv/stig mer", "HOME": "/home/ada"})
    assert places == ("/srv/stig mer", *(f"/srv/stig mer/{name}" for name in names))


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/.stigmer"),
        ({"STIGMER_HOME": "", "HOME": "/home/ada"}, "/home/ada/.stigmer"),
        ({"STIGMER_HOME": "~/x", "HOME": "/home/ada"}, "/home/ada/x"),
        ({"STIGMER_HOME": "~", "HOME": "/home/ada"}, "/home/ada"),
        ({"STIGMER_HOME": "~bob/x", "HOME": "/home/ada"}, "/w/~bob/x"),
        ({}, OWN_HOME),
        ({"HOME": ""}, OWN_HOME),
        ({"HOME": "relative"}, OWN_HOME),
    ],
)
def test_the_home_is_derived_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], home: str
) -> None:
    """A tilde that no shell has expanded means the user's home; the fallback is the password database."""
    monkeypatch.setattr(os, "getcwd", lambda: "/w")
    assert find_places(environ).home == home


def test_a_relative_stigmer_home_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = find_places({"STIGMER_HOME": "here/../there"})
    monkeypatch.chdir("/")
    assert places.home == str(tmp_path / "there")


def test_the_current_directory_is_used_if_the_password_database_has_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd(("ada", "x", uid, uid, "", "", "")))
    monkeypatch.chdir(tmp_path)
    assert find_places({}).home == str(tmp_path / ".stigmer")


def test_without_any_home_the_remedy_is_stigmer_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_user(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", no_such_user)
    with pytest.raises(HomeError) as caught:
        find_places({})
    assert "STIGMER_HOME" in caught.value.remedy


def test_the_keg_is_found_from_the_frozen_executable_through_all_symlinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prefix's `bin/stigmer` leads through links into the keg; `opt` points to another keg after an upgrade."""
    launcher = tmp_path / "Cellar/stigmer/2.0.0/libexec/launcher/stigmer"
    launcher.parent.mkdir(parents=True)
    launcher.touch()
    (tmp_path / "opt").symlink_to("Cellar/stigmer/2.0.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/stigmer").symlink_to("../opt/libexec/launcher/stigmer")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")  # Linux resolves the links itself
    monkeypatch.setattr(darwin, "program", lambda _: str(tmp_path / "bin/stigmer"))
    assert installed_libexec({"STIGMER_PAYLOAD": "/elsewhere"}) == str(tmp_path / "Cellar/stigmer/2.0.0/libexec")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc")
def test_a_missing_proc_is_reported_with_the_command_that_mounts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a chroot, where the identities of processes cannot be read."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    with pytest.raises(KegError, match="/proc is not mounted") as caught:
        installed_libexec({})
    assert "`mount -t proc proc /proc`" in caught.value.remedy


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc")
def test_the_proc_of_another_pid_namespace_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox that shows the machine's /proc: a server started there could not be stopped."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(os, "getpid", lambda: 2)  # in the inner namespace
    with pytest.raises(KegError, match="not mounted in this chroot or container") as caught:
        installed_libexec({})
    assert "`mount -t proc proc /proc`" in caught.value.remedy


def test_a_frozen_launcher_is_found_by_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With PYTHONEXECUTABLE or __PYVENV_LAUNCHER__ set, the keg was once searched beside the path they name."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/named/by/PYTHONEXECUTABLE")
    program = os.path.realpath("/proc/self/exe") if sys.platform == "linux" else os.path.realpath(sys.orig_argv[0])
    assert installed_libexec({}) == str(Path(program).parents[1])


@pytest.mark.parametrize("variable", ["STIGMER_HOME", "HOME"])
def test_a_home_that_is_not_utf_8_is_refused(variable: str) -> None:
    with pytest.raises(HomeError, match=r"not UTF-8 text: /caf\\xe9"):
        find_places({variable: os.fsdecode(b"/caf\xe9")})


def test_a_checkout_needs_the_variable_that_names_the_keg() -> None:
    assert installed_libexec({"STIGMER_PAYLOAD": "/keg/libexec"}) == "/keg/libexec"
    with pytest.raises(KegError) as caught:
        installed_libexec({})
    assert "STIGMER_PAYLOAD" in caught.value.remedy


def test_the_remedy_creates_a_home_below_a_directory_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "x y" / "home"
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        error = unwritable(str(home), str(home))
    assert f"no permission to write {tmp_path}: it belongs to user" in str(error)
    command = error.remedy.partition("`sudo ")[2].partition("`")[0]
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert home.is_dir()


def test_the_remedy_makes_a_read_only_directory_of_the_user_writable(
    tmp_path: Path,
) -> None:
    above = tmp_path / "x y"
    above.mkdir(mode=0o500)
    error = unwritable(str(above / "home"), str(above / "home"))
    subprocess.run(["/bin/sh", "-c", error.remedy.partition("`")[2].partition("`")[0]], check=True)
    assert above.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_renamed_meanwhile_is_not_reported_as_unwritable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state file is written under another name and then renamed."""
    (tmp_path / "state.json.new").touch()
    access = os.access

    def access_after_the_rename(path: str, mode: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "state.json.new").rename(tmp_path / "state.json")
        return access(path, mode)

    monkeypatch.setattr(os, "access", access_after_the_rename)
    assert [str(error) for error in unwritable_files(str(tmp_path), str(tmp_path))] == []


def test_a_home_that_is_removed_meanwhile_is_not_reported_as_unwritable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy once was to change the permissions of its parent directory, which may be anyone's."""

    def access(path: str, _: int) -> bool:
        Path(path).rmdir()
        return False

    monkeypatch.setattr(os, "access", access)
    prepare_home(str(tmp_path / "home"))
    assert not (tmp_path / "home").exists()
