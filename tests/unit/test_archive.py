"""Archives are reproducible, and unpacking one never writes outside its directory."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.bottle.archive import Member, unpack_archive, write_archive
from stigmer_packaging.bottle.reading import query_version, read_checksums, read_version
from stigmer_packaging.lib.errors import ArchiveError, PublicationError
from support.native_code import flip
from support.tiny_packages import Entry, device_entry, file_entry, link_entry, tar_of

EPOCH = 1_767_225_600


def pack(folder: Path, text: str = "content", mode: int = 0o644, time: int = 0) -> Path:
    folder.mkdir()
    for name in ("tool", "note"):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(mode)
        os.utime(folder / name, (time, time))
    members = [
        Member("bin/tool", folder / "tool", executable=True),
        Member("alias", link="bin/tool"),
        Member("bin/note", folder / "note"),
    ]
    write_archive(folder / "a.tar.gz", "keg/1.0", members, mtime=EPOCH)
    return folder / "a.tar.gz"


def crafted(path: Path, *entries: Entry) -> Path:
    path.write_bytes(tar_of(entries, compression="gz"))
    return path


def test_equal_members_give_equal_bytes_regardless_of_times_and_modes_on_disk(tmp_path: Path) -> None:
    first = pack(tmp_path / "a").read_bytes()
    assert pack(tmp_path / "b", mode=0o700, time=1).read_bytes() == first
    assert pack(tmp_path / "c", "Content").read_bytes() != first


def test_a_bottle_without_its_program_index_or_checksums_cannot_be_published(tmp_path: Path) -> None:
    bottle = pack(tmp_path / "a")
    with pytest.raises(PublicationError, match=r"a\.tar\.gz contains no keg/1\.0/bin/keg"):
        query_version(bottle, "keg", "1.0", scratch=tmp_path / "scratch", env={})
    with pytest.raises(PublicationError, match=r"a\.tar\.gz contains no keg/1\.0/libexec/payload\.json"):
        read_version(bottle, "keg", "1.0")
    with pytest.raises(PublicationError, match=r"a\.tar\.gz contains no keg/1\.0/libexec/SHA256SUMS"):
        read_checksums(bottle, "keg", "1.0")


def test_the_gzip_header_has_no_name_or_time_and_records_best_compression(tmp_path: Path) -> None:
    """RFC 1952: magic, deflate, no flags, time 0, XFL 2."""
    assert pack(tmp_path / "a").read_bytes()[:9] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02"


def test_members_are_sorted_and_have_normalised_modes_owners_and_times(tmp_path: Path) -> None:
    with tarfile.open(pack(tmp_path / "a")) as tar:
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
    (tmp_path / "file").write_text("long", encoding="utf-8")
    write_archive(tmp_path / "a.tar.gz", "keg", [Member("x" * 150, tmp_path / "file")], mtime=EPOCH)
    unpack_archive(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/keg" / ("x" * 150)).read_text(encoding="utf-8") == "long"


def test_unpacking_restores_contents_links_and_modes(tmp_path: Path) -> None:
    keg = tmp_path / "out/keg/1.0"
    unpack_archive(pack(tmp_path / "a"), tmp_path / "out")
    assert (keg / "alias").read_text(encoding="utf-8") == "content"
    assert (keg / "alias").readlink() == Path("bin/tool")
    assert [oct((keg / "bin" / name).stat().st_mode & 0o7777) for name in ("tool", "note")] == ["0o755", "0o644"]


def test_unpacking_drops_setuid_and_write_permission_for_group_and_others(tmp_path: Path) -> None:
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
    ids=[
        "absolute path",
        "parent directories",
        "through an absolute link",
        "through a relative link",
        "over a link",
        "hard link",
    ],
)
def test_an_entry_outside_the_directory_is_refused(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError, match="would be"):
        unpack_archive(crafted(tmp_path / "a.tar.gz", *entries), tmp_path / "out")
    assert list(tmp_path.glob("passwd")) == []


def test_devices_and_pipes_are_not_unpacked(tmp_path: Path) -> None:
    kinds = {"keg/pipe": tarfile.FIFOTYPE, "keg/disk": tarfile.BLKTYPE}
    entries = [*(device_entry(name, kind) for name, kind in kinds.items()), file_entry("keg/tool")]
    unpack_archive(crafted(tmp_path / "a.tar.gz", *entries), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/keg").iterdir()] == ["tool"]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "magic": lambda content: flip(content, 0),
    "content": lambda content: flip(content, 60),
    "checksum": lambda content: flip(content, -6),
    "size": lambda content: flip(content, -2),
    "last 20 bytes missing": lambda content: content[:-20],
    "second half missing": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_reported_as_damaged(tmp_path: Path, damage: str) -> None:
    """The module tarfile stops before gzip's trailing checksum and size, so damage there would go unnoticed."""
    archive = pack(tmp_path / "a", "content" * 1000)
    archive.write_bytes(DAMAGES[damage](archive.read_bytes()))
    with pytest.raises(ArchiveError, match=r"a\.tar\.gz is damaged"):
        unpack_archive(archive, tmp_path / "out")
