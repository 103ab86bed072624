"""Artefacts and records are published atomically, and a change of an artefact is detected."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.records.model import BuiltPart, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, scan_files


@pytest.fixture
def keg(workspace: Workspace) -> Keg:
    with workspace.staging() as staged:
        folder = staged / "keg"
        (folder / "libexec").mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "libexec" / "tool").write_text("tool", encoding="ascii")
        (folder / "bin" / "tool").symlink_to("../libexec/tool")
        workspace.publish(folder, "kegs/one")
    files = scan_files(workspace.path("kegs/one"))
    record = Keg("one", "1.0.0", "linux-amd64", "kegs/one", files, (("bin/tool", "../libexec/tool"),))
    workspace.write_record("assemble/one", record)
    return record


def test_a_record_survives_a_round_trip(workspace: Workspace, keg: Keg) -> None:
    assert workspace.read_record("assemble/one", Keg) == keg
    assert workspace.is_intact(keg)


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: (root / "libexec/tool").write_text("took", encoding="ascii"),
        lambda root: (root / "libexec/tool").unlink(),
        lambda root: (root / "libexec/tool").chmod(0o600),
        lambda root: (root / "libexec/more").touch(),
        lambda root: (root / "bin/tool").unlink(),
        lambda root: (root / "bin/more").symlink_to("tool"),
        lambda root: (root / "bin/folder").symlink_to("../libexec"),
    ],
    ids=["changed", "removed", "mode changed", "added", "link removed", "link added", "link to a folder added"],
)
def test_a_change_in_a_folder_is_detected(damage: Callable[[Path], object], workspace: Workspace, keg: Keg) -> None:
    damage(workspace.path(keg.root))
    assert not workspace.is_intact(keg)


def test_a_change_of_a_file_is_detected(workspace: Workspace) -> None:
    with workspace.staging() as staged:
        (staged / "file").write_bytes(b"content")
        path = workspace.publish(staged / "file", "dist/file")
    record = ReleaseFile("source", "one", "1.0.0", "dist/file", 7, digest.sha256_of(path))
    assert workspace.is_intact(record)
    path.write_bytes(b"changed")
    assert not workspace.is_intact(record)
    path.unlink()
    assert not workspace.is_intact(record)


def test_what_is_added_is_in_its_place_and_has_a_record(workspace: Workspace) -> None:
    """Without the record, the next run would make it again."""
    with workspace.staging() as staged:
        (staged / "file").write_bytes(b"content")
        (staged / "part").mkdir()
        (staged / "part" / "tool").write_bytes(b"tool")
        facts = {"kind": "bottle", "name": "one", "version": "1.0.0", "path": "dist/one"}
        file = workspace.add_file(staged / "file", "bottle/one", **facts)
        part = workspace.add_part(staged / "part", "obtain/one", component="one", version="", target="", entry="tool")
    assert workspace.read_record("bottle/one", ReleaseFile) == file
    assert workspace.read_record("obtain/one", BuiltPart) == part
    assert workspace.is_intact(file)
    assert workspace.is_intact(part)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"name": "one"}', b"null", bytes(9), b"\xff\xfe", b"[" * 100_000])
def test_reading_a_damaged_record_is_an_error(workspace: Workspace, keg: Keg, text: bytes) -> None:
    """A power failure may leave zeros or anything else in a file that was renamed into place."""
    workspace.path("records/assemble/one.json").write_bytes(text)
    with pytest.raises(RecordError, match="assemble/one is damaged"):
        workspace.read_record("assemble/one", Keg)


def test_a_record_of_another_kind_is_refused(workspace: Workspace, keg: Keg) -> None:
    with pytest.raises(RecordError, match="is damaged"):
        workspace.read_record("assemble/one", BuiltPart)


def test_a_missing_record_is_reported_by_name(workspace: Workspace) -> None:
    with pytest.raises(RecordError, match="there is no record assemble/one"):
        workspace.read_record("assemble/one", Keg)


def test_publishing_replaces_a_file_or_a_folder_by_either(workspace: Workspace) -> None:
    for number, is_folder in enumerate([True, True, False, False, True]):
        with workspace.staging() as staged:
            artefact = staged / "artefact"
            if is_folder:
                artefact.mkdir()
            (artefact / "number" if is_folder else artefact).write_text(str(number), encoding="ascii")
            place = workspace.publish(artefact, "some/place")
        assert (place / "number" if is_folder else place).read_text(encoding="ascii") == str(number)
        assert not list(workspace.path("staging").iterdir())


def test_the_staging_folder_is_removed_even_after_a_failure(workspace: Workspace) -> None:
    def fail() -> None:
        with workspace.staging() as staged:
            (staged / "half").touch()
            raise RecordError("no")

    with pytest.raises(RecordError):
        fail()
    assert not list(workspace.path("staging").iterdir())
