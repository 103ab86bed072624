"""Small but complete releases to publish."""

import functools
import json
from dataclasses import replace
from pathlib import Path

from stigmer_packaging.bottle.archive import Member, write_archive
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib import digest
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import bottle_name, source_archive_name
from stigmer_packaging.manifest.reader import parse_manifest
from stigmer_packaging.pipeline.delivery import CHECKSUMS
from stigmer_packaging.publish.plan import PublicationPlan, changelog_section, plan_publication
from stigmer_packaging.publish.rules import PublicationRequest
from stigmer_packaging.records.model import AuditReport, Check, VerificationReport
from stigmer_packaging.records.release import NAME, Artefact, Release, read_release
from stigmer_packaging.records.text import render_record
from support.manifest_texts import text_with

TARGETS = ("darwin-arm64", "linux-amd64")
PATH = "Formula/stigmer.rb"
COMMIT = "c" * 40


@functools.cache
def manifest_of(version: str, tap: str = "self") -> Manifest:
    return parse_manifest(text_with(("  version: 2.0.0", f"  version: {version}"), ("  tap: self", f"  tap: {tap}")))


def changelog_of(*versions: str) -> str:
    return "# Changelog\n\n" + "".join(f"## {one} - 2026-11-22\n\n- What {one} brings.\n\n" for one in versions)


def write_release(
    folder: Path,
    version: str,
    *,
    targets: tuple[str, ...] = TARGETS,
    content: str = "one",
    tap: str = "self",
    reported: str = "",
    sboms: bool = False,
    commit: str = COMMIT,
) -> Release:
    """Write a small verified release, whose bottles' program and index name the version, or `reported` if it is given."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of(version, tap)
    bottles = tuple(_write_bottle(folder, manifest, target, (reported or version, content)) for target in targets)
    source = folder / source_archive_name("stigmer", version)
    source.write_bytes(f"source of {version} {content}".encode())
    named = [(bottle.tag, bottle.sha256) for bottle in bottles]
    formula = folder / PATH
    formula.parent.mkdir(exist_ok=True)
    formula.write_text(render_formula(manifest, digest.sha256_of(source), named), encoding="utf-8")
    artefacts = (*bottles, _describe("source", source, folder), _describe("formula", formula, folder))
    if sboms:
        artefacts += tuple(_write_sbom(folder, bottle, version) for bottle in bottles)
    release = Release(
        manifest.product,
        tuple(sorted(artefacts, key=lambda artefact: artefact.name)),
        tuple(AuditReport(one.target, one.sha256, (), 3, 9, (), "") for one in bottles),
        tuple(_verification_of(one) for one in bottles),
        commit=commit,
    )
    (folder / NAME).write_text(render_record(release), encoding="utf-8")
    (folder / CHECKSUMS).write_text(release.checksums(), encoding="ascii")
    return release


def _write_bottle(folder: Path, manifest: Manifest, target: str, texts: tuple[str, str]) -> Artefact:
    (reported, content), version, tag = texts, manifest.product.version, manifest.targets[target].bottle
    program, index, sums = folder / "program", folder / "index", folder / "sums"
    bottle = folder / bottle_name("stigmer", version, tag)
    program.write_text(f"#!/bin/sh\necho stigmer {reported} # {content} {target}\n", encoding="ascii")
    index.write_text(json.dumps({"version": reported}), encoding="ascii")
    listed = {"bin/stigmer": program, "libexec/payload.json": index}
    sums.write_text(digest.render_sums((name, digest.sha256_of(file)) for name, file in listed.items()), "ascii")
    members = [Member("bin/stigmer", program, executable=True), Member("libexec/payload.json", index)]
    members.append(Member("libexec/SHA256SUMS", sums))
    write_archive(bottle, f"stigmer/{version}", members, mtime=0)
    for file in (program, index, sums):
        file.unlink()
    return replace(_describe("bottle", bottle, folder), target=target, tag=tag)


def _write_sbom(folder: Path, bottle: Artefact, version: str) -> Artefact:
    path = folder / f"stigmer-{version}.{bottle.tag}.sbom.spdx.json"
    path.write_text(json.dumps({"name": f"stigmer-{version}-{bottle.target}"}), encoding="utf-8")
    return replace(_describe("sbom", path, folder), target=bottle.target, tag=bottle.tag)


def _describe(kind: str, path: Path, folder: Path) -> Artefact:
    return Artefact(kind, path.relative_to(folder).as_posix(), path.stat().st_size, digest.sha256_of(path))


def _verification_of(bottle: Artefact) -> VerificationReport:
    return VerificationReport("sandbox", "a guest", bottle.sha256, (Check("starts", True, 0.5, ""),), True)


def plan_for(folder: Path, commit: str, *, pull_request: bool = False) -> PublicationPlan:
    release = replace(read_release(folder), commit=commit)
    version, bottles = release.product.version, release.of_kind("bottle")
    files = [*release.artefacts, *(_describe("description", folder / name, folder) for name in (NAME, CHECKSUMS))]
    request = PublicationRequest(
        manifest_of(version),
        (folder / PATH).read_text(encoding="utf-8"),
        changelog_section(changelog_of(version), version),
        commit,
        tuple(bottle.target for bottle in bottles),
        {bottle.sha256: version for bottle in bottles},
        (folder / CHECKSUMS).read_text(encoding="ascii"),
        pull_request=pull_request,
    )
    return plan_publication(release, files, request)
