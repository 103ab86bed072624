"""Archives: the same bytes for the same members, and nothing unpacked where it does not belong."""

import gzip
import os
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stigmer_packaging.bottle.archive import Member, unpack_archive, write_archive
from stigmer_packaging.lib.errors import ArchiveError
from support.native_code import flip
from support.tiny_packages import Entry, device_entry, file_entry, link_entry, tar_of

EPOCH = 1_767_225_600


def members_below(folder: Path, text: str = "content") -> list[Member]:
    """Write two files and name four members, not in order."""
    folder.mkdir()
    for name in ("tool", "note"):
        (folder / name).write_text(text, encoding="utf-8")
    return [
        Member("keg/1.0/bin/tool", folder / "tool", executable=True),
        Member("keg/1.0/alias", link="bin/tool"),
        Member("keg/1.0/bin/note", folder / "note"),
        Member("keg/1.0/bin"),
        Member("keg/1.0"),
    ]


def crafted(path: Path, *entries: Entry) -> Path:
    path.write_bytes(tar_of(entries, compression="gz"))
    return path


def test_equal_members_give_equal_bytes_whatever_their_order_times_and_modes_on_disk(tmp_path: Path) -> None:
    first, second = members_below(tmp_path / "a"), members_below(tmp_path / "b")
    os.utime(tmp_path / "b" / "tool", (1, 1))
    (tmp_path / "b" / "tool").chmod(0o700)
    write_archive(tmp_path / "a.tar.gz", first, mtime=EPOCH)
    write_archive(tmp_path / "b.tar.gz", reversed(second), mtime=EPOCH)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_the_gzip_header_has_no_name_and_no_time_and_says_best_compression(tmp_path: Path) -> None:
    """RFC 1952: magic, deflate, no flags, time 0, XFL 2."""
    write_archive(tmp_path / "a.tar.gz", members_below(tmp_path / "a"), mtime=EPOCH)
    assert (tmp_path / "a.tar.gz").read_bytes()[:9] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02"


def test_members_are_sorted_after_their_directories_and_belong_to_nobody(tmp_path: Path) -> None:
    """The first is the keg with a slash: a local install of brew reads name and version from these bytes."""
    write_archive(tmp_path / "a.tar.gz", members_below(tmp_path / "a"), mtime=EPOCH)
    assert gzip.decompress((tmp_path / "a.tar.gz").read_bytes()).startswith(b"keg/1.0/\0")
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        found = tar.getmembers()
    assert [(info.name, oct(info.mode)) for info in found] == [
        ("keg/1.0", "0o755"),
        ("keg/1.0/alias", "0o777"),
        ("keg/1.0/bin", "0o755"),
        ("keg/1.0/bin/note", "0o644"),
        ("keg/1.0/bin/tool", "0o755"),
    ]
    assert {(info.uid, info.gid, info.uname, info.gname, info.mtime) for info in found} == {(0, 0, "", "", EPOCH)}


def test_a_name_too_long_for_ustar_survives(tmp_path: Path) -> None:
    name = "keg/" + "x" * 150
    (tmp_path / "file").write_text("long", encoding="utf-8")
    write_archive(tmp_path / "a.tar.gz", [Member(name, tmp_path / "file")], mtime=EPOCH)
    unpack_archive(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / name).read_text(encoding="utf-8") == "long"


def test_unpacking_gives_what_was_packed(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar.gz", members_below(tmp_path / "a"), mtime=EPOCH)
    keg = tmp_path / "out/keg/1.0"
    unpack_archive(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (keg / "alias").read_text(encoding="utf-8") == "content"
    assert (keg / "alias").readlink() == Path("bin/tool")
    assert [oct((keg / "bin" / name).stat().st_mode & 0o7777) for name in ("tool", "note")] == ["0o755", "0o644"]


def test_unpacking_drops_setuid_and_the_write_permission_of_others(tmp_path: Path) -> None:
    archive = crafted(tmp_path / "a.tar.gz", file_entry("keg/tool", mode=0o6777))
    unpack_archive(archive, tmp_path / "out")
    assert (tmp_path / "out/keg/tool").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "entries",
    [
        [file_entry("/passwd")],
        [file_entry("keg/../../passwd")],
        [link_entry("keg", "/"), file_entry("keg/passwd")],
        [link_entry("keg", ".."), file_entry("keg/passwd")],
        [link_entry("keg", "../passwd"), file_entry("keg")],
        [link_entry("keg", "../passwd", hard=True)],
    ],
    ids=["absolute", "escaping", "through an absolute link", "through a link", "over a link", "hard link"],
)
def test_nothing_is_written_outside(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError, match="would be"):
        unpack_archive(crafted(tmp_path / "a.tar.gz", *entries), tmp_path / "out")
    assert list(tmp_path.glob("passwd")) == []


def test_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    kinds = {"keg/pipe": tarfile.FIFOTYPE, "keg/disk": tarfile.BLKTYPE}
    entries = [*(device_entry(name, kind) for name, kind in kinds.items()), file_entry("keg/tool")]
    unpack_archive(crafted(tmp_path / "a.tar.gz", *entries), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/keg").iterdir()] == ["tool"]


@pytest.mark.parametrize(
    "damage",
    [
        *(partial(flip, place=place) for place in (0, 60, -6, -2)),
        lambda content: content[:-20],
        lambda content: content[: len(content) // 2],
        lambda _: b"",
    ],
    ids=["magic", "content", "checksum", "size", "end cut off", "half", "empty"],
)
def test_a_damaged_archive_is_named_as_such(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """The checksum at gzip's very end is read too, which tarfile alone does not do."""
    archive = tmp_path / "a.tar.gz"
    write_archive(archive, members_below(tmp_path / "a", "content" * 1000), mtime=EPOCH)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ArchiveError, match=r"a\.tar\.gz is damaged"):
        unpack_archive(archive, tmp_path / "out")
