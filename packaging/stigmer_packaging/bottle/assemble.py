"""Assembles the keg: the launcher, the components beside it, their index, and the files that brew expects."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.bottle.index import make_index, render_index
from stigmer_packaging.bottle.keg_tree import CHECKSUMS, COMPLETIONS, COMPONENTS, HELP, INDEX, LAUNCHER, KegTree
from stigmer_packaging.formula.receipt import render_receipt
from stigmer_packaging.formula.service_files import render_service
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import KegError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.notices import render_notices
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import notices_path, sbom_path, service_path
from stigmer_packaging.manifest.rename import PACKAGE, copy_launcher, rename_words
from stigmer_packaging.records.model import BuiltPart, Credits, FileRecord, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, links_below, scan_files

_PRINT_TEXTS = f"""
import json, os, sys
from {PACKAGE}.cli import completion, help
names = completion.names_of(os.environ)
print(json.dumps([help.render_help(()), *(completion.render(shell, names) for shell in sys.argv[1:])]))
"""
"""Prints a launcher's help and its completions for the named shells, as a JSON list."""


@dataclass(frozen=True)
class KegParts:
    """The contents of a keg: the frozen launcher, the components, documents, and the formula's source archive.

    `launcher_source` is the folder of the launcher's package, which prints help and completions on any platform.
    `documents` are files such as LICENSE by their path in the keg; `credits` are the third-party contents of the parts
    for readers, and `sbom` the same for machines.
    """

    launcher: BuiltPart
    launcher_source: Path
    services: tuple[BuiltPart, ...]
    documents: Mapping[str, Path]
    source: ReleaseFile
    credits: tuple[Credits, ...]
    sbom: ReleaseFile


def assemble_keg(
    manifest: Manifest, target: Target, parts: KegParts, *, source_date_epoch: int, workspace: Workspace
) -> Keg:
    """Make the keg's tree for one target, and return its record.

    Files are hard links to the artefacts where possible. Raise KegError if two components own one path, if the entry of
    a component is not executable, or if a component contains a symbolic link, which the index cannot represent.
    """
    built = {service.component: service for service in parts.services}
    services = [built[component.name] for component in manifest.components]
    product, index = manifest.product, make_index(manifest, target, services)
    notices = render_notices(product.name, product.version, str(target), parts.credits)
    with workspace.staging() as staging:
        texts = {INDEX: render_index(index), notices_path(product.name): notices}
        texts |= _launcher_texts(parts.launcher_source, manifest, texts[INDEX], staging.absolute() / "launcher")
        tree = KegTree(staging / "keg")
        _add_parts(tree, product.name, parts, services, workspace)
        for path, text in texts.items():
            tree.add_text(path, text, "the generated files")
        sums = digest.render_sums((entry.path, entry.sha256) for entry in scan_files(tree.root))
        tree.add_text(CHECKSUMS, sums, "the checksums")
        receipt = render_receipt(product, target, manifest.targets[str(target)], source_date_epoch=source_date_epoch)
        tree.add_text("INSTALL_RECEIPT.json", receipt, "the receipt")
        tree.add_text(service_path(product.name, target), render_service(manifest, target), "the service's definition")
        formula = render_formula(manifest, parts.source.sha256)
        tree.add_text(f".brew/{product.name}.rb", formula, "the formula")
        root, files, links = f"kegs/{target}", scan_files(tree.root), links_below(tree.root)
        workspace.publish(tree.root, root)
    keg = Keg(product.name, product.version, str(target), root, files, links)
    workspace.write_record(f"assemble/{target}", keg)
    return keg


def _add_parts(tree: KegTree, name: str, parts: KegParts, services: Sequence[BuiltPart], workspace: Workspace) -> None:
    launcher = parts.launcher
    tree.add_folder(LAUNCHER, workspace.path(launcher.root), _paths(launcher.files), "the launcher")
    tree.add_link(f"bin/{name}", f"../{LAUNCHER}/{launcher.entry}", "the launcher")
    for service in services:
        _add_service(tree, service, workspace)
    for path, file in parts.documents.items():
        tree.add_file(path, file, "the documents")
    tree.add_file(sbom_path(name), workspace.path(parts.sbom.path), "the bill of materials")


def _add_service(tree: KegTree, service: BuiltPart, workspace: Workspace) -> None:
    folder = workspace.path(service.root)
    if links := links_below(folder):
        raise KegError(f"{service.component}: {links[0][0]} is a symbolic link, which the index cannot represent")
    tree.add_folder(COMPONENTS, folder, _paths(service.files), service.component)
    if not os.access(tree.root / COMPONENTS / service.entry, os.X_OK):
        raise KegError(f"{service.component}: {service.entry} is not executable")


def _launcher_texts(source: Path, manifest: Manifest, index: str, folder: Path) -> dict[str, str]:
    """Return help and completions by their paths, exactly as the launcher of this keg prints them."""
    name = manifest.product.name
    copy_launcher(source, folder, manifest)
    (folder / Path(INDEX).name).write_text(index, encoding="utf-8")
    env = {"PYTHONPATH": str(folder), rename_words("STIGMER_PAYLOAD", name): str(folder)}
    output = command.run([sys.executable, "-P", "-B", "-c", _PRINT_TEXTS, *COMPLETIONS], env=env).stdout
    return dict(
        zip((HELP, *(place.format(name=name) for place in COMPLETIONS.values())), json.loads(output), strict=True)
    )


def _paths(files: tuple[FileRecord, ...]) -> tuple[str, ...]:
    return tuple(entry.path for entry in files)
