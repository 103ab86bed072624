"""Prebuilt executables from a web server: as they are, or out of an archive."""

import hashlib
import os
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import DownloadError, SourceError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import ArtifactFile, ArtifactSource
from stigmer_packaging.sources.artifact import FromArtifact
from support.audit_bottles import zipped
from support.faulty_server import Faults, faulty_server
from support.tiny_packages import file_entry, link_entry, tar_of

PROGRAM = b"\x7fELF a program"


def tarball(name: str) -> bytes:
    """Make a tar.gz that holds the program under this name, and a link to it."""
    return tar_of([file_entry(name, PROGRAM), link_entry("link", name)], compression="gz")


def source_of(url: str, sha256: str, member: str, folder: Path) -> FromArtifact:
    source = ArtifactSource({"linux-amd64": ArtifactFile(url, sha256)}, member)
    return FromArtifact(source, Target("linux", "amd64"), folder / "cache", lambda _: None)


def fetch(content: bytes, member: str, folder: Path) -> bytes:
    with faulty_server(content, Faults()) as server:
        source_of(server.url, hashlib.sha256(content).hexdigest(), member, folder).fetch(folder / "program")
    assert (folder / "program").stat().st_mode & 0o777 == 0o755
    return (folder / "program").read_bytes()


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (PROGRAM, ""),
        (tarball("temporal"), "temporal"),
        (tarball("./bin/temporal"), "bin/temporal"),
        (zipped({"a/t": PROGRAM}), "a/t"),
    ],
)
def test_an_executable_is_taken_from_whatever_it_is_packed_in(content: bytes, member: str, tmp_path: Path) -> None:
    assert fetch(content, member, tmp_path) == PROGRAM


@pytest.mark.parametrize("content", [tarball("temporal"), zipped({"temporal": PROGRAM})])
@pytest.mark.parametrize("member", ["tempora", "link"])
def test_a_member_that_is_no_file_there_is_named_with_what_is(content: bytes, member: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"no member {member}; it contains temporal"):
        fetch(content, member, tmp_path)


def encrypted() -> bytes:
    """Make a zip file that says of its member that it is encrypted."""
    content = bytearray(zipped({"temporal": PROGRAM}))
    content[content.index(b"PK\1\2") + 8] |= 1
    content[6] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        tar_of([file_entry("temporal", os.urandom(1 << 16))], compression="gz")[:-9000],
        tar_of([file_entry("temporal", bytes(1 << 20))], compression="xz")[:-40],
        encrypted(),
    ],
    ids=["gz", "xz", "zip"],
)
def test_an_archive_that_was_pinned_damaged_or_encrypted_is_refused(content: bytes, tmp_path: Path) -> None:
    """Its checksum is right: the file was so when it was pinned."""
    with pytest.raises(SourceError, match="is damaged or uses an unsupported format"):
        fetch(content, "temporal", tmp_path)


def test_a_member_of_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a tar or zip archive"):
        fetch(PROGRAM, "temporal", tmp_path)


def test_a_page_that_says_404_never_becomes_the_executable(tmp_path: Path) -> None:
    with faulty_server(b"<html>404</html>", Faults(content_type="text/html")) as server, pytest.raises(DownloadError):
        source_of(server.url, "0" * 64, "", tmp_path).fetch(tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_where_a_file_came_from_is_no_part_of_what_it_is(tmp_path: Path) -> None:
    one, two = (source_of(f"https://{host}.invalid/", "0" * 64, "m", tmp_path) for host in ("one", "two"))
    assert one.facts() == two.facts()
