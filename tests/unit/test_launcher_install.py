"""The home gets all of the keg's components, wherever it is, and a second start changes nothing."""

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.install import filecopy, payload, versions
from stigmer_launcher.install.install import install
from stigmer_launcher.system.places import Places, find_places
from support.installing import COPY, LINK, names_in, put, snapshot


@pytest.mark.parametrize("methods", [filecopy.METHODS, LINK, COPY], ids=["best", "link", "copy"])
def test_a_first_start_installs_everything(keg: Path, places: Places, methods: filecopy.Methods) -> None:
    installed = put(keg, places, methods=methods)
    assert installed.made
    assert installed.directory == f"{places.versions}/{installed.id}"
    server = Path(places.bin, "stigmer-server")
    assert stat.S_IMODE(server.stat().st_mode) == 0o755
    shared = server.samefile(keg / "components/stigmer-server")
    assert shared == (methods is LINK) or methods is filecopy.METHODS


def test_a_second_start_touches_nothing_and_reads_no_component(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cost is one look at each file, not its content; what the first one did was reported once."""
    told: list[str] = []
    put(keg, places, report=told.append)
    before = snapshot(places.home)
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, _: pytest.fail(f"{stream.name} was read"))
    assert not install(payload.read_keg(str(keg)), places, told.append)
    assert snapshot(places.home) == before
    assert told == [f"preparing stigmer 1.0.0 in {places.bin}"]


def test_the_old_keg_is_not_needed_once_the_components_are_there(keg: Path, places: Places, tmp_path: Path) -> None:
    """`brew upgrade` deletes the keg under a running server."""
    installed = put(keg, places)
    versions.remove_tree(str(keg.parent))
    assert os.access(f"{installed.directory}/temporal", os.X_OK)
    with pytest.raises(KegError, match="cannot read") as caught:
        put(keg, places)
    assert "brew reinstall" in caught.value.remedy


def test_a_home_may_be_a_link_and_may_be_moved(keg: Path, tmp_path: Path) -> None:
    """`bin` is a relative link to its version."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    put(keg, find_places({"STIGMER_HOME": str(tmp_path / "link")}))
    (tmp_path / "real").rename(tmp_path / "moved")
    moved = find_places({"STIGMER_HOME": str(tmp_path / "moved")})
    assert not put(keg, moved).made


def test_a_file_where_a_version_should_be_is_named(keg: Path, places: Places) -> None:
    version = Path(versions.directory_of(places, payload.read_keg(str(keg)).id))
    version.parent.mkdir(parents=True)
    version.write_text("")
    with pytest.raises(HomeError, match=f"^{version} is in the way: it is not a directory"):
        put(keg, places)
    assert names_in(places.versions) == [version.name]


def test_a_disk_that_fills_up_meanwhile_is_reported_and_nothing_is_left(keg: Path, places: Places) -> None:
    def full(source: str, target: str, mode: int) -> None:
        if source.endswith("2.so"):
            raise OSError(errno.ENOSPC, "No space left on device", target)
        filecopy.copy(source, target, mode)

    with pytest.raises(HomeError, match="there is no space left in") as caught:
        put(keg, places, methods=(full,))
    assert "free some space" in caught.value.remedy
    assert names_in(places.versions) == []
    assert not os.path.lexists(places.bin)
    put(keg, places)


@pytest.mark.parametrize("call", ["fchmod", "symlink"])
def test_a_file_system_without_permissions_and_symbolic_links_is_named(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """FAT and exFAT have neither; the hint was to change the permissions of the home."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for name in {call, "symlink"}:
        monkeypatch.setattr(os, name, refuse)
    with pytest.raises(HomeError, match=f"^{places.versions} is on a file system without symbolic links$"):
        put(keg, places, methods=COPY)
    assert [name for name in names_in(places.versions) if name.startswith(".")] == []


def test_a_home_without_room_for_copies_is_refused_before_the_first_one(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    monkeypatch.setattr(os, "fsync", copied.append)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 10, 0, 0, 10, 10, 10, 0, 255)))
    with pytest.raises(HomeError, match=r"has 0 MB free, and the components need \d+ MB"):
        put(keg, places, methods=COPY)
    assert len(copied) == 1, "the trial that showed that copies are needed"
    put(keg, places, methods=LINK)
