"""Prebuilt executables from a web server: as they are, or from an archive."""

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
    """Return a tar.gz with the program under this name and a link to it."""
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
def test_an_executable_is_taken_as_it_is_or_from_an_archive(content: bytes, member: str, tmp_path: Path) -> None:
    assert fetch(content, member, tmp_path) == PROGRAM


@pytest.mark.parametrize("content", [tarball("temporal"), zipped({"temporal": PROGRAM})])
@pytest.mark.parametrize("member", ["tempora", "link"])
def test_a_member_that_is_not_a_file_is_reported_with_the_files_of_the_archive(
    content: bytes, member: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=f"no member {member}; it contains temporal"):
        fetch(content, member, tmp_path)


def encrypted() -> bytes:
    """Return a zip file whose member is marked as encrypted."""
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
def test_a_damaged_or_encrypted_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    """Its checksum is right: the file was like that when it was pinned."""
    with pytest.raises(SourceError, match="is damaged or uses an unsupported format"):
        fetch(content, "temporal", tmp_path)


def test_a_member_of_a_file_that_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a tar or zip archive"):
        fetch(PROGRAM, "temporal", tmp_path)


def test_an_error_page_never_becomes_the_executable(tmp_path: Path) -> None:
    with faulty_server(b"<html>404</html>", Faults(content_type="text/html")) as server, pytest.raises(DownloadError):
        source_of(server.url, "0" * 64, "", tmp_path).fetch(tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_the_url_of_a_file_is_not_among_its_facts(tmp_path: Path) -> None:
    one, two = (source_of(f"https://{host}.invalid/", "0" * 64, "m", tmp_path) for host in ("one", "two"))
    assert one.facts() == two.facts()
