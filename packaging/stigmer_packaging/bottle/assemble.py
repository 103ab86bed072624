"""Assemble the keg: the launcher, the components beside it, their index, and what brew wants to find."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stigmer_launcher.cli import completion
from stigmer_launcher.cli.help import render_help
from stigmer_launcher.install.payload import Component as PayloadComponent
from stigmer_launcher.install.payload import (
    FileEntry,
    Liveness,
    Payload,
    Proof,
    Readiness,
    Restart,
    Smoke,
    render_payload,
)
from stigmer_packaging.bottle.keg_tree import KegTree
from stigmer_packaging.formula.receipt import render_receipt
from stigmer_packaging.formula.service_files import render_service
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib.errors import KegError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.notices import notices_path, render_notices
from stigmer_packaging.licensing.spdx import sbom_path
from stigmer_packaging.manifest.model import Component, Manifest
from stigmer_packaging.manifest.naming import service_path
from stigmer_packaging.manifest.rename import rename_words
from stigmer_packaging.records.model import Credits, FileRecord, Keg, ReleaseFile, ServiceBinary
from stigmer_packaging.records.workspace import Workspace, links_below, scan_files

LAUNCHER = "libexec/launcher"
COMPONENTS = "libexec/components"
INDEX = "libexec/payload.json"
HELP = "libexec/help.txt"
"""What `--help` prints: the single file answers with it before anything is unpacked."""
CHECKSUMS = "libexec/SHA256SUMS"
"""What `sha256sum -c` reads: every file of the keg but the few that brew itself rewrites."""

COMPLETIONS: Mapping[str, str] = {
    "bash": "etc/bash_completion.d/{name}",
    "zsh": "share/zsh/site-functions/_{name}",
    "fish": "share/fish/vendor_completions.d/{name}.fish",
}
"""Where the shells look for them below a prefix. Source: what Homebrew links into it."""


@dataclass(frozen=True)
class KegParts:
    """What goes into one keg: the frozen launcher, the components, documents, and the formula's source.

    `documents` are files such as LICENSE by their path in the keg; `credits` say what the parts are made of, and `sbom`
    says it to machines.
    """

    launcher: ServiceBinary
    services: tuple[ServiceBinary, ...]
    documents: Mapping[str, Path]
    source: ReleaseFile
    credits: tuple[Credits, ...]
    sbom: ReleaseFile


def assemble_keg(
    manifest: Manifest,
    target: Target,
    parts: KegParts,
    *,
    source_date_epoch: int,
    workspace: Workspace,
    report: Callable[[str], None],
) -> Keg:
    """Make the keg's tree for one target.

    Files are hard links to the artefacts where possible. Raise KegError when two components own one path, when a part
    is missing or of another target, and when a component holds what the index cannot name (a symbolic link).
    """
    chosen = _in_order(manifest, target, parts)
    payload = _payload(manifest, target, chosen)
    notices = render_notices(manifest.product, str(target), parts.credits)
    texts = {INDEX: render_payload(payload), **_answers(payload), notices_path(manifest.product.name): notices}
    report(f"assembling the keg for {target}")
    product = manifest.product
    with workspace.staging() as staged:
        tree = KegTree(staged / "keg")
        _add_parts(tree, product.name, parts, chosen, workspace)
        for path, text in texts.items():
            tree.add_text(path, text, "what is written for the keg")
        tree.add_text(CHECKSUMS, render_checksums(scan_files(tree.root)), "the checksums")
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


def render_checksums(files: Iterable[FileRecord]) -> str:
    """Give the lines `sha256sum -c` reads, with paths as they are below the keg."""
    return "".join(f"{entry.sha256}  {entry.path}\n" for entry in files)


def _in_order(manifest: Manifest, target: Target, parts: KegParts) -> tuple[ServiceBinary, ...]:
    """Give one service for each component of the manifest, in its order."""
    foreign = {parts.launcher.target, *(service.target for service in parts.services)} - {str(target)}
    if foreign:
        raise KegError(f"a keg for {target} cannot hold parts for {', '.join(sorted(foreign))}")
    given = {service.component: service for service in parts.services}
    expected = [component.name for component in manifest.components]
    if sorted(expected) != sorted(service.component for service in parts.services):
        raise KegError(f"the manifest names {', '.join(expected)}; there are {', '.join(given) or 'none'}")
    return tuple(given[name] for name in expected)


def _add_parts(
    tree: KegTree, name: str, parts: KegParts, services: Sequence[ServiceBinary], workspace: Workspace
) -> None:
    launcher = parts.launcher
    tree.add_folder(LAUNCHER, workspace.path(launcher.root), _paths(launcher.files), "the launcher")
    tree.add_link(f"bin/{name}", f"../{LAUNCHER}/{launcher.entry}", "the launcher")
    for service in services:
        _add_service(tree, service, workspace)
    for path, file in parts.documents.items():
        tree.add_file(path, file, "the documents")
    tree.add_file(sbom_path(name), workspace.path(parts.sbom.path), "the bill of materials")


def _add_service(tree: KegTree, service: ServiceBinary, workspace: Workspace) -> None:
    folder = workspace.path(service.root)
    if links := links_below(folder):
        raise KegError(f"{service.component}: {links[0][0]} is a symbolic link, which the index cannot name")
    if service.entry not in _paths(service.files):
        raise KegError(f"{service.component}: its executable {service.entry} is not among its files")
    tree.add_folder(COMPONENTS, folder, _paths(service.files), service.component)
    if not (tree.root / COMPONENTS / service.entry).stat().st_mode & 0o100:
        raise KegError(f"{service.component}: {service.entry} is not executable")


def _answers(payload: Payload) -> dict[str, str]:
    """Give help and completions by their paths, word for word what the launcher of this keg would print."""
    names = completion.names_in(payload)
    name = payload.name
    answers = {
        place.format(name=name): rename_words(completion.render(shell, names), name)
        for shell, place in COMPLETIONS.items()
    }
    return {HELP: rename_words(render_help(()), name), **answers}


def _payload(manifest: Manifest, target: Target, services: Sequence[ServiceBinary]) -> Payload:
    return Payload(
        name=manifest.product.name,
        version=manifest.product.version,
        target=str(target),
        inherit=manifest.inherit,
        smoke=Smoke(**asdict(manifest.smoke)),
        components=tuple(map(_payload_component, manifest.components, services)),
        restart=Restart(**asdict(manifest.restart)),
    )


def _payload_component(component: Component, service: ServiceBinary) -> PayloadComponent:
    run, ready = component.run, component.run.readiness
    return PayloadComponent(
        name=component.name,
        version=service.version,
        entry=service.entry,
        arguments=run.arguments,
        environment=tuple(run.environment.items()),
        ports=tuple(run.ports.items()),
        needs=run.needs,
        readiness=Readiness(ready.seconds, tuple(Proof(each.kind, each.port, each.queues) for each in ready.proofs)),
        stop_order=run.stop_order,
        grace=run.grace,
        override=run.override,
        external=run.external,
        liveness=Liveness(**asdict(run.liveness)),
        files=tuple(
            FileEntry(entry.path, entry.size, entry.sha256, 0o755 if entry.mode & 0o100 else 0o644)
            for entry in service.files
        ),
    )


def _paths(files: tuple[FileRecord, ...]) -> tuple[str, ...]:
    return tuple(entry.path for entry in files)
