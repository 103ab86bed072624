"""Upgrades keep versions that are in use, remove outdated ones, and keep files that Stigmer did not create."""

import errno
import os
from pathlib import Path

import pytest

from stigmer_launcher.errors import HomeError
from stigmer_launcher.install.install import LOCK, install
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.system import locks
from stigmer_launcher.system.places import Places
from support.installing import COPY, LINK, names_in, put, snapshot
from support.launcher_payloads import build_libexec, stigmer_parts
from support.launcher_services import raising_oserror


@pytest.fixture(name="newer")
def _newer(tmp_path: Path) -> Path:
    """Build the keg of the next version, in which one component differs."""
    return build_libexec(tmp_path / "newer", stigmer_parts(temporal="exit 7"), version="1.1.0")


def test_a_version_is_kept_as_long_as_a_running_server_uses_it(keg: Path, newer: Path, places: Places) -> None:
    old = put(keg, places)
    new = put(newer, places, in_use=lambda: (old.id,))
    assert names_in(places.versions) == sorted([old.id, new.id])
    put(newer, places, in_use=lambda: (old.id,))
    assert Path(old.directory, "temporal").exists()
    put(newer, places)
    assert names_in(places.versions) == [new.id]


def test_versions_in_use_are_read_under_the_install_lock(keg: Path, newer: Path, places: Places) -> None:
    """Otherwise a version could be removed that another start has just chosen."""
    old = put(keg, places)
    holders: list[int] = []

    def in_use() -> tuple[str, ...]:
        holders.append(locks.holder(str(Path(places.run, LOCK))))
        return (old.id,) if len(holders) == 1 else ()

    new = put(newer, places, in_use=in_use)
    assert names_in(places.versions) == sorted([old.id, new.id])
    put(newer, places, in_use=in_use)
    assert names_in(places.versions) == [new.id]
    assert holders == [os.getpid(), 0, os.getpid()], "the second call only checks whether anything can be removed"


def test_an_old_version_that_cannot_be_removed_is_removed_later(
    tmp_path: Path, keg: Path, newer: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS keeps files that a program still uses; the first start after an upgrade used to fail."""
    old = put(keg, places)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", raising_oserror(errno.ENOTEMPTY))
        install(read_keg(str(newer)), places, lambda _: None)
        assert f".gone-{old.id}" in names_in(places.versions)
        newest = build_libexec(tmp_path / "newest", stigmer_parts(temporal="exit 8"), version="1.2.0")
        install(read_keg(str(newest)), places, lambda _: None)
    put(newest, places)
    assert len(names_in(places.versions)) == 1


def test_a_downgrade_to_a_version_that_still_exists_only_switches(keg: Path, newer: Path, places: Places) -> None:
    old = put(keg, places)
    new = put(newer, places, in_use=lambda: (old.id,))
    before = snapshot(places.versions)
    put(keg, places, in_use=lambda: (new.id,))
    assert snapshot(places.versions) == before


def test_only_changed_files_are_copied(keg: Path, newer: Path, places: Places) -> None:
    put(keg, places, methods=COPY)
    names = ("temporal", "stigmer-server", "agent-runner.lib/a/1.so")
    before = [Path(places.bin, name).stat().st_ino for name in names]
    put(newer, places, methods=COPY)
    after = [Path(places.bin, name).stat().st_ino for name in names]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True]


def test_files_are_linked_to_the_new_keg_after_an_upgrade(keg: Path, newer: Path, places: Places) -> None:
    """A hard link to the old file would keep it on disk; a link to the new keg costs nothing."""
    put(keg, places, methods=LINK)
    put(newer, places, methods=LINK)
    assert Path(places.bin, "stigmer-server").samefile(newer / "components/stigmer-server"), (
        "unchanged files are linked to the new keg, too"
    )


def test_the_bin_directory_of_an_earlier_stigmer_is_moved_aside(keg: Path, places: Places) -> None:
    Path(places.bin).mkdir(parents=True)
    Path(places.bin, "temporal").write_text("downloaded")
    installed = put(keg, places)
    assert Path(f"{places.bin}.before-{installed.id}-1", "temporal").read_text() == "downloaded"


def test_an_upgrade_replaces_the_link_at_bin_and_keeps_no_copy_of_it(keg: Path, newer: Path, places: Places) -> None:
    put(keg, places)
    put(newer, places)
    assert names_in(places.home) == ["bin", "run", "versions"]


def test_links_in_a_removed_version_are_not_followed(keg: Path, newer: Path, places: Places, tmp_path: Path) -> None:
    """A program or a user may have put them there."""
    old = put(keg, places)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    Path(old.directory, "link").symlink_to(tmp_path / "mine")
    new = put(newer, places)
    assert names_in(places.versions) == [new.id]
    assert names_in(str(tmp_path / "mine")) == ["file"]


def test_a_start_completes_the_work_of_one_that_was_killed(keg: Path, places: Places) -> None:
    """It may have been killed while it copied a file, or before it renamed the link."""
    Path(places.versions, ".making", "agent-runner.lib").mkdir(parents=True)
    Path(places.versions, ".making", "temporal").write_text("half")
    Path(f"{places.bin}.new").symlink_to("versions/1.0.0")
    put(keg, places)


@pytest.mark.parametrize("link", ["/elsewhere", "nowhere/x"])
def test_a_foreign_link_at_bin_is_moved_aside(keg: Path, places: Places, link: str) -> None:
    Path(places.home).mkdir()
    Path(places.bin).symlink_to(link)
    for name in ("-1", "-2"):
        installed = put(keg, places)
        assert str(Path(f"{places.bin}.before-{installed.id}{name}").readlink()) == link
        Path(places.bin).unlink()
        Path(places.bin).symlink_to(link)


@pytest.mark.parametrize("name", ["mine", ".git", ".gone"])
def test_a_foreign_directory_in_versions_is_kept(keg: Path, newer: Path, places: Places, name: str) -> None:
    """STIGMER_HOME may name a directory that holds other things, too; hidden ones were once removed."""
    Path(places.versions, name).mkdir(parents=True)
    install(read_keg(str(keg)), places, lambda _: None)
    install(read_keg(str(newer)), places, lambda _: None)
    install(read_keg(str(newer)), places, lambda _: None)
    assert Path(places.versions, name).is_dir()


@pytest.mark.parametrize("is_link", [False, True], ids=["directory", "link"])
def test_a_bin_of_other_programs_is_refused_before_anything_is_created(
    keg: Path, places: Places, tmp_path: Path, *, is_link: bool
) -> None:
    """As in `STIGMER_HOME=$HOME`, or `/` in a container: their path would have led to Stigmer's components."""
    tools = tmp_path / "tools" if is_link else Path(places.bin)
    tools.mkdir(parents=True)
    (tools / "mine").touch()
    if is_link:
        Path(places.home).mkdir()
        Path(places.bin).symlink_to(tools)
    with pytest.raises(HomeError, match=f"{places.bin} holds other programs") as caught:
        put(keg, places)
    assert "export STIGMER_HOME=" in caught.value.remedy
    assert names_in(places.home) == ["bin"]
    assert names_in(places.bin) == ["mine"]


def test_hidden_files_that_an_earlier_stigmer_or_the_finder_left_in_bin_are_no_programs(
    keg: Path, places: Places
) -> None:
    """`rm ~/.stigmer/bin/*` leaves them; the hint was to choose the home that had been refused."""
    Path(places.bin).mkdir(parents=True)
    for name in (".version", ".DS_Store"):
        Path(places.bin, name).touch()
    installed = put(keg, places)
    assert names_in(f"{places.bin}.before-{installed.id}-1") == [".DS_Store", ".version"]
