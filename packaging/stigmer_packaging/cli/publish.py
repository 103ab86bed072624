"""The commands that change the world: publish a release, abandon a draft, take a version back. Each is planned first."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from stigmer_packaging.bottle.reading import ask_version, read_version
from stigmer_packaging.cli.ci_environment import ROOT, CIEnvironment, open_place
from stigmer_packaging.cli.machine import this_platform
from stigmer_packaging.cli.targets import ALL, read_targets, targets_option
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import VerificationError
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.delivery import CHECKSUMS
from stigmer_packaging.publish import plan as publication
from stigmer_packaging.publish import text as publication_text
from stigmer_packaging.publish.fetch_draft import fetch_draft
from stigmer_packaging.publish.github import GitHub
from stigmer_packaging.publish.publish import abandon_draft, draft_release, publish_release
from stigmer_packaging.publish.published import Published, compare_published
from stigmer_packaging.publish.rollback import plan_rollback, read_history, roll_back
from stigmer_packaging.publish.rules import PublicationRequest
from stigmer_packaging.records.release import NAME, Release, read_release

RESULT = "publication.json"
"""Where, beside the release, it is written what was published."""

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)
_NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
_MANIFEST = click.Option(
    ["--manifest"], type=_FILE, default=ROOT / "packaging" / "manifest.yaml", help="Default: packaging/manifest.yaml."
)
_AS_JSON = click.Option(["--json", "as_json"], is_flag=True, help="The same as JSON on stdout.")


def _options(*own: click.Parameter) -> list[click.Parameter]:
    return [
        *own,
        _MANIFEST,
        click.Option(
            ["--tap-branch"], default="main", show_default=True, help="The branch of the tap that brew reads."
        ),
        click.Option(["--pull-request"], is_flag=True, help="Propose the tap's change; default: push it."),
        click.Option(["--dry-run"], is_flag=True, help="Say what would be done."),
        _AS_JSON,
    ]


def _publish(**given: Any) -> None:
    seen = CIEnvironment(os.environ)
    manifest, folder = load_manifest(given["manifest"]), given["dist"]
    if given["abandon"]:
        _abandon(manifest, seen, given)
        return
    if not given["dry_run"]:
        seen.access()  # before any work
    plan = _plan(manifest, folder, seen, given)
    if given["dry_run"]:
        _show(given, asdict(plan), publication_text.describe_plan(plan))
        return
    with ExitStack() as stack:
        github = GitHub(seen.access(), plan.repository)
        change = plan.tap
        tap = open_place(plan.repository, change.repository, change.branch, seen, stack) if change else None
        if given["draft"]:
            page = draft_release(plan, folder, github, tap, report=seen.tell).html_url
            _show(given, {"tag": plan.tag, "page": page}, [f"{plan.tag}: {page}"])
            return
        done = publish_release(plan, folder, github, tap, report=seen.tell)
    text = json.dumps(asdict(done), indent=2, sort_keys=True) + "\n"
    part = folder / f".{RESULT}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(folder / RESULT)
    _show(given, asdict(done), publication_text.describe_publication(done))


def _plan(
    manifest: Manifest, folder: Path, seen: CIEnvironment, given: Mapping[str, Any]
) -> publication.PublicationPlan:
    release = read_release(folder)
    files = [publication.LocalFile(one.name, one.size, one.sha256) for one in release.artefacts]
    files += [_describe(folder, name) for name in (NAME, CHECKSUMS)]
    formula = next((one.name for one in release.of_kind("formula")), "")
    request = PublicationRequest(
        manifest=manifest,
        formula=(folder / formula).read_text(encoding="utf-8") if formula else "",
        notes=publication.section_of(given["changelog"].read_text(encoding="utf-8"), release.product.version),
        commit=seen.commit(),
        targets=tuple(map(str, read_targets(given["targets"] or [ALL], manifest.targets))),
        versions=_versions(release, folder),
        tag=seen.tag,
        branch=given["tap_branch"],
        pull_request=given["pull_request"],
        not_run=given["not_run"],
    )
    return publication.plan_publication(release, files, request)


def _describe(folder: Path, name: str) -> publication.LocalFile:
    path = folder / name
    return publication.LocalFile(name, path.stat().st_size, digest.sha256_of(path))


def _versions(release: Release, folder: Path) -> dict[str, str]:
    """Ask each bottle for its version: its program where it runs here, its index elsewhere."""
    host = str(this_platform())
    name, version, said = release.product.name, release.product.version, {}
    for bottle in release.of_kind("bottle"):
        path = folder / bottle.name
        if bottle.target == host:
            with tempfile.TemporaryDirectory() as scratch:
                env = {"HOME": scratch, "PATH": "/usr/bin:/bin"}
                said[bottle.sha256] = ask_version(path, name, version, scratch=Path(scratch), env=env)
        else:
            said[bottle.sha256] = read_version(path, name, version)
    return said


def _abandon(manifest: Manifest, seen: CIEnvironment, given: Mapping[str, Any]) -> None:
    product = manifest.product
    github = GitHub(seen.access(), product.repository)
    tag, mark = release_tag(product.version), publication.mark_of(product, "")
    removed = abandon_draft(tag, mark, github, rehearse=given["dry_run"])
    verb = "would be removed" if given["dry_run"] else "removed"
    lines = [f"{verb}: {address}" for address in removed] or [f"there is no draft of ours for {tag}"]
    _show(given, {"tag": tag, "removed": removed}, lines)


def _fetch_draft(**given: Any) -> None:
    seen, product, folder = CIEnvironment(os.environ), load_manifest(given["manifest"]).product, given["folder"]
    folder.mkdir(parents=True, exist_ok=True)
    release = fetch_draft(product, folder, GitHub(seen.access(), product.repository), report=seen.tell)
    _show(given, asdict(release), [f"{artefact.sha256}  {artefact.name}" for artefact in release.artefacts])


def _compare(**given: Any) -> None:
    seen, product, folder = CIEnvironment(os.environ), load_manifest(given["manifest"]).product, given["folder"]
    folder.mkdir(parents=True, exist_ok=True)
    github = GitHub(seen.access(), product.repository)
    release = fetch_draft(product, folder, github, report=seen.tell)
    with ExitStack() as stack:
        tap = open_place(product.repository, publication.tap_repository(product), given["tap_branch"], seen, stack)
        formula = tap.read(tap.head(), publication.formula_path(product.name)) or ""
    attested = {one.sha256: github.attestations(one.sha256) for one in release.artefacts}
    statements = compare_published(Published(folder, release, formula, attested), given["keg"])
    _show(given, [asdict(one) for one in statements], publication_text.describe_statements(statements))
    if not all(one.agrees for one in statements):
        raise VerificationError("what was published is not what is said of it", "compare the lines that begin with no")


def _rollback(**given: Any) -> None:
    seen = CIEnvironment(os.environ)
    product = load_manifest(given["manifest"]).product
    tap = publication.tap_repository(product)
    version = given["version"].removeprefix("v")
    proposal = f"{product.name}-without-{version}" if given["pull_request"] else ""
    path = publication.formula_path(product.name)
    empty = publication.TapChange(tap, given["tap_branch"], path, text="", message="", proposal=proposal)
    with ExitStack() as stack:
        opened = open_place(product.repository, tap, empty.branch, seen, stack)
        plan = plan_rollback(product.name, version, empty, read_history(opened, path))
        if given["dry_run"]:
            _show(given, asdict(plan), [f"{tap}: {plan.change.path} from {plan.withdrawn} back to {plan.restored}"])
            return
        done = roll_back(plan, opened, report=seen.tell)
    _show(given, asdict(done), [f"{tap} serves {product.name} {done.restored}: {done.pull_request or done.tap_commit}"])


def _show(given: Mapping[str, Any], value: Any, lines: list[str]) -> None:
    text = json.dumps(value, indent=2, sort_keys=True) if given["as_json"] else "\n".join(lines)
    sys.stdout.write(text + "\n")


PUBLISH = click.Command(
    "publish",
    callback=_publish,
    params=_options(
        click.Argument(["dist"], type=_FOLDER),
        click.Option(["--draft"], is_flag=True, help="Stop when the draft is whole, before anybody sees it."),
        click.Option(["--abandon"], is_flag=True, help="Remove our own draft of this version, and nothing else."),
        targets_option("all of the manifest"),
        click.Option(
            ["--not-run", "not_run"],
            multiple=True,
            metavar="TARGET",
            help="Publish for this one although no machine of its kind has run it; may be repeated.",
        ),
        click.Option(["--changelog"], type=_FILE, default=ROOT / "CHANGELOG.md", help="Default: CHANGELOG.md."),
    ),
    help="Publish the release in DIST and move the tap to it. Tokens: see docs/releasing.md.",
    short_help="Publish a release, then move the tap to it.",
)
FETCH_DRAFT = click.Command(
    "fetch-draft",
    callback=_fetch_draft,
    params=[click.Argument(["folder"], type=_NEW_FOLDER), _MANIFEST, _AS_JSON],
    help="Fetch the files of our draft into FOLDER, to be verified before it is published.",
    short_help="Fetch the files of our draft.",
)
COMPARE = click.Command(
    "published",
    callback=_compare,
    params=[
        click.Argument(["folder"], type=_NEW_FOLDER),
        click.Option(
            ["--keg"], type=_FOLDER, help="Compare an installation, too: what `brew --prefix stigmer` prints."
        ),
        click.Option(["--tap-branch"], default="main", show_default=True, help="The branch that brew reads."),
        _MANIFEST,
        _AS_JSON,
    ],
    help="Fetch the published release into FOLDER and compare its bytes with formula, checksums, attestations and SBOMs.",
    short_help="Compare published bytes with all that is said of them.",
)
ROLLBACK = click.Command(
    "rollback",
    callback=_rollback,
    params=_options(click.Argument(["version"])),
    help="Take VERSION back: the tap gets the formula it had before.",
    short_help="Give the tap the formula it had before a version.",
)
