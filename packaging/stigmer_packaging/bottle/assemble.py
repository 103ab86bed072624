"""Assemble the keg: the launcher, the components beside it, their index, and what brew wants to find."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stigmer_launcher.cli import completion
from stigmer_launcher.cli.help import render_help
from stigmer_launcher.install.payload import Payload
from stigmer_packaging.bottle.index import make_index, render_index
from stigmer_packaging.bottle.keg_tree import CHECKSUMS, COMPLETIONS, COMPONENTS, HELP, INDEX, LAUNCHER, KegTree
from stigmer_packaging.formula.receipt import render_receipt
from stigmer_packaging.formula.service_files import render_service
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import KegError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.notices import render_notices
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import notices_path, sbom_path, service_path
from stigmer_packaging.manifest.rename import rename_words
from stigmer_packaging.records.model import BuiltPart, Credits, FileRecord, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, links_below, scan_files


@dataclass(frozen=True)
class KegParts:
    """What goes into one keg: the frozen launcher, the components, documents, and the formula's source.

    `documents` are files such as LICENSE by their path in the keg; `credits` say what the parts are made of, and `sbom`
    says it to machines.
    """

    launcher: BuiltPart
    services: tuple[BuiltPart, ...]
    documents: Mapping[str, Path]
    source: ReleaseFile
    credits: tuple[Credits, ...]
    sbom: ReleaseFile


def assemble_keg(
    manifest: Manifest, target: Target, parts: KegParts, *, source_date_epoch: int, workspace: Workspace
) -> Keg:
    """Make the keg's tree for one target.

    Files are hard links to the artefacts where possible. Raise KegError when two components own one path, when the entry
    of a component is not executable, and when a component holds what the index cannot name (a symbolic link).
    """
    made = {service.component: service for service in parts.services}
    chosen = [made[component.name] for component in manifest.components]
    product, index = manifest.product, make_index(manifest, target, chosen)
    notices = render_notices(product, str(target), parts.credits)
    texts = {INDEX: render_index(index), **_answers(index), notices_path(product.name): notices}
    with workspace.staging() as staged:
        tree = KegTree(staged / "keg")
        _add_parts(tree, product.name, parts, chosen, workspace)
        for path, text in texts.items():
            tree.add_text(path, text, "what is written for the keg")
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
        raise KegError(f"{service.component}: {links[0][0]} is a symbolic link, which the index cannot name")
    tree.add_folder(COMPONENTS, folder, _paths(service.files), service.component)
    if not os.access(tree.root / COMPONENTS / service.entry, os.X_OK):
        raise KegError(f"{service.component}: {service.entry} is not executable")


def _answers(index: Payload) -> dict[str, str]:
    """Give help and completions by their paths, word for word what the launcher of this keg would print."""
    name, names = index.name, completion.names_in(index)
    answers = {
        place.format(name=name): rename_words(completion.render(shell, names), name)
        for shell, place in COMPLETIONS.items()
    }
    return {HELP: rename_words(render_help(()), name), **answers}


def _paths(files: tuple[FileRecord, ...]) -> tuple[str, ...]:
    return tuple(entry.path for entry in files)
