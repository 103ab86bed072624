"""Bottles to be audited: a good one for any platform, made small, that a test then spoils in one way.

The keg is what `bottle.assemble` makes of a frozen launcher and two components, with native code made by hand.
"""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.stage import audit_bottle
from stigmer_packaging.binaries.buildinfo import read_build_info
from stigmer_packaging.formula.receipt import render_receipt
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.licensing.notices import notices_path, render_notices
from stigmer_packaging.licensing.spdx import render_sbom, sbom_path
from stigmer_packaging.manifest.model import Product, TargetSpec
from stigmer_packaging.manifest.naming import bottle_name, service_path
from stigmer_packaging.records.model import AuditReport, Credits, Finding, Ingredient, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources.project_locks import read_project_lock
from support import native_code

EPOCH = 1_767_225_600
TAGS = {
    "linux-amd64": "x86_64_linux",
    "linux-arm64": "arm64_linux",
    "darwin-arm64": "arm64_sonoma",
    "darwin-amd64": "sonoma",
}
LOADERS = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}
PRODUCT = Product("stigmer", "2.0.0", "Apache-2.0", "https://stigmer.ai/", "Run AI workflows", "stigmer/tap", "self")
LAUNCHER, LIBRARIES, COMPONENTS = "libexec/launcher/stigmer", "libexec/launcher/lib", "libexec/components"
RECEIPT, INDEX, CHECKSUMS = "INSTALL_RECEIPT.json", "libexec/payload.json", "libexec/SHA256SUMS"
FORMULA = ".brew/stigmer.rb"
NOTICES, SBOM = notices_path(PRODUCT.name), sbom_path(PRODUCT.name)


@dataclass
class Piece:
    """One member: a file, or a link when it has a `link`, or what `kind` says."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""
    kind: bytes = tarfile.REGTYPE
    uid: int = 0
    gid: int = 0
    user: str = ""
    mtime: float = EPOCH


@dataclass
class Craft:
    """A bottle in the making. `keg` maps paths below the keg; `first` and `last` are members of any name around it.

    `sent` are the variables that the index says are sent, by component.
    """

    target: Target
    tag: str
    keg: dict[str, Piece] = field(default_factory=dict)
    first: list[tuple[str, Piece]] = field(default_factory=list)
    last: list[tuple[str, Piece]] = field(default_factory=list)
    order: Callable[[list[str]], list[str]] = sorted
    sent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    file: str = ""
    gzip_name: str = ""
    gzip_time: int = 0

    def put(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Put a file into the keg."""
        self.keg[path] = Piece(content.encode() if isinstance(content, str) else content, mode)

    def link(self, path: str, goal: str) -> None:
        """Put a symbolic link into the keg."""
        self.keg[path] = Piece(link=goal, mode=0o777, kind=tarfile.SYMTYPE)

    def text(self, path: str) -> str:
        """Give a file's text."""
        return self.keg[path].content.decode()

    def edit(self, path: str, **values: object) -> None:
        """Change the top of a JSON file."""
        self.put(path, json.dumps(json.loads(self.text(path)) | values))

    def seal(self) -> None:
        """Write index and checksums for what is in the keg now; what is changed later is not what they say."""
        self.put(INDEX, _index(self))
        self.keg.pop(CHECKSUMS, None)
        files = sorted(
            path
            for path in self.keg
            if not self.keg[path].link and path not in {RECEIPT, FORMULA, service_path(PRODUCT.name, self.target)}
        )
        lines = [f"{hashlib.sha256(self.keg[path].content).hexdigest()}  {path}\n" for path in files]
        self.put(CHECKSUMS, "".join(lines))

    def pack(self, workspace: Workspace) -> ReleaseFile:
        """Write the bottle into a workspace; index and checksums are written before if they are not there."""
        if INDEX not in self.keg:
            self.seal()
        name = self.file or bottle_name(PRODUCT.name, PRODUCT.version, self.tag)
        path = workspace.path(f"dist/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            path.open("wb") as raw,
            gzip.GzipFile(filename=self.gzip_name, mode="wb", fileobj=raw, mtime=self.gzip_time) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for member, piece in [*self.first, *self._members(), *self.last]:
                _add(tar, member, piece)
        size, sha256 = path.stat().st_size, digest.sha256_of(path)
        return ReleaseFile(
            "bottle", PRODUCT.name, PRODUCT.version, f"dist/{name}", size, sha256, str(self.target), self.tag
        )

    def _members(self) -> list[tuple[str, Piece]]:
        prefix = f"{PRODUCT.name}/{PRODUCT.version}"
        known = {prefix: Piece(mode=0o755, kind=tarfile.DIRTYPE)}
        for path, piece in self.keg.items():
            folders = path.split("/")[:-1]
            for depth in range(1, len(folders) + 1):
                folder = "/".join((prefix, *folders[:depth]))
                known.setdefault(folder, Piece(mode=0o755, kind=tarfile.DIRTYPE))
            known[f"{prefix}/{path}"] = piece
        ordered = sorted(known, key=lambda name: name.split("/"))
        return [(name, known[name]) for name in (ordered[:1] + self.order(ordered[1:]))]


def good_bottle(target: str = "linux-amd64", *made_of: Ingredient) -> Craft:
    """Make a bottle in which nothing is to be found; its notices name `made_of` besides what is in it."""
    craft = Craft(parse_target(target), TAGS[target], order=list)
    code = linux_code(craft) if craft.target.system == "linux" else darwin_code(craft)
    craft.put(LAUNCHER, code["program"], 0o755)
    craft.link(f"bin/{PRODUCT.name}", f"../{LAUNCHER}")
    craft.put(f"{LIBRARIES}/{code['name'].decode()}", code["library"], 0o755)
    craft.put(f"{LIBRARIES}/python3.13/module.so", code["module"], 0o755)
    craft.put(f"{LIBRARIES}/base_library.zip", zipped({"os.pyc": b"os.py"}))
    craft.put(f"{COMPONENTS}/stigmer-server", code["static"], 0o755)
    craft.put(f"{COMPONENTS}/agent-runner", code["static"], 0o755)
    craft.put(f"{COMPONENTS}/agent-runner.lib/data.txt", "data\n")
    craft.put("LICENSE", "Apache License\n")
    credited = credits_of(craft.target, code["static"], made_of)
    craft.put(NOTICES, render_notices(PRODUCT, str(craft.target), credited))
    craft.put(SBOM, render_sbom(PRODUCT, str(craft.target), credited, source_date_epoch=EPOCH))
    craft.put(FORMULA, "class Stigmer < Formula\nend\n")
    promised = TargetSpec("", "2.31", "14.0", 0)
    craft.put(service_path(PRODUCT.name, craft.target), "@@HOMEBREW_PREFIX@@/opt/stigmer/bin/stigmer\n")
    craft.put(RECEIPT, render_receipt(PRODUCT, craft.target, promised, source_date_epoch=EPOCH))
    return craft


def release_sbom(craft: Craft, workspace: Workspace) -> None:
    """Lay a bottle's bill of materials beside it, with its record."""
    path = f"dist/{PRODUCT.name}.sbom.spdx.json"
    workspace.path(path).write_bytes(craft.keg[SBOM].content)
    size, sha256 = workspace.path(path).stat().st_size, digest.sha256_of(workspace.path(path))
    workspace.write_record(
        f"sbom/{craft.target}",
        ReleaseFile("sbom", PRODUCT.name, PRODUCT.version, path, size, sha256, str(craft.target)),
    )


def locked_distributions() -> tuple[Ingredient, ...]:
    """Give what the reference's agent runner is locked to."""
    pins = read_project_lock(Path(__file__).parents[2] / "packaging/reference/backend/services/agent-runner").pins
    return tuple(Ingredient(pin.name, pin.version, "MIT", f"pkg:pypi/{pin.name}@{pin.version}") for pin in pins)


def credits_of(target: Target, program: bytes, others: tuple[Ingredient, ...]) -> tuple[Credits, ...]:
    """Say what the two components are made of: Go, where they are real programs, zlib, and others."""
    info = read_build_info(program)
    made_of = [Ingredient("zlib", "1.3.1", "Zlib", "pkg:generic/zlib@1.3.1", ("zlib",)), *others]
    made_of += [Ingredient("go", info.go, "BSD-3-Clause", f"pkg:golang/stdlib@{info.go}")] if info else []
    texts = {"zlib": "zlib, as it is\n"}
    return tuple(
        Credits(name, PRODUCT.version, "Apache-2.0", str(target), tuple(made_of), texts)
        for name in ("stigmer-server", "agent-runner")
    )


def linux_code(craft: Craft) -> dict[str, bytes]:
    """Make a launcher as PyInstaller's, which finds its libz beside it, and what it loads."""
    cpu = craft.target.architecture
    libraries = ("libc.so.6", "libz.so.1")
    program = native_code.elf(cpu, interpreter=LOADERS[cpu], needed=libraries, search="$ORIGIN/lib")
    return {
        "program": program,
        "static": native_code.elf(cpu),
        "name": b"libz.so.1",
        "library": native_code.elf(
            cpu, needed=("libc.so.6",), symbols=(("memcpy", "GLIBC_2.17" if cpu == "arm64" else "GLIBC_2.14"),)
        ),
        "module": native_code.elf(cpu, needed=libraries),
    }


def darwin_code(craft: Craft) -> dict[str, bytes]:
    """Make the same for macOS."""
    cpu, system = craft.target.architecture, ("/usr/lib/libSystem.B.dylib",)
    digests = ("sha256",) if cpu == "arm64" else ()
    library = native_code.macho(cpu, identity="@rpath/libz.1.dylib", needed=system, digests=digests)
    needed = (*system, "@rpath/libz.1.dylib")
    module = native_code.macho(
        cpu, kind=native_code.BUNDLE, needed=needed, search=("@loader_path/..",), old_minimum=True, digests=digests
    )
    program = native_code.macho(cpu, kind=native_code.EXECUTE, needed=system, digests=digests)
    return {"program": program, "static": program, "name": b"libz.1.dylib", "library": library, "module": module}


def zipped(files: dict[str, bytes]) -> bytes:
    """Pack files into a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # the same bytes at any time
    return stream.getvalue()


def audit(craft: Craft, folder: Path, policy: Policy | None = None) -> AuditReport:
    """Pack a bottle and audit it."""
    workspace = Workspace(folder / "workspace", folder / "cache")
    return audit_bottle(craft.pack(workspace), policy=policy or Policy(), workspace=workspace, report=lambda _: None)


def found_by(report: AuditReport, check: str) -> list[Finding]:
    """Give the findings of one check."""
    return [finding for finding in report.findings if finding.check == check]


def seen_by(check: str, craft: Craft, folder: Path, policy: Policy | None = None) -> list[tuple[str, str]]:
    """Audit a bottle, and give where one check finds something, and what it sees there."""
    return [(finding.path, finding.seen) for finding in found_by(audit(craft, folder, policy), check)]


def _index(craft: Craft) -> str:
    parts = [
        {
            "name": name,
            "entry": name,
            "environment": [[variable, "x"] for variable in craft.sent.get(name, ())],
            "files": _files(craft, (name, f"{name}.lib")),
        }
        for name in ("stigmer-server", "agent-runner")
    ]
    top = {"format": 3, "name": PRODUCT.name, "version": PRODUCT.version, "target": str(craft.target)}
    return json.dumps({**top, "components": parts})


def _files(craft: Craft, roots: tuple[str, ...]) -> list[list[object]]:
    below = {path.removeprefix(f"{COMPONENTS}/"): piece for path, piece in craft.keg.items() if COMPONENTS in path}
    return [
        [path, len(piece.content), hashlib.sha256(piece.content).hexdigest(), 0o755 if piece.mode & 0o100 else 0o644]
        for path, piece in sorted(below.items())
        if path.split("/")[0] in roots
    ]


def _add(tar: tarfile.TarFile, name: str, piece: Piece) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.mtime = piece.kind, piece.mode, piece.link, piece.mtime
    info.uid, info.gid, info.uname, info.size = piece.uid, piece.gid, piece.user, len(piece.content)
    tar.addfile(info, io.BytesIO(piece.content))
