"""The audit also looks inside archives: zip files and frozen programs."""

from pathlib import Path

import pytest
from PyInstaller.archive.writers import CArchiveWriter  # type: ignore[import-untyped]  # it ships no type information

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.binaries import nesting
from stigmer_packaging.binaries.nesting import read_frozen, read_zip
from support.audit_bottles import COMPONENTS, LAUNCHER, audit, findings_of, good_bottle, zipped
from support.frozen_programs import frozen_program
from support.native_code import elf

PATH = "/home/builder/checkout/launcher/cli.py"


def test_the_modules_and_scripts_of_a_frozen_program_are_decompressed(tmp_path: Path) -> None:
    """Including a module that is larger than one read."""
    large = "".join(f"{number:08x}" for number in range(60_000))
    program = frozen_program(tmp_path, {"one": f"A = '{large}'", "two": "B = 2"}, {"main": f"print('{PATH}')\n"})
    pieces = dict(read_frozen(program))
    assert list(pieces) == ["PYZ.pyz#1", "PYZ.pyz#2", "main"]
    assert large.encode() in pieces["PYZ.pyz#1"]
    assert b"two.py" in pieces["PYZ.pyz#2"]
    assert PATH.encode() in pieces["main"]


def test_secrets_and_host_paths_are_found_in_a_zip_file() -> None:
    builder = good_bottle()
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEvQIBADANBgkq" * 4
    packed = zipped({"code.pyc": f"{PATH}\0{PATH}".encode(), "tests/server.key": key})
    builder.put(f"{COMPONENTS}/agent-runner.lib/data.zip", packed)
    secret, trace = audit(builder, Policy(forbidden=("/home/builder/checkout",))).findings
    assert (trace.check, trace.observation) == ("host-path", f"first of 2: code.pyc: {PATH}")
    assert (secret.check, secret.observation) == ("secret", "a private key in tests/server.key: -----BEGIN P…")


@pytest.mark.parametrize("target", ["linux-amd64", "darwin-amd64"])
def test_host_paths_are_found_in_a_frozen_program_for_each_system(target: str, tmp_path: Path) -> None:
    builder, program = good_bottle(target), frozen_program(tmp_path, {"module": f"A = '{PATH} '"}, {})
    builder.keg[LAUNCHER].content += program[program.index(b"PYZ\0") :]
    found = findings_of("host-path", builder, Policy(forbidden=("/home/builder/checkout",)))
    assert found == [(LAUNCHER, f"first of 1: PYZ.pyz#1: {PATH}")]


@pytest.mark.parametrize("content", [b"", b"PK", elf(), b"\x7fELF"])
def test_a_file_without_an_archive_has_no_pieces(content: bytes) -> None:
    assert [*read_zip(content), *read_frozen(content)] == []


def test_a_damaged_zip_file_is_refused() -> None:
    packed = zipped({"a": b"text" * 1000})
    with pytest.raises(ValueError, match="unreadable"):
        list(read_zip(packed[:40]))
    with pytest.raises(ValueError, match="unreadable"):
        list(read_zip(packed[:45] + b"\xff" + packed[46:]))


def test_a_frozen_program_with_damage_anywhere_is_refused(tmp_path: Path) -> None:
    program = frozen_program(tmp_path, {"module": "A = 1"}, {"main": "B = 2"})
    pyz = program.index(b"PYZ\0")
    table = program.rindex(b"MEI\014\013\012\013\016") + 8
    for offset, wrong in ((pyz, b"X"), (pyz + 20, b"\xff"), (table, b"\xff"), (table + 4, b"\xff")):
        with pytest.raises(ValueError, match="unreadable archive in a frozen program"):
            list(read_frozen(program[:offset] + wrong + program[offset + len(wrong) :]))


@pytest.mark.parametrize(("limit", "value"), [("LARGEST", 10_000), ("_MOST", 8)])
def test_the_limits_apply_to_all_archives_of_a_frozen_program_together(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two archives of five modules, 1 kB each: one archive is within the limits, both together are not."""
    modules = {f"module{number}": f"A = '{number * 1000}'" for number in "12345"}
    one = frozen_program(tmp_path, modules, {})
    path = str(tmp_path / "PYZ.pyz")
    CArchiveWriter(str(tmp_path / "two"), [("a.pyz", path, False, "z"), ("b.pyz", path, False, "z")], pylib_name="x")
    two = elf() + (tmp_path / "two").read_bytes()
    assert len(list(read_frozen(two))) == 10
    monkeypatch.setattr(nesting, limit, value)
    assert len(list(read_frozen(one))) == 5
    with pytest.raises(ValueError, match="more than"):
        list(read_frozen(two))


def test_an_unreadable_archive_is_a_finding() -> None:
    """An archive that cannot be read must not count as one without findings."""
    builder = good_bottle()
    builder.put(f"{COMPONENTS}/agent-runner.lib/data.zip", zipped({"a": b"text"})[:-10])
    assert [finding.check for finding in audit(builder).findings] == ["damaged"]
