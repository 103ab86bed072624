"""The downloads for people without Homebrew: the keg's tree as an archive, and as a self-extracting single file."""

import posixpath
import shutil
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.binaries import codesign
from stigmer_packaging.bottle.archive import keg_members, write_archive
from stigmer_packaging.bottle.keg_tree import COMPLETIONS, HELP, INDEX
from stigmer_packaging.bottle.program import write_payload
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest import naming
from stigmer_packaging.manifest.rename import rename_product
from stigmer_packaging.records.model import FileRecord, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources.golang import Go

ARCHIVE_LEVEL = 9
"""The compression level of libdeflate. The bottle's level takes twice as long, for 2 % (packaging/SIZE.md)."""

_ANSWERS = (
    *((words, HELP) for words in ((), ("--help",), ("-h",))),
    *((("completion", shell), path) for shell, path in COMPLETIONS.items()),
)
"""The arguments that the single file answers without unpacking, and the file of the keg that is the answer."""


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

    Raise RecordError when the keg on disk differs from its record.
    """
    root, files = _tree_of(keg, workspace)
    folder = naming.standalone_name(keg.name, keg.version, keg.target)
    members = keg_members(root, files, keg.links)
    with workspace.staging() as staged:
        written = staged / "archive"
        write_archive(written, folder, members, mtime=source_date_epoch, level=ARCHIVE_LEVEL)
        return _publish(written, "archive", f"{folder}.tar.gz", keg, workspace)


def make_program(keg: Keg, unpacker: Unpacker, *, source_date_epoch: int, workspace: Workspace) -> ReleaseFile:
    """Make the single file for the keg's target, on any host.

    Raise RecordError when the keg on disk differs from its record, CommandError when the unpacker does not build.
    """
    root, files = _tree_of(keg, workspace)
    paths = {file.path for file in files}
    answers = ((words, path.format(name=keg.name)) for words, path in _ANSWERS)
    description = {
        "name": keg.name,
        "version": keg.version,
        "target": keg.target,
        "id": _id(keg, files),
        "entry": posixpath.normpath(f"bin/{dict(keg.links)[f'bin/{keg.name}']}"),
        "time": source_date_epoch,
        "links": keg.links,
        "answers": [{"words": words, "path": path} for words, path in answers if path in paths],
    }
    with workspace.staging() as staged:
        with (staged / "payload").open("wb") as payload:
            write_payload(description, files, root, payload)
        written = _build_program(unpacker, keg, staged / "payload", staged.absolute())
        return _publish(written, "program", naming.standalone_name(keg.name, keg.version, keg.target), keg, workspace)


def _build_program(unpacker: Unpacker, keg: Keg, payload: Path, staged: Path) -> Path:
    """Build the unpacker with its payload: appended to an ELF file, inside a Mach-O file, which is then signed ad hoc."""
    target, tree, program = parse_target(keg.target), staged / "unpacker", staged / "program"
    copy_tree(unpacker.tree, tree)
    rename_product(tree, keg.name)
    if target.system == "darwin":
        payload.rename(tree / "payload.bin")
    unpacker.go.build(tree, ".", program, target=target)
    if target.system == "darwin":
        program.write_bytes(codesign.sign(program.read_bytes(), keg.name))
    else:
        with program.open("ab") as whole, payload.open("rb") as content:
            shutil.copyfileobj(content, whole, 1 << 20)
    return program


def _tree_of(keg: Keg, workspace: Workspace) -> tuple[Path, tuple[FileRecord, ...]]:
    """Return the keg's folder, and its files without those that only brew reads."""
    only_brew = ("INSTALL_RECEIPT.json", ".brew/", "homebrew.")
    return workspace.whole(keg), tuple(file for file in keg.files if not file.path.startswith(only_brew))


def _id(keg: Keg, files: tuple[FileRecord, ...]) -> str:
    """Return the name of the tree's directory: the launcher's id of the version, and eight digits for the tree.

    The unpacker compares the id with that of a running server, and removes no tree that one uses.
    """
    index = next(file.sha256 for file in files if file.path == INDEX)
    return f"{keg.version}-{index[:12]}-{digest.sha256_of_value(files, keg.links)[:8]}"


def _publish(written: Path, kind: str, name: str, keg: Keg, workspace: Workspace) -> ReleaseFile:
    facts = {"name": keg.name, "version": keg.version, "target": keg.target}
    return workspace.add_file(written, f"{kind}/{keg.target}", kind=kind, path=f"dist/{name}", **facts)
