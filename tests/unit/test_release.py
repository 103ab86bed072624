"""release.json: what is written is read again, and nothing that is damaged is read."""

import hashlib
from pathlib import Path

import pytest

from stigmer_packaging.errors import RecordError
from stigmer_packaging.manifest_records import Product
from stigmer_packaging.records import AuditReport, Check, Finding, VerificationReport
from stigmer_packaging.release import NAME, Artefact, Release, parse_release, read_release, render_release

PRODUCT = Product("one", "1.0.0", "MIT", "https://one.example/", "One", "one/homebrew-tap", "self")
CONTENT = b"a bottle"
BOTTLE = Artefact(
    "bottle",
    "one-1.0.0.sonoma.bottle.tar.gz",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    "darwin-amd64",
    "sonoma",
)
FINDING = Finding("warning", "size", "", "large", "slow", "smaller")
AUDIT = AuditReport("darwin-amd64", BOTTLE.sha256, (FINDING,), 3, 9, (("bin/one", 7),), "", "m")
PROOF = VerificationReport("sandbox", "debian trixie", BOTTLE.sha256, (Check("starts", True, 0.5, ""),), True, "m")
RELEASE = Release(PRODUCT, (BOTTLE,), (AUDIT,), (PROOF,))


def write(folder: Path, release: Release = RELEASE, content: bytes = CONTENT) -> Path:
    """Lay a release's folder with its one bottle."""
    (folder / BOTTLE.name).write_bytes(content)
    (folder / NAME).write_text(render_release(release), encoding="utf-8")
    return folder


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_release(write(tmp_path)) == RELEASE
    assert RELEASE.of_kind("bottle") == (BOTTLE,)
    assert RELEASE.of_kind("sbom") == ()


def test_a_file_with_other_bytes_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=BOTTLE.name):
        read_release(write(tmp_path, content=b"b bottle"))


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (write(tmp_path) / BOTTLE.name).unlink()
    with pytest.raises(RecordError, match=BOTTLE.name):
        read_release(tmp_path)


def test_a_folder_without_a_release_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"there is no release\.json"):
        read_release(tmp_path)
    (tmp_path / NAME).write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="damaged"):
        read_release(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 1}', render_release(RELEASE).replace("artefacts", "other")])
def test_anything_else_is_damaged(text: str) -> None:
    with pytest.raises(RecordError, match="damaged"):
        parse_release(text)


def test_another_format_is_refused() -> None:
    with pytest.raises(RecordError, match="format 2, and this reads 1"):
        parse_release(render_release(RELEASE).replace('"format": 1', '"format": 2'))
