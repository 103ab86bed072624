"""Every check of the audit finds its fault in a bottle that is otherwise good."""

import os
import tarfile
from collections.abc import Callable

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.stage import CHECKS
from support.audit_bottles import (
    COMPONENTS,
    FORMULA,
    LAUNCHER,
    MODULE,
    NOTICES,
    RECEIPT,
    SBOM,
    BottleBuilder,
    MemberSpec,
    audit,
    good_bottle,
)
from support.native_code import elf, flip, macho

POLICY = Policy(forbidden=("/home/builder/checkout",), glibc_floor="2.31", size_budget=3_000_000)
"""The policy under which the bottles of these tests are audited."""

Fault = Callable[[BottleBuilder], object]


def _after_seal(change: Fault) -> Fault:
    def apply(builder: BottleBuilder) -> None:
        builder.seal()
        change(builder)

    return apply


def _module(content: bytes) -> Fault:
    return lambda builder: builder.put(MODULE, content, 0o755)


def _member(name: str, piece: MemberSpec) -> Fault:
    return lambda builder: builder.last.append((name, piece))


def _set(path: str, **values: object) -> Fault:
    return lambda builder: vars(builder.keg[path]).update(values)


LIBFFI = "/usr/lib/libffi.dylib"
SIGNED = macho(digests=("sha256",), content=b"x" * 99)
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4
FOLDER = MemberSpec(kind=tarfile.DIRTYPE, mode=0o755)
DEVICE = MemberSpec(kind=tarfile.CHRTYPE)
HARD = MemberSpec(kind=tarfile.LNKTYPE, link="stigmer/2.0.0/LICENSE")

ON_LINUX: dict[str, Fault] = {
    "file-name": lambda c: setattr(c, "file", "stigmer--2.0.0.x86_64_linux.bottle.tar.gz"),
    "first-member": lambda c: c.first.append(("stigmer", FOLDER)),
    "outside-keg": _member("stigmer/2.0.0/../../other/2.0.0/x", MemberSpec()),
    "twice": _member("stigmer/2.0.0/LICENSE", MemberSpec()),
    "kinds": _member("stigmer/2.0.0/null", DEVICE),
    "hard-link": _member("stigmer/2.0.0/COPY", HARD),
    "program": _set(LAUNCHER, mode=0o644),
    "modes": _set("LICENSE", mode=0o600),
    "setuid": _set(LAUNCHER, mode=0o4755),
    "writable": _set("LICENSE", mode=0o666),
    "owners": _set("LICENSE", uid=1000),
    "times": _set("LICENSE", mtime=1.0),
    "order": _member("stigmer/2.0.0/A", MemberSpec()),
    "gzip-header": lambda c: setattr(c, "gzip_time", 1_700_000_000),
    "absolute-link": lambda c: c.link("share/data", "/usr/share/data"),
    "escaping-link": lambda c: c.link("share/data", "../../other/data"),
    "dangling-link": lambda c: c.link("share/data", "../libexec/absent"),
    "receipt": lambda c: c.edit(RECEIPT, arch="arm64"),
    "receipt-version": lambda c: c.edit(RECEIPT, homebrew_version="5.1.14"),
    "changed-files": lambda c: c.edit(RECEIPT, changed_files=None),
    "placeholder": lambda c: c.put("share/stigmer.conf", "prefix=@@HOMEBREW_PREFIX@@"),
    "service-definition": lambda c: c.keg.pop("homebrew.stigmer.service"),
    "keg-formula": lambda c: c.put(FORMULA, "class Stigmer < Formula\n  bottle do\n  end\nend\n"),
    "damaged": lambda c: c.put(MODULE, c.keg[MODULE].content[:200], 0o755),
    "architecture": _module(elf("arm64")),
    "glibc-floor": _module(elf(symbols=(("hypot", "GLIBC_2.35"),))),
    "glibc-private": _module(elf(symbols=(("_dl_open", "GLIBC_PRIVATE"),))),
    "loader": _module(elf(interpreter="/lib/ld-musl-x86_64.so.1")),
    "needed-library": _module(elf(needed=("libssl.so.3",))),
    "undefined-symbol": _module(elf(needed=("libc.so.6",), undefined=("XML_ParserCreate",))),
    "search-path": _module(elf(search="$ORIGIN:/usr/local/lib")),
    "index": _set(f"{COMPONENTS}/agent-runner", mode=0o644),
    "indexed-files": _after_seal(lambda c: c.put(f"{COMPONENTS}/extra", "")),
    "checksums": _after_seal(lambda c: c.put("LICENSE", "another")),
    "unnamed-file": _after_seal(lambda c: c.put("share/extra", "")),
    "secret": lambda c: c.put("share/server.pem", KEY),
    "secret-file": lambda c: c.put("share/.env", "DEBUG=1\n"),
    "host-path": lambda c: c.put("share/notes", "see /home/builder/checkout/launcher/cli.py"),
    "builders-path": lambda c: c.put("share/notes", "/root/.cargo/registry/src/serde/lib.rs"),
    "python-script": lambda c: c.put("bin/tool", "#!/usr/bin/env python3\n", 0o755),
    "unread-variable": lambda c: c.sent.update({"stigmer-server": ("GRPC_PORT",)}),
    "size": lambda c: c.put("share/noise", os.urandom(3_000_001)),
    "licence": lambda c: c.keg.pop("LICENSE"),
    "notices": lambda c: c.put(NOTICES, "stigmer-server 2.0.0 (Apache-2.0)\n"),
    "sbom": lambda c: c.put(SBOM, '{"spdxVersion": "SPDX-2.3", "packages": []}'),
}
ON_ARM: dict[str, Fault] = {
    "unsigned": _module(macho()),
    "broken-signature": _module(flip(SIGNED, SIGNED.index(b"xx"))),
}
ON_INTEL: dict[str, Fault] = {
    "case-collision": lambda c: c.put("License", ""),
    "macos-minimum": _module(macho("amd64", minimum=(15, 0))),
    "unchecked-symbols": _module(macho("amd64", needed=(LIBFFI,), binds=(("_ffi_call", 1),))),
    "library-identity": _module(macho("amd64", identity="/usr/local/opt/z/libz.1.dylib")),
}
FAULTS = {
    (target, name): fault
    for target, faults in (("linux-amd64", ON_LINUX), ("darwin-arm64", ON_ARM), ("darwin-amd64", ON_INTEL))
    for name, fault in faults.items()
}


def test_every_check_has_a_bottle_that_violates_it() -> None:
    """A check that no test has ever made fail may not check anything."""
    assert sorted(name for _, name in FAULTS) == sorted(check.name for check in CHECKS)


@pytest.mark.parametrize("target", ["linux-amd64", "linux-arm64", "darwin-arm64", "darwin-amd64"])
def test_a_good_bottle_has_no_findings(target: str) -> None:
    report = audit(good_bottle(target), POLICY)
    assert report.findings == ()
    assert report.passed


@pytest.mark.parametrize(("target", "name"), FAULTS)
def test_a_check_finds_its_fault(target: str, name: str) -> None:
    (check,) = (check for check in CHECKS if check.name == name)
    builder = good_bottle(target)
    FAULTS[target, name](builder)
    found = [each for each in audit(builder, POLICY).findings if each.check == name]
    assert found
    assert {(each.severity, each.reason, each.remedy) for each in found} == {
        (check.severity, check.reason, check.remedy)
    }
    assert all(each.observation for each in found)
