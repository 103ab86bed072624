"""Hostile bottles: each is audited or rejected with little memory, and none causes a traceback."""

import gzip
import hashlib
import io
import json
import lzma
import os
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmer_packaging.audit.stage import render_findings
from stigmer_packaging.lib.errors import ArchiveError
from stigmer_packaging.records.model import AuditReport
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import COMPONENTS, INDEX, RECEIPT, BottleBuilder, audit, audit_in, findings_of, good_bottle

ROOT = Path(__file__).parents[2]
KEG = "stigmer/2.0.0"
DEEP = "[" * 100_000
MEMORY = 1_000_000  # the limit of a process's peak memory, in kB
ZEROS = bytes(1 << 20)
GOOD = good_bottle()
GOOD.seal()


def audit_bytes(content: bytes) -> AuditReport:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder, "workspace"), Path(folder, "cache"))
        bottle = good_bottle().pack(workspace)
        workspace.path(bottle.path).write_bytes(content)
        return audit_in(workspace, replace(bottle, sha256=hashlib.sha256(content).hexdigest()))


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(f"{KEG}/{name}")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def zeros(megabytes: int) -> bytes:
    return gzip.compress(ZEROS, 9) * megabytes


def pax_size() -> bytes:
    """Return a member whose header says 0 bytes and whose pax header says 6 GB."""
    record = b"19 size=6000000000\n"
    return header("x", len(record), tarfile.XHDTYPE) + record.ljust(512, b"\0") + header("x", 0)


REFUSED: dict[str, Callable[[], bytes]] = {
    "a member of 6 GB by its pax header": lambda: gzip.compress(pax_size()) + zeros(6000),
    "a pax header of 200 MB": lambda: gzip.compress(header("x", 200 << 20, tarfile.XHDTYPE)) + zeros(200),
    "a GNU long name of 200 MB": lambda: gzip.compress(header("x", 200 << 20, tarfile.GNUTYPE_LONGNAME)) + zeros(200),
    "a hundred thousand members": lambda: gzip.compress(header("x", 0) * 100_000),
    "ten thousand pax headers in a row": lambda: gzip.compress(header("x", 0, tarfile.XHDTYPE) * 10_000),
    "an end that is cut off": lambda: gzip.compress(header("x", 5) + b"hello")[:-6],
    "an extra field that is cut off": lambda: b"\x1f\x8b\x08\x04\0\0\0\0\0\x03\xff",
    "a size that is no number": lambda: gzip.compress(header("x", 0).replace(b"0" * 11, b"9" * 11)),
    "nothing": lambda: b"",
    "no gzip": lambda: b"PK\x03\x04",
    "another compression": lambda: lzma.compress(b"stigmer"),
    "a checksum that is cut off": lambda: gzip.compress(header("x", 0))[:-1],
    "half a header": lambda: gzip.compress(b"")[:10],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_archive_that_is_damaged_or_too_large_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ArchiveError, match=r"stigmer-2\.0\.0.*(refused|damaged|not compressed)") as refused:
        audit_bytes(REFUSED[kind]())
    assert ("not compressed" in str(refused.value)) == ("gzip" in refused.value.remedy)


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as file:
        for _ in range(256):
            file.write(ZEROS)
    return stream.getvalue()


def frozen(entry: bytes, kind: bytes = b"x") -> bytes:
    """Return an imitation of a program frozen by PyInstaller, with one compressed entry."""
    row = struct.pack("!IIIIBc", 18 + 4, 0, len(entry), 0, 1, kind) + b"bad\0"
    cookie = struct.pack(
        "!8sIIII64s", b"MEI\014\013\012\013\016", len(entry) + len(row) + 88, len(entry), len(row), 313, b"x"
    )
    return b"\x7fELF" + entry + row + cookie


def many_streams() -> bytes:
    empty = zlib.compress(b"")
    pyz = b"PYZ\0" + bytes(4) + struct.pack("!i", 17 + len(empty) * 300_000) + bytes(5) + empty * 300_000
    return zlib.compress(pyz)


NESTED: dict[str, Callable[[], bytes]] = {
    "a zip file of 256 MB": bomb,
    "a zip file of many files": lambda: b"PK\x03\x04" + b"PK\x01\x02" * 200_000,
    "a stream of 256 MB in a frozen program": lambda: frozen(zlib.compress(bytes(256 << 20), 1)),
    "many streams in a frozen program": lambda: frozen(many_streams(), b"z"),
}


def found_in(report: AuditReport) -> set[tuple[str, str]]:
    render_findings(report.findings).encode()
    return {(finding.check, finding.path) for finding in report.findings}


def test_names_that_are_not_utf_8_are_findings_that_can_be_printed() -> None:
    info = tarfile.TarInfo(f"{KEG}/caf\udce9")
    report = audit_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")))
    assert ("unnamed-file", "caf\\udce9") in found_in(report)


def test_an_archive_without_members_is_audited() -> None:
    assert ("first-member", "") in found_in(audit_bytes(gzip.compress(bytes(1024))))


def test_a_time_that_is_not_a_whole_second_is_found() -> None:
    info = tarfile.TarInfo(KEG)
    info.mtime = 1.5
    assert ("times", "") in found_in(audit_bytes(gzip.compress(info.tobuf(tarfile.PAX_FORMAT))))


def test_a_sparse_member_is_not_unpacked() -> None:
    pax = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n32 GNU.sparse.realsize=99999999\n"
    content = (
        header("x", len(pax), tarfile.XHDTYPE) + pax.ljust(512, b"\0") + header("x", 512) + b"0\n".ljust(512, b"\0")
    )
    report = audit_bytes(gzip.compress(content + bytes(1024)))
    assert (report.files, report.unpacked) == (0, 0)
    assert ("kinds", "x") in found_in(report)


def bottle_with(path: str, text: str) -> BottleBuilder:
    """Return a bottle in which one file differs from the index."""
    builder = good_bottle()
    builder.seal()
    builder.put(path, text)
    return builder


@pytest.mark.parametrize("path", [INDEX, RECEIPT])
@pytest.mark.parametrize(
    "text", [DEEP, '{"a":' * 50_000, '{"name": "\\ud800", "source": {"tap": "\\udfff"}, "format": 2}']
)
def test_json_that_is_too_deep_or_has_invalid_characters_is_a_finding(path: str, text: str) -> None:
    assert path in {where for _, where in found_in(audit(bottle_with(path, text)))}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def changed(value: object, data: st.DataObject) -> object:
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(JSON)
    if isinstance(value, dict):
        return {key: changed(each, data) for key, each in value.items()}
    return [changed(each, data) for each in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([INDEX, RECEIPT]), st.data())
def test_no_content_of_index_or_receipt_crashes_the_audit(path: str, data: st.DataObject) -> None:
    text = json.dumps(changed(json.loads(GOOD.text(path)), data))
    found_in(audit(bottle_with(path, text)))


LARGE: dict[str, Callable[[], bytes]] = {
    "a member of 6 GB": lambda: gzip.compress(header("x", 6_000_000_000)) + zeros(6000),
    "members that unpack to 2 GB": lambda: (gzip.compress(header("x", 64 << 20)) + zeros(64)) * 32,
    "texts of 200 MB": lambda: (gzip.compress(header("x", 4 << 20)) + zeros(4)) * 50,
}


@pytest.mark.timeout(320)
def test_the_audit_of_any_hostile_bottle_needs_less_than_a_gigabyte() -> None:
    """It runs in a separate process, whose peak memory is read from the system."""
    path = os.pathsep.join(str(ROOT / name) for name in ("packaging", "launcher", "tests"))
    words = [sys.executable, "-c", "from integration.test_audit_hostile import audit_all; audit_all()"]
    done = subprocess.run(words, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MEMORY


def audit_all() -> None:
    """Audit bottles that require much memory: each is rejected or yields a finding. Print this process's peak in kB."""
    for make in LARGE.values():
        with pytest.raises(ArchiveError, match="refused"):
            audit_bytes(make())
    for make in NESTED.values():
        builder = good_bottle()
        builder.put(f"{COMPONENTS}/agent-runner.lib/bomb", make())
        ((_, seen),) = findings_of("damaged", builder)
        assert "more than" in seen
    unit = 1024 if sys.platform == "darwin" else 1  # macOS counts bytes
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit))
