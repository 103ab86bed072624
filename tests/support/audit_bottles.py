"""Small bottles to audit: a valid one for any platform, in which a test then breaks one thing.

The keg is laid out as by `bottle.assemble`: a frozen launcher and two components, with handmade native code.
"""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.platforms import LOADERS
from stigmer_packaging.audit.stage import audit_bottle
from stigmer_packaging.formula.receipt import render_receipt
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.licensing.notices import render_notices
from stigmer_packaging.licensing.spdx import render_sbom
from stigmer_packaging.manifest.model import Product, TargetSpec
from stigmer_packaging.manifest.naming import bottle_name, notices_path, sbom_path, service_path
from stigmer_packaging.records.model import AuditReport, Credits, Ingredient, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.native_code import BUNDLE, EXECUTE, elf, macho

EPOCH = 1_767_225_600
TAGS = {
    "linux-amd64": "x86_64_linux",
    "linux-arm64": "arm64_linux",
    "darwin-arm64": "arm64_sonoma",
    "darwin-amd64": "sonoma",
}
PRODUCT = Product("stigmer", "2.0.0", "Apache-2.0", "https://stigmer.ai/", "Run AI workflows", "stigmer/tap", "self")
LAUNCHER, LIBRARIES, COMPONENTS = "libexec/launcher/stigmer", "libexec/launcher/lib", "libexec/components"
MODULE = f"{LIBRARIES}/python3.13/module.so"
RECEIPT, INDEX, CHECKSUMS = "INSTALL_RECEIPT.json", "libexec/payload.json", "libexec/SHA256SUMS"
FORMULA = ".brew/stigmer.rb"
NOTICES, SBOM = notices_path(PRODUCT.name), sbom_path(PRODUCT.name)


@dataclass
class MemberSpec:
    """One member of the archive: a regular file, unless `kind` is another type; `link` is the target of a link."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""
    kind: bytes = tarfile.REGTYPE
    uid: int = 0
    user: str = ""
    mtime: float = EPOCH


@dataclass
class BottleBuilder:
    """A bottle under construction. `keg` maps paths in the keg to members; `first` and `last` are archived around them.

    `revision` is the formula's, such as `_1`; `sent` maps components to the variables that the index passes to them.
    """

    target: Target
    revision: str = ""
    keg: dict[str, MemberSpec] = field(default_factory=dict)
    first: list[tuple[str, MemberSpec]] = field(default_factory=list)
    last: list[tuple[str, MemberSpec]] = field(default_factory=list)
    sent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    file: str = ""
    gzip_time: int = 0

    def put(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Add a file to the keg."""
        self.keg[path] = MemberSpec(content.encode() if isinstance(content, str) else content, mode)

    def link(self, path: str, goal: str) -> None:
        """Add a symbolic link to the keg."""
        self.keg[path] = MemberSpec(link=goal, mode=0o777, kind=tarfile.SYMTYPE)

    def text(self, path: str) -> str:
        """Return a file's text."""
        return self.keg[path].content.decode()

    def edit(self, path: str, **values: object) -> None:
        """Set top-level values of a JSON file; a missing index is written first."""
        if INDEX not in self.keg and path == INDEX:
            self.seal()
        self.put(path, json.dumps(json.loads(self.text(path)) | values))

    def seal(self) -> None:
        """Write index and checksums for the current content of the keg; later changes no longer match them."""
        self.put(INDEX, _index(self))
        self.keg.pop(CHECKSUMS, None)
        unlisted = {RECEIPT, FORMULA, service_path(PRODUCT.name, self.target)}
        files = [path for path in sorted(self.keg.keys() - unlisted) if self.keg[path].kind == tarfile.REGTYPE]
        lines = [f"{hashlib.sha256(self.keg[path].content).hexdigest()}  {path}\n" for path in files]
        self.put(CHECKSUMS, "".join(lines))

    def pack(self, workspace: Workspace) -> ReleaseFile:
        """Write the bottle into a workspace; a missing index and checksums are written first."""
        if INDEX not in self.keg:
            self.seal()
        tag, version = TAGS[str(self.target)], PRODUCT.version + self.revision
        name = self.file or bottle_name(PRODUCT.name, version, tag)
        path = workspace.path(f"dist/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            path.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=self.gzip_time) as compressed,
            tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for member, spec in [*self.first, *self._members(f"{PRODUCT.name}/{version}"), *self.last]:
                _add(tar, member, spec)
        size, sha256 = path.stat().st_size, digest.sha256_of(path)
        return ReleaseFile("bottle", PRODUCT.name, version, f"dist/{name}", size, sha256, str(self.target), tag)

    def _members(self, prefix: str) -> list[tuple[str, MemberSpec]]:
        pieces = {f"{prefix}/{path}": spec for path, spec in self.keg.items()}
        folders = {str(folder) for name in pieces for folder in PurePosixPath(name).parents[:-2]} | {prefix}
        members = dict.fromkeys(folders, MemberSpec(mode=0o755, kind=tarfile.DIRTYPE)) | pieces
        return sorted(members.items(), key=lambda member: member[0].split("/"))


def good_bottle(target: str = "linux-amd64", *extra: Ingredient) -> BottleBuilder:
    """Return a bottle without findings; its notices also name the `extra` ingredients, which it does not contain."""
    builder = BottleBuilder(parse_target(target))
    launcher = frozen_files(builder.target, PRODUCT.name, "lib")
    for path, content in launcher.items():
        builder.put(f"libexec/launcher/{path}", content, 0o644 if path.endswith(".zip") else 0o755)
    builder.link(f"bin/{PRODUCT.name}", f"../{LAUNCHER}")
    is_linux, names = builder.target.system == "linux", ("stigmer-server", "agent-runner")
    for name in names:
        program = elf(builder.target.architecture) if is_linux else launcher[PRODUCT.name]
        builder.put(f"{COMPONENTS}/{name}", program, 0o755)
    builder.put(f"{COMPONENTS}/agent-runner.lib/data.txt", "data\n")
    builder.put("LICENSE", "Apache License\n")
    ingredients = (Ingredient("zlib", "1.3.1", "Zlib", "pkg:generic/zlib@1.3.1", ("zlib",)), *extra)
    texts = {"zlib": "zlib, as it is\n"}
    credited = [Credits(name, PRODUCT.version, "Apache-2.0", target, ingredients, texts) for name in names]
    builder.put(NOTICES, render_notices(PRODUCT.name, PRODUCT.version, target, credited))
    builder.put(SBOM, render_sbom(PRODUCT, target, credited, source_date_epoch=EPOCH))
    builder.put(FORMULA, "class Stigmer < Formula\nend\n")
    spec = TargetSpec("", "2.31", "14.0", 0)
    builder.put(service_path(PRODUCT.name, builder.target), "@@HOMEBREW_PREFIX@@/opt/stigmer/bin/stigmer\n")
    builder.put(RECEIPT, render_receipt(PRODUCT, builder.target, spec, source_date_epoch=EPOCH))
    return builder


def with_module(target: str, content: bytes) -> BottleBuilder:
    builder = good_bottle(target)
    builder.put(MODULE, content, 0o755)
    return builder


def frozen_files(target: Target, program: str, contents: str) -> dict[str, bytes]:
    """Return files as PyInstaller lays them out: a program, and in `contents` libz and a module that needs it.

    On Linux the program itself loads libz from there, too.
    """
    cpu = target.architecture
    if target.system == "linux":
        name, needed = "libz.so.1", ("libc.so.6", "libz.so.1")
        memcpy = ("memcpy", "GLIBC_2.17" if cpu == "arm64" else "GLIBC_2.14")
        code = elf(cpu, interpreter=LOADERS[cpu], needed=needed, search=f"$ORIGIN/{contents}")
        library, module = elf(cpu, needed=needed[:1], symbols=(memcpy,)), elf(cpu, needed=needed)
    else:
        name, system = "libz.1.dylib", ("/usr/lib/libSystem.B.dylib",)
        make = partial(macho, cpu, digests=("sha256",) if cpu == "arm64" else ())
        code, library = make(kind=EXECUTE, needed=system), make(identity=f"@rpath/{name}", needed=system)
        needed, search = (*system, f"@rpath/{name}"), ("@loader_path/..",)
        module = make(kind=BUNDLE, needed=needed, search=search, old_minimum=True)
    return {
        program: code,
        f"{contents}/{name}": library,
        f"{contents}/python3.13/module.so": module,
        f"{contents}/base_library.zip": zipped({"os.pyc": b"os.py"}),
    }


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # a fixed date: reproducible bytes
    return stream.getvalue()


def audit(builder: BottleBuilder, policy: Policy | None = None) -> AuditReport:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder, "workspace"), Path(folder, "cache"))
        return audit_in(workspace, builder.pack(workspace), policy)


def audit_in(workspace: Workspace, bottle: ReleaseFile, policy: Policy | None = None) -> AuditReport:
    return audit_bottle(bottle, policy=policy or Policy(), workspace=workspace)


def findings_of(check: str, builder: BottleBuilder, policy: Policy | None = None) -> list[tuple[str, str]]:
    """Audit a bottle; return the path of each finding of one check, and what it observed there."""
    return [(found.path, found.observation) for found in audit(builder, policy).findings if found.check == check]


def _index(builder: BottleBuilder) -> str:
    parts = [
        {
            "name": name,
            "entry": name,
            "environment": [[variable, "x"] for variable in builder.sent.get(name, ())],
            "files": _files(builder, (name, f"{name}.lib")),
        }
        for name in ("stigmer-server", "agent-runner")
    ]
    top = {"format": 3, "name": PRODUCT.name, "version": PRODUCT.version, "target": str(builder.target)}
    return json.dumps({**top, "components": parts})


def _files(builder: BottleBuilder, roots: tuple[str, ...]) -> list[list[object]]:
    below = {path.removeprefix(f"{COMPONENTS}/"): spec for path, spec in builder.keg.items() if COMPONENTS in path}
    return [
        [path, len(spec.content), hashlib.sha256(spec.content).hexdigest(), 0o755 if spec.mode & 0o100 else 0o644]
        for path, spec in sorted(below.items())
        if path.split("/")[0] in roots
    ]


def _add(tar: tarfile.TarFile, name: str, spec: MemberSpec) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.mtime = spec.kind, spec.mode, spec.link, spec.mtime
    info.uid, info.uname, info.size = spec.uid, spec.user, len(spec.content)
    tar.addfile(info, io.BytesIO(spec.content))
