"""Homes on other file systems: another disk, a full one, one without exec, a read-only one; kegs of another user."""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.launcher_payloads import build_libexec, part
from support.launcher_starts import command, outcome, start
from support.mounts import can_mount, mount_command, needs_mounts
from support.users import NOBODY

BIG = {f"agent-runner.lib/{number}.so": os.urandom(500_000) for number in range(8)}
PARTS = (part("temporal"), part("agent-runner", extra=BIG))


@pytest.fixture(name="keg")
def _keg(tmp_path: Path) -> Path:
    return build_libexec(tmp_path / "keg", PARTS)


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def start_on(keg: Path, disk: Path, options: str, *, then: str = "") -> dict[str, Any]:
    """Start once with the home on a file system of that kind; `then` is run first, in sh, with its path as "$0"."""
    return outcome(start(keg, disk / "home", prefix=mount_command(options, disk, then=then)))


def once(keg: Path, disk: Path) -> str:
    """Return a shell command that starts once, without output."""
    return f"{shlex.join(command(keg, disk / 'home', 'copy'))} < /dev/null > /dev/null 2>&1"


@needs_mounts
def test_a_home_on_another_disk_has_copies(keg: Path, disk: Path) -> None:
    result = start_on(keg, disk, "size=32m")
    assert result["method"] == "copy"
    assert result["changed"]


@needs_mounts
def test_an_installation_that_fills_the_disk_is_reported_and_works_when_there_is_space_again(
    keg: Path, disk: Path
) -> None:
    """There is space for the bytes, but not for so many files."""
    result = start_on(keg, disk, "size=32m,nr_inodes=12")
    assert result["error"] == f"there is no space left in {disk}/home/versions"
    assert result["remedy"].startswith("free some space there")
    left = 'test -z "$(ls -A "$0/home/versions")" && mount -o remount,nr_inodes=1000 "$0"'
    assert start_on(keg, disk, "size=32m,nr_inodes=12", then=f"{once(keg, disk)} && {left}")["changed"]


@needs_mounts
def test_a_complete_home_on_a_noexec_mount_is_refused(keg: Path, disk: Path) -> None:
    result = start_on(keg, disk, "size=32m", then=f'{once(keg, disk)} && mount -o remount,noexec "$0"')
    assert result["error"].startswith(f"{disk}/home/versions is on a file system mounted noexec")
    assert "mount it without noexec" in result["remedy"]


@needs_mounts
def test_a_read_only_home_is_refused_with_the_directory(keg: Path, disk: Path) -> None:
    result = start_on(keg, disk, "size=32m,ro")
    assert result["error"] == f"{disk}/home is on a read-only file system"
    result = start_on(
        keg, disk, "size=32m", then='mkdir -p "$0/home/versions" "$0/home/run" && mount -o remount,ro "$0"'
    )
    assert result["error"] == f"{disk}/home is on a read-only file system"


@needs_mounts
def test_a_complete_read_only_home_can_be_used(keg: Path, disk: Path) -> None:
    result = start_on(keg, disk, "size=32m", then=f'{once(keg, disk)} && mount -o remount,ro "$0"')
    assert not result["changed"]


def can_clone() -> bool:
    return (
        os.geteuid() == 0
        and can_mount()
        and shutil.which("mkfs.xfs") is not None
        and Path("/dev/loop-control").exists()
    )


@pytest.mark.skipif(not can_clone(), reason="needs root, loop devices and mkfs.xfs for a file system with clones")
def test_on_a_file_system_that_can_clone_components_are_separate_files_without_a_copy(tmp_path: Path) -> None:
    """Then damage in the home does not affect the keg, and no space is used."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as stream:
        stream.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    disk.mkdir()
    build_libexec(tmp_path / "keg", PARTS)
    script = 'mount -o loop "$1" "$0" && cp -R "$2" "$0/keg" && shift 2 && "$@" && stat -c %i "$0"/*/libexec/components/temporal "$0/home/bin/temporal" >&2'
    prefix = ["unshare", "--mount", "sh", "-c", script, str(disk), str(image), str(tmp_path / "keg")]
    process = start(disk / "keg/libexec", disk / "home", prefix=prefix)
    printed, errors = process.communicate(timeout=60)
    assert json.loads(printed)["method"] == "clone", errors
    assert len(set(errors.splitlines()[-2:])) == 2


@pytest.fixture(name="public")
def _public() -> Iterator[Path]:
    """Return a directory that every user can enter, unlike pytest's, with a subdirectory of the user nobody."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        Path(place, "user").mkdir()
        os.chown(Path(place, "user"), NOBODY, NOBODY)
        yield Path(place)


def as_nobody(libexec: Path, home: Path) -> dict[str, Any]:
    return outcome(start(libexec, home, user=NOBODY))


def links_are_protected() -> bool:
    """Return whether only the owner of a file may hard-link it (fs.protected_hardlinks)."""
    setting = Path("/proc/sys/fs/protected_hardlinks")
    return setting.exists() and setting.read_text().strip() == "1"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start as another user")


@needs_root
@pytest.mark.skipif(not links_are_protected(), reason="fs.protected_hardlinks is off, or this is not Linux")
def test_a_keg_of_another_user_is_copied(public: Path) -> None:
    """A second user of the machine does not own Homebrew's prefix, and may not hard-link files in it."""
    libexec = build_libexec(public / "keg", PARTS)
    result = as_nobody(libexec, public / "user/home")
    assert (result["method"], result["changed"]) == ("copy", True)
    assert (public / "user/home/bin/temporal").stat().st_uid == NOBODY
    assert not as_nobody(libexec, public / "user/home")["changed"]


@needs_root
def test_a_home_that_belongs_to_another_user_is_named(public: Path) -> None:
    libexec = build_libexec(public / "keg", (part("temporal"),))
    (public / "home").mkdir()
    assert (
        as_nobody(libexec, public / "home")["error"] == f"no permission to write {public}/home: it belongs to user root"
    )
    os.chown(public / "home", NOBODY, NOBODY)
    (public / "home/versions").mkdir()
    refused = as_nobody(libexec, public / "home")
    assert refused["error"] == f"no permission to write {public}/home/versions: it belongs to user root"


@needs_root
def test_a_file_of_the_keg_that_cannot_be_read_is_named(public: Path) -> None:
    libexec = build_libexec(public / "keg", PARTS)
    (libexec / "components/agent-runner.lib/3.so").chmod(0o600)
    error = as_nobody(libexec, public / "user/home")["error"]
    assert error.endswith("agent-runner.lib/3.so cannot be read: Permission denied")
