"""The downloads for people without Homebrew: the keg's tree as an archive, and as a self-extracting single file."""

import posixpath
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.binaries import codesign
from stigmer_packaging.binaries.buildinfo import BuildInfo, read_build_info
from stigmer_packaging.bottle.archive import keg_members, write_archive
from stigmer_packaging.bottle.keg_tree import COMPLETIONS, HELP, INDEX
from stigmer_packaging.bottle.program import write_payload
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.licensing.notices import render_notices
from stigmer_packaging.manifest import naming
from stigmer_packaging.manifest.rename import rename_product
from stigmer_packaging.records.model import Credits, FileRecord, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, scan_files
from stigmer_packaging.sources.golang import Go

ARCHIVE_LEVEL = 9
"""The compression level of libdeflate. The bottle's level takes twice as long, for 2 % (packaging/SIZE.md)."""

_ANSWERS = (
    *((words, HELP) for words in ((), ("--help",), ("-h",))),
    *((("completion", shell), path) for shell, path in COMPLETIONS.items()),
)
"""The arguments that the single file answers without unpacking, and the file of the keg that is the answer."""

_EMBEDDED = "payload.bin"
"""The payload in a program for macOS: packaging/program/payload_darwin.go."""


@dataclass(frozen=True)
class Unpacker:
    """The source tree of the self-extracting program, and the Go that builds it for any target."""

    tree: Path
    go: Go

    def facts(self) -> dict[str, object]:
        """Return everything about these that the result depends on, as plain values."""
        return {"unpacker": digest.sha256_of_tree(self.tree), "go": self.go.version}


def make_archive(keg: Keg, *, source_date_epoch: int, workspace: Workspace) -> ReleaseFile:
    """Pack the keg's tree below `NAME-VERSION-TARGET/`, without the files that only brew reads.

    Raise RecordError if the keg on disk differs from its record.
    """
    root, files = _tree_of(keg, workspace)
    folder = naming.standalone_name(keg.name, keg.version, keg.target)
    members = keg_members(root, files, keg.links)
    with workspace.staging() as staging:
        written = staging / "archive"
        write_archive(written, folder, members, mtime=source_date_epoch, level=ARCHIVE_LEVEL)
        return _publish(written, "archive", f"{folder}.tar.gz", keg, workspace)


def make_program(
    keg: Keg,
    unpacker: Unpacker,
    credit: Callable[[BuildInfo | None], Credits],
    *,
    source_date_epoch: int,
    workspace: Workspace,
) -> ReleaseFile:
    """Make the single file for the keg's target, on any host. Its tree also has the notices of what the unpacker links.

    Raise RecordError if the keg on disk differs from its record, CommandError if the unpacker does not build.
    """
    root, files = _tree_of(keg, workspace)
    with workspace.staging() as staging:
        source, program, payload, added = (
            staging.absolute() / name for name in ("source", "program", "payload", "added")
        )
        copy_tree(unpacker.tree, source)
        rename_product(source, keg.name)
        (source / _EMBEDDED).touch()  # the build for macOS requires it
        unpacker.go.build(source, ".", program, target=parse_target(keg.target))
        _write_notices(keg, credit(read_build_info(program.read_bytes())), added)
        sources = {file: root / file.path for file in files} | {file: added / file.path for file in scan_files(added)}
        with payload.open("wb") as stream:
            write_payload(_describe(keg, tuple(sources), source_date_epoch), sources, stream)
        _add_payload(program, payload, keg, source, unpacker.go)
        return _publish(program, "program", naming.standalone_name(keg.name, keg.version, keg.target), keg, workspace)


def _add_payload(program: Path, payload: Path, keg: Keg, source: Path, go: Go) -> None:
    """Append the payload to an ELF file; build a Mach-O file again with the payload inside, and sign it ad hoc."""
    target = parse_target(keg.target)
    if target.system == "darwin":
        payload.replace(source / _EMBEDDED)
        go.build(source, ".", program, target=target)
        program.write_bytes(codesign.sign(program.read_bytes(), keg.name))
    else:
        with program.open("ab") as whole, payload.open("rb") as content:
            shutil.copyfileobj(content, whole, 1 << 20)


def _write_notices(keg: Keg, credited: Credits, folder: Path) -> None:
    path = folder / naming.unpacker_notices_path(keg.name)
    path.parent.mkdir(parents=True)
    path.write_text(render_notices(keg.name, keg.version, keg.target, [credited]), encoding="utf-8")
    path.chmod(0o644)


def _describe(keg: Keg, files: Sequence[FileRecord], source_date_epoch: int) -> dict[str, object]:
    """Return the fields of the payload's index, as packaging/program/payload.go defines them, without the files."""
    paths = {file.path for file in files}
    answers = ((words, path.format(name=keg.name)) for words, path in _ANSWERS)
    return {
        "name": keg.name,
        "version": keg.version,
        "target": keg.target,
        "id": _id(keg, files),
        "entry": posixpath.normpath(f"bin/{dict(keg.links)[f'bin/{keg.name}']}"),
        "time": source_date_epoch,
        "links": keg.links,
        "answers": [{"words": words, "path": path} for words, path in answers if path in paths],
    }


def _tree_of(keg: Keg, workspace: Workspace) -> tuple[Path, tuple[FileRecord, ...]]:
    """Return the keg's folder, and its files without those that only brew reads."""
    only_brew = ("INSTALL_RECEIPT.json", ".brew/", "homebrew.")
    return workspace.verified_path(keg), tuple(file for file in keg.files if not file.path.startswith(only_brew))


def _id(keg: Keg, files: Sequence[FileRecord]) -> str:
    """Return the name of the tree's directory: the launcher's id of the version, and eight digits for the tree.

    The unpacker compares the id with that of a running server, and removes no tree that one uses.
    """
    index = next(file.sha256 for file in files if file.path == INDEX)
    return f"{keg.version}-{index[:12]}-{digest.sha256_of_value(files, keg.links)[:8]}"


def _publish(written: Path, kind: str, name: str, keg: Keg, workspace: Workspace) -> ReleaseFile:
    facts = {"name": keg.name, "version": keg.version, "target": keg.target}
    return workspace.add_file(written, f"{kind}/{keg.target}", kind=kind, path=f"dist/{name}", **facts)
