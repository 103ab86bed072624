"""The command `verify`: tests a bottle of a release, or any bottle file, on machines without Python."""

import json
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from stigmer_packaging.cli import output
from stigmer_packaging.cli.machine import cache_folder, this_machine, this_platform
from stigmer_packaging.cli.options import FOLDER, MANIFEST, ROOT, json_option, workspace_option
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import MissingToolError, RecordError
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import parse_bottle_name
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline import system
from stigmer_packaging.pipeline.delivery import add_verifications, deliver_verifications
from stigmer_packaging.pipeline.plan import STAGES
from stigmer_packaging.pipeline.stages import refuse_failure
from stigmer_packaging.publish.report.stage import write_report
from stigmer_packaging.records.model import ReleaseFile, VerificationReport
from stigmer_packaging.records.release import NAME, read_release
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew.stage import LEVEL as BREW
from stigmer_packaging.verify.brew.stage import verify_with_brew
from stigmer_packaging.verify.guest import Machine, Task
from stigmer_packaging.verify.guest_report import read_mac_report
from stigmer_packaging.verify.machines import GUESTS, LEVELS, NOT_GATING, MachineFactory, find_mirrors
from stigmer_packaging.verify.macos import this_mac
from stigmer_packaging.verify.stage import current_report, import_report, verify_bottle

_SECONDS = {"sandbox": 300.0, "vm": 900.0, "macos": 600.0}
Reports = Iterator[tuple[str, VerificationReport]]
"""Reports as they arrive, each with the name of its record."""

SERVICE = "service"
"""The level `vm` with systemd, in the names of records."""


@dataclass(frozen=True)
class VerifyOptions:
    """The options of the command line."""

    what: Path | None
    level: str | None
    guests: tuple[str, ...]
    machine: str
    later: Path | None
    mirrors: tuple[str, ...]
    workspace: Path | None
    seconds: float | None
    init: str
    reports: tuple[Path, ...]
    as_json: bool


@click.command("verify", help=STAGES["verify"])
@click.argument("what", type=click.Path(exists=True, path_type=Path), required=False, metavar="[BOTTLE|FOLDER]")
@click.option("--level", type=click.Choice(LEVELS), help="Default: macos on a Mac, else sandbox.")
@click.option("--guest", "guests", multiple=True, metavar="'DISTRIBUTION SUITE'", help="Instead of the level's.")
@click.option("--machine", type=click.Choice(["sandbox", "vm"]), default="sandbox", help="For the matrix.")
@click.option("--mirror", "mirrors", multiple=True, metavar="DISTRIBUTION=URL", help="Instead of this machine's.")
@click.option("--next", "later", type=FOLDER, help="With brew: the folder of a later release to upgrade to.")
@workspace_option
@click.option("--seconds", type=float, help="The deadline of each guest.")
@click.option(
    "--init", type=click.Choice(["none", "systemd"]), default="none", help="With vm and systemd: test the service."
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Add a report of scripts/check-on-mac on the release in FOLDER, or the verifications of a copy of it "
    "on another machine: the folder with its release.json; may be repeated.",
)
@json_option
def verify_command(**values: Any) -> None:
    """Verify a bottle and print the reports."""
    options, host = VerifyOptions(**values), this_platform()
    workspace = Workspace((options.workspace or ROOT / "build").absolute(), cache_folder())
    what = options.what or ROOT / "dist"
    is_release = what.is_dir() and options.level != BREW
    reports: list[tuple[str, VerificationReport]] = []
    with workspace.locked("verify"):
        if options.level == BREW:
            verified = verify_release_with_brew(what, options.later, workspace)
        elif options.reports:
            verified = _import_reports(options.reports, what, workspace)
        else:
            verified = _verify_on_machines(options, what, host, workspace)
        for name, report in verified:
            reports.append((name, report))
            if is_release:
                deliver_verifications({name: report}, workspace, what)
            if not options.as_json:
                output.stdout().print(output.verdict(report), output.timeline_table(report), "")
        if is_release:
            write_report(what)
    if options.as_json:
        records = read_release(what).artefacts if options.reports else [report for _, report in reports]
        sys.stdout.write(json.dumps([asdict(one) for one in records], indent=2) + "\n")
    _refuse(reports, workspace)


def _verify_on_machines(options: VerifyOptions, what: Path, host: Target, workspace: Workspace) -> Reports:
    bottle = find_bottle(what, host, load_manifest(MANIFEST), workspace.root)
    level = options.level or ("macos" if host.system == "darwin" else "sandbox")
    if level != "macos":
        _provide(level, options.machine)
    with_programs = what.is_dir() and level == "sandbox" and not options.guests
    programs = [*_files(what, "program", host, workspace.root)] if with_programs else []
    factory = MachineFactory(host, os.cpu_count() or 1, workspace.cache, {}, output.print_progress)
    for machine, bottles_name in _machines(level, options, factory, bottle):
        runs: list[tuple[ReleaseFile, str]] = [(bottle, bottles_name)]
        runs += [(program, f"verify/program/{program.target}") for program in programs]
        for product, name in runs:
            script = ROOT / "scripts" / "verify-install"
            task = Task(script, secrets.token_hex(16), options.seconds or _SECONDS[machine.level])
            current = current_report(product, machine, task, workspace, name)
            if not current:
                output.print_progress(f"verifying {Path(product.path).name} on {machine.name}")
            yield name, current or verify_bottle(product, machine, task, workspace=workspace, name=name)


def _import_reports(paths: Sequence[Path], folder: Path, workspace: Workspace) -> Reports:
    """Add reports of other machines to a folder's release, and yield those of Macs."""
    if not folder.is_dir():
        raise click.UsageError("--report needs the folder of a release")
    for path in paths:
        if path.is_dir():
            add_verifications(path, folder)
        else:
            yield from import_report(read_mac_report(path), read_release(folder), workspace).items()


def verify_release_with_brew(release: Path, later: Path | None, workspace: Workspace) -> Reports:
    """Verify the release in a folder with the brew on PATH, and the upgrade to the release in `later`.

    MissingToolError without brew, RecordError if either folder does not have a complete release.
    """
    program = shutil.which("brew")
    if program is None:
        raise MissingToolError("there is no brew on PATH", "install Homebrew, as a user other than root")
    if not release.is_dir():
        raise RecordError(f"{release} is not a folder", "with brew, name the folder a release was delivered to")
    manifest = load_manifest(MANIFEST)
    report = verify_with_brew(
        [release, *([later] if later else [])],
        Path(program),
        ports=tuple(name for part in manifest.components for name in part.run.ports),
        env=os.environ,
        workspace=workspace,
        clock=time.monotonic,
        report=output.print_progress,
    )
    yield f"verify/{BREW}", report


def find_bottle(what: Path, host: Target, manifest: Manifest, workspace: Path) -> ReleaseFile:
    """Return a release folder's bottle for this machine, or that in a file; RecordError if there is none."""
    if what.is_dir():
        for bottle in _files(what, "bottle", host, workspace):
            return bottle
        raise RecordError(f"{what / NAME} has no bottle for {host}", "name a bottle's file")
    found = parse_bottle_name(what.name)
    targets = {manifest.tag_of(target): str(target) for target in manifest.known_targets()}
    if not found or found.tag not in targets:
        remedy = "rename it to NAME-VERSION.TAG.bottle.tar.gz, the name that brew downloads"
        raise RecordError(f"{what.name} is not the name of one of our bottles", remedy)
    facts = (os.path.relpath(what, workspace), what.stat().st_size, digest.sha256_of(what))
    return ReleaseFile("bottle", found.name, found.version, *facts, targets[found.tag], found.tag, found.rebuild)


def _files(folder: Path, kind: str, host: Target, workspace: Path) -> Iterator[ReleaseFile]:
    release = read_release(folder)
    for one in release.of_kind(kind):
        if one.target == str(host):
            path = os.path.relpath(folder / one.name, workspace)
            facts = (path, one.size, one.sha256, one.target, one.tag, one.rebuild)
            yield ReleaseFile(kind, release.product.name, release.product.version, *facts)


def _machines(
    level: str, options: VerifyOptions, factory: MachineFactory, bottle: ReleaseFile
) -> Iterator[tuple[Machine, str]]:
    target = parse_target(bottle.target)
    if level == "macos":
        major, _, _ = platform.mac_ver()[0].partition(".")
        yield this_mac(f"macOS {major}", str(factory.host)), f"verify/macos/{target}"
        return
    factory = replace(factory, mirrors=find_mirrors(_pairs(options.mirrors)))
    level = SERVICE if options.init == "systemd" and level == "vm" else level
    yield from choose_machines(level, options.guests, options.machine, factory, target)


def choose_machines(
    level: str, guests: Sequence[str], machine: str, factory: MachineFactory, target: Target
) -> Iterator[tuple[Machine, str]]:
    """Yield each machine of a level, created on demand, with the name of its record."""
    kinds: dict[str, Callable[[str, Target], Machine]] = {"sandbox": factory.sandbox, "vm": factory.virtual_machine}
    kinds[SERVICE] = partial(factory.virtual_machine, service=True)
    if level == "matrix":
        for guest in guests or GUESTS:
            yield kinds[machine](guest, target), f"verify/matrix/{target}/{machine}-{guest.replace(' ', '-')}"
        return
    for guest in guests or (factory.default_guest(),):
        name = f"verify/{level}/{target}"
        yield kinds[level](guest, target), f"{name}/{guest.replace(' ', '-')}" if guests else name


def _refuse(reports: Iterable[tuple[str, VerificationReport]], workspace: Workspace) -> None:
    """Raise the error of the first failed report, after printing the guests of the others."""
    failed = [(name, one) for name, one in reports if not (one.passed or one.guest.startswith(NOT_GATING))]
    for _, report in failed[1:]:
        output.print_progress(f"verification failed on {report.guest}, too")
    for name, report in failed:
        refuse_failure(report, str(workspace.path(f"{name}.log")))


def _provide(level: str, kind: str) -> None:
    """Install what the level requires, or raise MissingToolError with what is missing."""
    machine = this_machine()
    stages = ["verify", *(["vm"] if "vm" in {level, kind} else [])]
    system.provide(system.find_missing(stages, machine), machine, env=os.environ, report=output.print_progress)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    if wrong := [text for text in texts if "=" not in text]:
        raise click.BadParameter(f"{wrong[0]} is not DISTRIBUTION=URL", param_hint="--mirror")
    return dict(text.split("=", 1) for text in texts)
