"""Checks before an installation report the directory and a remedy."""

import errno
import os
from pathlib import Path

import pytest

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.install import preflight
from stigmer_launcher.system import machine
from stigmer_launcher.system.places import explain, find_places, prepare_home

ELF, MACHO = b"\x7fELF\x02\x01\x01" + bytes(11), b"\xcf\xfa\xed\xfe"


def test_a_home_is_accessible_only_to_its_owner(tmp_path: Path) -> None:
    places = find_places({"STIGMER_HOME": str(tmp_path / "a" / "b c" / "höme")})
    for _ in range(2):
        prepare_home(places.home, places.run, places.versions)
    assert Path(places.home).stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in Path(places.home).iterdir()) == ["run", "versions"]


def test_a_file_at_the_path_of_the_home_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(HomeError, match=r"file.* is in the way") as caught:
            prepare_home(str(home))
        assert "STIGMER_HOME" in caught.value.remedy


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_symbolic_links_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """For FAT and exFAT, the hint used to be to change permissions, which they do not have either."""
    preflight.require_symlinks(str(tmp_path))
    assert list(tmp_path.iterdir()) == []

    def symlink(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "symlink", symlink)
    with pytest.raises(HomeError, match=f"^{tmp_path} is on a file system without symbolic links$"):
        preflight.require_symlinks(str(tmp_path))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left in HOME"),
        (errno.EDQUOT, "no space left in HOME"),
        (errno.EROFS, "HOME is on a read-only file system"),
        (errno.EACCES, "no permission to write HOME"),
        (errno.ENAMETOOLONG, "cannot work in HOME: File name too long"),
    ],
)
def test_a_failed_system_call_is_explained_with_its_path_and_a_remedy(
    tmp_path: Path, number: int, message: str
) -> None:
    """The remedy is a command for a shell, so a path with a space must be quoted."""
    home = tmp_path / "x y"
    home.mkdir()
    error = explain(OSError(number, os.strerror(number)), str(home))
    assert message.replace("HOME", str(home)) in str(error)
    assert "STIGMER_HOME" in error.remedy
    assert (f"`chmod -R u+rwX '{home}'`" in error.remedy) == (number == errno.EACCES)


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (ELF + (62).to_bytes(2, "little"), "linux-amd64"),
        (ELF + (183).to_bytes(2, "little"), "linux-arm64"),
        (ELF + (243).to_bytes(2, "little"), "another machine (ELF 243)"),
        (b"\x7fELF\x02\x02\x01" + bytes(11) + (22).to_bytes(2, "big"), "another machine (ELF 22)"),
        (MACHO + bytes.fromhex("07000001"), "darwin-amd64"),
        (MACHO + bytes.fromhex("0c000001"), "darwin-arm64"),
        (b"#!/bin/sh\n", ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_the_target_of_a_program_is_read_from_its_header(tmp_path: Path, head: bytes | None, target: str) -> None:
    if head is not None:
        (tmp_path / "program").write_bytes(head)
    assert machine.binary_target(str(tmp_path / "program")) == target


def test_only_a_program_for_this_machine_is_accepted() -> None:
    shell = str(Path("/bin/sh").resolve())
    if not machine.binary_target(shell):
        pytest.skip("/bin/sh is a universal binary here")
    here = machine.this_target()
    preflight.require_native([shell], here)
    with pytest.raises(KegError, match="is built for"):
        preflight.require_native([shell], "darwin-arm64" if here != "darwin-arm64" else "linux-arm64")
