"""The commands for publishing: publish a release or abandon its draft, fetch, compare, roll back, and report.

Changes are planned first.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from stigmer_packaging.bottle.reading import query_version, read_version
from stigmer_packaging.cli import ci_environment, options, output
from stigmer_packaging.cli.ci_environment import open_tap
from stigmer_packaging.cli.machine import this_platform
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.cache import write_atomically
from stigmer_packaging.lib.errors import VerificationError
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.manifest.values import TARGETS
from stigmer_packaging.pipeline.delivery import CHECKSUMS
from stigmer_packaging.publish import plan as publication
from stigmer_packaging.publish.fetch_draft import fetch_draft
from stigmer_packaging.publish.github import GitHub
from stigmer_packaging.publish.publish import abandon_draft, draft_release, publish_release
from stigmer_packaging.publish.published import Published, compare_published
from stigmer_packaging.publish.report.stage import write_report
from stigmer_packaging.publish.rollback import plan_rollback, read_history, roll_back
from stigmer_packaging.publish.rules import PublicationRequest
from stigmer_packaging.records.release import NAME, Artefact, Release, parse_release, read_release

RESULT = "publication.json"
"""The file beside the release that describes what was published."""

_branch_option = click.option(
    "--tap-branch", default="main", show_default=True, help="The branch of the tap that brew reads."
)
_pull_request_option = click.option("--pull-request", is_flag=True, help="Propose the tap's change; default: push it.")
_dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done.")


@click.command("publish")
@click.argument("dist", type=options.RELEASE_FOLDER)
@click.option("--draft", is_flag=True, help="Stop once the draft is complete, before it is public.")
@click.option("--abandon", is_flag=True, help="Remove our own draft of this version, and nothing else.")
@options.targets_option("all of the manifest")
@click.option(
    "--not-run",
    multiple=True,
    type=click.Choice(TARGETS),
    metavar="TARGET",
    help="Publish for this target although no machine of its kind has run it; may be repeated.",
)
@click.option("--changelog", type=options.FILE, help="Default: CHANGELOG.md.")
@options.manifest_option
@_branch_option
@_pull_request_option
@_dry_run_option
@options.json_option
def publish_command(**arguments: Any) -> None:
    """Publish the release in DIST and move the tap to it. Tokens: see docs/releasing.md."""
    manifest, folder = load_manifest(arguments["manifest"]), arguments["dist"]
    if arguments["abandon"]:
        _abandon(manifest, arguments)
        return
    if not arguments["dry_run"]:
        ci_environment.access()  # before any work
    plan = _plan(manifest, folder, arguments)
    if arguments["dry_run"]:
        _show(arguments, asdict(plan), output.describe_plan(plan))
        return
    change, github = plan.tap, GitHub(ci_environment.access(), plan.repository)
    with ExitStack() as stack:
        tap = None
        if change:
            tap = stack.enter_context(open_tap(plan.repository, change.repository, change.branch))
        if arguments["draft"]:
            page = draft_release(plan, folder, github, tap, report=output.print_progress).html_url
            _show(arguments, {"tag": plan.tag, "page": page}, [f"{plan.tag}: {page}"])
            return
        result = publish_release(plan, folder, github, tap, report=output.print_progress)
    write_atomically(folder / RESULT, json.dumps(asdict(result), indent=2, sort_keys=True) + "\n")
    _show(arguments, asdict(result), output.describe_publication(result))


def _plan(manifest: Manifest, folder: Path, arguments: Mapping[str, Any]) -> publication.PublicationPlan:
    release = read_release(folder)
    files = [*release.artefacts, *(_describe(folder, name) for name in (NAME, CHECKSUMS))]
    formula = next((one.name for one in release.of_kind("formula")), "")
    request = PublicationRequest(
        manifest=manifest,
        formula=(folder / formula).read_text(encoding="utf-8") if formula else "",
        notes=publication.changelog_section(
            options.read_text(arguments["changelog"] or options.ROOT / "CHANGELOG.md"), release.product.version
        ),
        commit=ci_environment.commit(),
        targets=tuple(map(str, options.read_targets(arguments["targets"] or [options.ALL], manifest.targets))),
        versions=_versions(release, folder),
        checksums=_read_checksums(folder),
        tag=ci_environment.tag(),
        branch=arguments["tap_branch"],
        pull_request=arguments["pull_request"],
        not_run=arguments["not_run"],
    )
    return publication.plan_publication(release, files, request)


def _describe(folder: Path, name: str) -> Artefact:
    path = folder / name
    return Artefact("description", name, path.stat().st_size, digest.sha256_of(path))


def _read_checksums(folder: Path) -> str:
    return (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace")


def _versions(release: Release, folder: Path) -> dict[str, str]:
    """Return each bottle's version by its sha256: from its program if it runs here, else from its index."""
    host = str(this_platform())
    name, version, versions = release.product.name, release.product.version, {}
    for bottle in release.of_kind("bottle"):
        path = folder / bottle.name
        if bottle.target == host:
            with tempfile.TemporaryDirectory() as scratch:
                env = {"HOME": scratch, "PATH": "/usr/bin:/bin"}
                versions[bottle.sha256] = query_version(path, name, version, scratch=Path(scratch), env=env)
        else:
            versions[bottle.sha256] = read_version(path, name, version)
    return versions


def _abandon(manifest: Manifest, arguments: Mapping[str, Any]) -> None:
    product = manifest.product
    github = GitHub(ci_environment.access(), product.repository)
    tag, marker = release_tag(product.version), publication.draft_marker(product, "")
    removed = abandon_draft(tag, marker, github, dry_run=arguments["dry_run"])
    verb = "would be removed" if arguments["dry_run"] else "removed"
    lines = [f"{verb}: {address}" for address in removed] or [f"there is no draft of ours for {tag}"]
    _show(arguments, {"tag": tag, "removed": removed}, lines)


@click.command("fetch-draft")
@click.argument("folder", type=options.FOLDER)
@options.manifest_option
@options.json_option
def fetch_draft_command(**arguments: Any) -> None:
    """Fetch the files of our draft into FOLDER, to verify them before it is published."""
    product, folder = load_manifest(arguments["manifest"]).product, arguments["folder"]
    release = fetch_draft(
        product, folder, GitHub(ci_environment.access(), product.repository), report=output.print_progress
    )
    _show(arguments, asdict(release), [f"{artefact.sha256}  {artefact.name}" for artefact in release.artefacts])


@click.command("published")
@click.argument("folder", type=options.FOLDER)
@click.option(
    "--keg", type=options.RELEASE_FOLDER, help="Also compare an installation: the output of `brew --prefix stigmer`."
)
@_branch_option
@options.manifest_option
@options.json_option
def compare_command(**arguments: Any) -> None:
    """Fetch the published release into FOLDER and compare its bytes with formula, checksums, attestations and SBOMs."""
    product, folder = load_manifest(arguments["manifest"]).product, arguments["folder"]
    github = GitHub(ci_environment.access(), product.repository)
    release = fetch_draft(product, folder, github, report=output.print_progress)
    with open_tap(product.repository, product.tap_repository, arguments["tap_branch"]) as opened:
        formula = opened.read(github.retry(opened.head), publication.formula_path(product.name)) or ""
    attested = {one.sha256: github.retry(github.attestations, one.sha256) for one in release.artefacts}
    statements = compare_published(Published(folder, release, formula, attested), arguments["keg"])
    _show(arguments, [asdict(one) for one in statements], output.describe_statements(statements))
    if not all(one.agrees for one in statements):
        remedy = 'compare the lines above that begin with "no"'
        raise VerificationError("published files differ from their description", remedy)


@click.command("rollback")
@click.argument("version")
@options.manifest_option
@_branch_option
@_pull_request_option
@_dry_run_option
@options.json_option
def rollback_command(**arguments: Any) -> None:
    """Withdraw VERSION: the tap gets the formula it had before."""
    product = load_manifest(arguments["manifest"]).product
    tap = product.tap_repository
    version = arguments["version"].removeprefix("v")
    proposal = f"{product.name}-without-{version}" if arguments["pull_request"] else ""
    path = publication.formula_path(product.name)
    empty = publication.TapChange(tap, arguments["tap_branch"], path, text="", message="", proposal=proposal)
    with open_tap(product.repository, tap, empty.branch) as opened:
        plan = plan_rollback(product.name, version, empty, read_history(opened, path))
        if arguments["dry_run"]:
            line = f"{tap}: {plan.change.path} from {plan.withdrawn} back to {plan.restored}"
            _show(arguments, asdict(plan), [line, *(f"  {file.sha256}  {file.url}" for file in plan.downloads)])
            return
        commit, request = roll_back(plan, opened, report=output.print_progress)
    result = {"tap": tap, "restored": plan.restored, "tap_commit": commit, "pull_request": request}
    _show(arguments, result, [f"{tap} serves {product.name} {plan.restored}: {request or commit}"])


@click.command("report")
@click.argument("what", type=options.RELEASE_FOLDER, required=False, metavar="[FOLDER]")
@click.option("--previous", type=options.FILE, help="The release.json of the release to compare sizes with.")
def report_command(what: Path | None, previous: Path | None) -> None:
    """Write a page about a release's folder, report.html; default: the one in dist/."""
    earlier = parse_release(previous.read_bytes()) if previous else None
    sys.stdout.write(f"{write_report(what or options.ROOT / 'dist', earlier)}\n")


def _show(arguments: Mapping[str, Any], value: Any, lines: list[str]) -> None:
    text = json.dumps(value, indent=2, sort_keys=True) if arguments["as_json"] else "\n".join(lines)
    sys.stdout.write(text + "\n")


COMMANDS = (publish_command, fetch_draft_command, compare_command, rollback_command, report_command)
