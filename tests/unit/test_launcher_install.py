"""Installing the keg's components into a home, wherever it is; a second start changes nothing."""

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
    assert installed.changed
    assert installed.directory == f"{places.versions}/{installed.id}"
    server = Path(places.bin, "stigmer-server")
    assert stat.S_IMODE(server.stat().st_mode) == 0o755
    shared = server.samefile(keg / "components/stigmer-server")
    assert shared == (methods is LINK) or methods is filecopy.METHODS


def test_a_second_start_changes_nothing_and_reads_no_component(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must cost one `stat` per file and not read contents, and reports nothing."""
    messages: list[str] = []
    put(keg, places, report=messages.append)
    before = snapshot(places.home)
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, _: pytest.fail(f"{stream.name} was read"))
    assert not install(payload.read_keg(str(keg)), places, messages.append)
    assert snapshot(places.home) == before
    assert messages == [f"preparing stigmer 1.0.0 in {places.bin}"]


def test_the_keg_is_not_needed_once_its_components_are_installed(keg: Path, places: Places, tmp_path: Path) -> None:
    """`brew upgrade` deletes the keg under a running server."""
    installed = put(keg, places)
    versions.remove_tree(str(keg.parent))
    assert os.access(f"{installed.directory}/temporal", os.X_OK)
    with pytest.raises(KegError, match="cannot read") as caught:
        put(keg, places)
    assert "brew reinstall" in caught.value.remedy


def test_a_home_may_be_a_symbolic_link_and_may_be_moved(keg: Path, tmp_path: Path) -> None:
    """`bin` is a relative link to its version, so that moving the home does not break it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    put(keg, find_places({"STIGMER_HOME": str(tmp_path / "link")}))
    (tmp_path / "real").rename(tmp_path / "moved")
    moved = find_places({"STIGMER_HOME": str(tmp_path / "moved")})
    assert not put(keg, moved).changed


def test_a_file_at_the_path_of_a_version_is_an_error(keg: Path, places: Places) -> None:
    version = Path(versions.directory_of(places, payload.read_keg(str(keg)).id))
    version.parent.mkdir(parents=True)
    version.write_text("")
    with pytest.raises(HomeError, match=f"^{version} is in the way: it is not a directory"):
        put(keg, places)
    assert names_in(places.versions) == [version.name]


def test_a_disk_that_fills_up_is_reported_and_leaves_no_files(keg: Path, places: Places) -> None:
    def copy_until_full(source: str, target: str, mode: int) -> None:
        if source.endswith("2.so"):
            raise OSError(errno.ENOSPC, "No space left on device", target)
        filecopy.copy(source, target, mode)

    with pytest.raises(HomeError, match="there is no space left in") as caught:
        put(keg, places, methods=(copy_until_full,))
    assert "free some space" in caught.value.remedy
    assert names_in(places.versions) == []
    assert not os.path.lexists(places.bin)
    put(keg, places)


@pytest.mark.parametrize("call", ["fchmod", "symlink"])
def test_a_file_system_without_permissions_and_symbolic_links_is_an_error(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """FAT and exFAT have neither; the hint used to be to change the permissions of the home."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for name in {call, "symlink"}:
        monkeypatch.setattr(os, name, refuse)
    with pytest.raises(HomeError, match=f"^{places.versions} is on a file system without symbolic links$"):
        put(keg, places, methods=COPY)
    assert [name for name in names_in(places.versions) if name.startswith(".")] == []


def test_a_home_without_space_for_copies_is_refused_before_the_first_copy(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    monkeypatch.setattr(os, "fsync", copied.append)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 10, 0, 0, 10, 10, 10, 0, 255)))
    with pytest.raises(HomeError, match=r"has 0 MB free, and the components need \d+ MB"):
        put(keg, places, methods=COPY)
    assert len(copied) == 1, "the trial copy that shows that links are not possible"
    put(keg, places, methods=LINK)
