"""Every check of the audit finds the fault it is for, in a bottle that is good but for it."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Check, Policy
from stigmer_packaging.audit.table import CHECKS
from support import native_code
from support.audit_bottles import (
    CHECKSUMS,
    COMPONENTS,
    FORMULA,
    INDEX,
    LAUNCHER,
    LIBRARIES,
    NOTICES,
    RECEIPT,
    SBOM,
    Craft,
    Piece,
    audit,
    found_by,
    good_bottle,
)

MODULE = f"{LIBRARIES}/python3.13/module.so"
SERVER = f"{COMPONENTS}/stigmer-server"
POLICY = Policy(
    forbidden=("/home/builder/checkout",), glibc_floor="2.31", size_budget=3_000_000, notices=NOTICES, sbom=SBOM
)
"""What the bottles here are held to."""

Fault = Callable[[Craft], None]


def _nothing(_: Craft) -> None:
    """Leave the bottle as it is: the policy alone makes it a bad one."""


def _after_seal(change: Fault) -> Fault:
    """Change the keg after index and checksums were written."""

    def spoil(craft: Craft) -> None:
        craft.seal()
        change(craft)

    return spoil


def _without_definition(craft: Craft) -> None:
    """Leave the service's definition out, in the receipt too."""
    del craft.keg["homebrew.stigmer.service"]
    craft.edit(RECEIPT, changed_files=[])


def _module(**given: object) -> Fault:
    """Replace the loaded module by another ELF file."""
    return lambda craft: craft.put(MODULE, native_code.elf(**given), 0o755)  # type: ignore[arg-type]


def _library(**given: object) -> Fault:
    """Replace the loaded module by another Mach-O file."""
    return lambda craft: craft.put(MODULE, native_code.macho(**given), 0o755)  # type: ignore[arg-type]


def _member(name: str, piece: Piece) -> Fault:
    """Put a member of any name at the end."""
    return lambda craft: craft.last.append((name, piece))


def _flip(craft: Craft) -> None:
    """Change one byte of a program that is signed."""
    signed = bytearray(craft.keg[SERVER].content)
    signed[len(signed) // 2] ^= 1
    craft.put(SERVER, bytes(signed), 0o755)


def _both_cases(craft: Craft) -> None:
    craft.put("licence-notes", "")
    craft.put("Licence-Notes", "")


def _without(path: str) -> Fault:
    """Leave a file out."""

    def spoil(craft: Craft) -> None:
        del craft.keg[path]

    return spoil


def _reverse(craft: Craft) -> None:
    craft.order = lambda names: names[::-1]


def _set(path: str, **values: object) -> Fault:
    """Change a member's metadata."""

    def spoil(craft: Craft) -> None:
        for name, value in values.items():
            setattr(craft.keg[path], name, value)

    return spoil


def _edit_entry(craft: Craft) -> None:
    """Have the index start a component by a file that cannot be run."""
    craft.seal()
    index = json.loads(craft.text(INDEX))
    index["components"][1]["entry"] = "agent-runner.lib/data.txt"
    craft.put(INDEX, json.dumps(index))


LIBFFI = "/usr/lib/libffi.dylib"
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4
FOLDER = Piece(kind=tarfile.DIRTYPE, mode=0o755)
DEVICE = Piece(kind=tarfile.CHRTYPE)
HARD = Piece(kind=tarfile.LNKTYPE, link="stigmer/2.0.0/LICENSE")

FAULTS: dict[str, tuple[str, Fault]] = {
    "file-name": ("linux-amd64", lambda c: setattr(c, "file", "stigmer--2.0.0.x86_64_linux.bottle.tar.gz")),
    "first-member": ("linux-amd64", lambda c: c.first.append(("stigmer", FOLDER))),
    "outside-keg": ("linux-amd64", _member("stigmer/2.0.0/../../other/2.0.0/x", Piece())),
    "twice": ("linux-amd64", _member("stigmer/2.0.0/LICENSE", Piece())),
    "case-collision": ("darwin-amd64", _both_cases),
    "kinds": ("linux-amd64", _member("stigmer/2.0.0/null", DEVICE)),
    "hard-link": ("linux-amd64", _member("stigmer/2.0.0/COPY", HARD)),
    "program": ("linux-amd64", _set(LAUNCHER, mode=0o644)),
    "modes": ("linux-amd64", _set("LICENSE", mode=0o600)),
    "setuid": ("linux-amd64", _set(LAUNCHER, mode=0o4755)),
    "writable": ("linux-amd64", _set("LICENSE", mode=0o666)),
    "owners": ("linux-amd64", _set("LICENSE", uid=1000)),
    "times": ("linux-amd64", _set("LICENSE", mtime=1.0)),
    "order": ("linux-amd64", _reverse),
    "gzip-header": ("linux-amd64", lambda c: setattr(c, "gzip_time", 1_700_000_000)),
    "absolute-link": ("linux-amd64", lambda c: c.link("share/data", "/usr/share/data")),
    "escaping-link": ("linux-amd64", lambda c: c.link("share/data", "../../other/data")),
    "dangling-link": ("linux-amd64", lambda c: c.link("share/data", "../libexec/absent")),
    "receipt": ("linux-amd64", lambda c: c.edit(RECEIPT, arch="arm64")),
    "receipt-version": ("linux-amd64", lambda c: c.edit(RECEIPT, homebrew_version="5.1.14")),
    "changed-files": ("linux-amd64", lambda c: c.edit(RECEIPT, changed_files=None)),
    "placeholder": ("linux-amd64", lambda c: c.put("share/stigmer.conf", "prefix=@@HOMEBREW_PREFIX@@")),
    "service-definition": ("linux-amd64", _without_definition),
    "keg-formula": ("linux-amd64", lambda c: c.put(FORMULA, "class Stigmer < Formula\n  bottle do\n  end\nend\n")),
    "damaged": ("linux-amd64", lambda c: c.put(MODULE, c.keg[MODULE].content[:200], 0o755)),
    "architecture": ("linux-amd64", _module(architecture="arm64")),
    "glibc-floor": ("linux-amd64", _module(symbols=(("hypot", "GLIBC_2.35"),))),
    "glibc-private": ("linux-amd64", _module(symbols=(("_dl_open", "GLIBC_PRIVATE"),))),
    "loader": ("linux-amd64", _module(interpreter="/lib/ld-musl-x86_64.so.1")),
    "macos-minimum": ("darwin-amd64", _library(architecture="amd64", minimum=(15, 0))),
    "unsigned": ("darwin-arm64", _library()),
    "broken-signature": ("darwin-arm64", _flip),
    "needed-library": ("linux-amd64", _module(needed=("libssl.so.3",))),
    "undefined-symbol": ("linux-amd64", _module(needed=("libc.so.6",), undefined=("XML_ParserCreate",))),
    "unchecked-symbols": ("darwin-amd64", _library(architecture="amd64", needed=(LIBFFI,), binds=(("_ffi_call", 1),))),
    "search-path": ("linux-amd64", _module(search="$ORIGIN:/usr/local/lib")),
    "library-identity": ("darwin-amd64", _library(architecture="amd64", identity="/usr/local/opt/z/libz.1.dylib")),
    "index": ("linux-amd64", _edit_entry),
    "indexed-files": ("linux-amd64", _after_seal(lambda c: c.put(f"{COMPONENTS}/extra", ""))),
    "checksums": ("linux-amd64", _after_seal(lambda c: c.put("LICENSE", "another"))),
    "unnamed-file": ("linux-amd64", _after_seal(lambda c: c.put("share/extra", ""))),
    "secret": ("linux-amd64", lambda c: c.put("share/server.pem", KEY)),
    "secret-file": ("linux-amd64", lambda c: c.put("share/.env", "DEBUG=1\n")),
    "host-path": ("linux-amd64", lambda c: c.put("share/notes", "see /home/builder/checkout/launcher/cli.py")),
    "builders-path": ("linux-amd64", lambda c: c.put("share/notes", "/root/.cargo/registry/src/serde/lib.rs")),
    "python-script": ("linux-amd64", lambda c: c.put("bin/tool", "#!/usr/bin/env python3\n", 0o755)),
    "unread-variable": ("linux-amd64", lambda c: c.sent.update({"stigmer-server": ("GRPC_PORT",)})),
    "size": ("linux-amd64", _nothing),
    "licence": ("linux-amd64", _without("LICENSE")),
    "notices": ("linux-amd64", lambda c: c.put(NOTICES, "stigmer-server 2.0.0 (Apache-2.0)\n")),
    "sbom": ("linux-amd64", lambda c: c.put(SBOM, '{"spdxVersion": "SPDX-2.3", "packages": []}')),
}


def policy_for(check: str) -> Policy:
    """Give the policy under which a check's fault is one."""
    return replace(POLICY, size_budget=1000) if check == "size" else POLICY


def test_every_check_has_a_bottle_that_violates_it() -> None:
    """A check nobody has seen fail is no check."""
    assert FAULTS.keys() == {check.name for check in CHECKS}
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("target", ["linux-amd64", "linux-arm64", "darwin-arm64", "darwin-amd64"])
def test_a_good_bottle_has_no_finding_at_all(target: str, tmp_path: Path) -> None:
    report = audit(good_bottle(target), tmp_path, policy_for(""))
    assert report.findings == ()
    assert report.passed


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_finds_its_fault(check: Check, tmp_path: Path) -> None:
    """The finding says what the check says, and names a place or the bottle."""
    target, spoil = FAULTS[check.name]
    craft = good_bottle(target)
    spoil(craft)
    found = found_by(audit(craft, tmp_path, policy_for(check.name)), check.name)
    assert found
    assert {(each.severity, each.reason, each.remedy) for each in found} == {
        (check.severity, check.reason, check.remedy)
    }
    assert all(each.seen for each in found)


def test_checksums_are_needed(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.seal()
    del craft.keg[CHECKSUMS]
    assert [each.seen for each in found_by(audit(craft, tmp_path), "checksums")] == ["missing"]
