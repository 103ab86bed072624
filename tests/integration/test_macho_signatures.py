"""Our signatures are valid for an independent implementation."""

import hashlib
from pathlib import Path

import pytest

from stigmer_packaging.binaries import codesign, macho_edit
from support.native_code import flip, go_program
from support.signature_checker import build_checker, check_signatures

REQUIREMENTS = bytes.fromhex("fade0c01 0000000c 00000000")


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checker(tmp_path_factory.mktemp("checker"))


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_another_implementation_accepts_what_is_signed_here(checker: Path, architecture: str, tmp_path: Path) -> None:
    """It rejects the file with one bit changed, which shows that it checks the signature."""
    stripped = macho_edit.strip(go_program("darwin", architecture, "-linkmode=internal -buildid="))
    named = macho_edit.set_names(stripped, identity="", libraries={}, rpaths=["@loader_path/lib"])
    signed = codesign.sign(named, "program")
    good, code, bound, unsigned = files = [tmp_path / name for name in ("good", "code", "bound", "unsigned")]
    good.write_bytes(signed)
    code.write_bytes(flip(signed, 9000))
    bound.write_bytes(flip(signed, signed.index(hashlib.sha256(REQUIREMENTS).digest())))
    unsigned.write_bytes(macho_edit.remove_signature(signed))
    accepted, refused = check_signatures(checker, files)
    assert accepted.keys() == {good}
    pages, identifier = accepted[good]
    assert (pages >= len(stripped) // 4096, identifier) == (True, "program")
    assert refused == [
        f"{code}: page 2 is not what was signed",
        f"{bound}: blob 2 is not what was signed",
        f"{unsigned}: not signed once",
    ]
