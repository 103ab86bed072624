"""Verify a release with a real Homebrew, from the folder it is delivered in: level `brew`."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.lib.loopback import serving
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.records.release import Release, read_release
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew import client as brew
from stigmer_packaging.verify.brew import trial as brew_trial
from stigmer_packaging.verify.brew.local_tap import make_local_tap
from stigmer_packaging.verify.junit import render_junit

LEVEL = "brew"


def verify_with_brew(
    folders: Sequence[Path],
    program: Path,
    *,
    ports: tuple[str, ...],
    env: Mapping[str, str],
    workspace: Workspace,
    clock: Callable[[], float],
    report: Callable[[str], None],
) -> VerificationReport:
    """Put the release in the first folder to the trial with brew; a second folder holds the one to upgrade to.

    `ports` are the launcher's names of ports, `clock` gives seconds. The record is `verify/brew/TARGET` of the bottle
    that brew poured, with the checks as JUnit XML beside it. Raise RecordError when a folder is no whole release,
    VerificationError where brew has the formula or its tap already.
    """
    releases = [read_release(folder) for folder in folders]
    with workspace.staging() as scratch, serving(scratch) as url:
        (scratch / "home").mkdir()
        given = brew.brew_environment(env, scratch.absolute() / "home")
        driven = brew.Brew(program, given)
        offers = [_offer(release, folder, scratch, url) for release, folder in zip(releases, folders, strict=True)]
        product = releases[0].product
        tap = make_local_tap(tap_name(product), scratch.absolute() / "tap", given)
        later = offers[1] if offers[1:] else None
        places = Path(driven.ask("--prefix")), Path(driven.ask("--cellar")) / product.name
        home = scratch.absolute() / "home"
        trial = brew_trial.BrewTrial(driven, tap, product.name, offers[0], later, ports, home, *places)
        version = driven.run("--version").partition("\n")[0]
        checks = brew_trial.try_with_brew(trial, clock=clock, report=report)
    poured = _poured(releases[0], [check.detail for check in checks])
    result = VerificationReport(LEVEL, version, poured[1], checks, ended=True)
    name = f"verify/{LEVEL}/{poured[0]}"
    workspace.write_record(name, result)
    with workspace.staging() as staged:
        (staged / "text").write_text(render_junit(result), encoding="utf-8")
        workspace.publish(staged / "text", f"{name}.xml")
    return result


def _offer(release: Release, folder: Path, scratch: Path, url: str) -> brew_trial.Offer:
    """Lay out a release's bottles below `scratch`, where they are served."""
    version = release.product.version
    place = scratch / "files" / version
    if place.exists():
        raise RecordError(f"both releases are {version}: there is nothing to upgrade to")
    place.mkdir(parents=True)
    names = tuple(artefact.name for artefact in release.of_kind("bottle"))
    formulae = release.of_kind("formula")
    if not names or len(formulae) != 1:
        raise RecordError(f"{folder} holds no release with bottles and one formula")
    for name in names:
        shutil.copyfile(folder / name, place / name)
    formula = (folder / formulae[0].name).read_text(encoding="utf-8")
    return brew_trial.Offer(version, formula, f"{url}/files/{version}", names)


def _poured(release: Release, details: Sequence[str]) -> tuple[str, str]:
    """Give target and sha256 of the bottle that brew poured; empty when it poured none."""
    said = " ".join(details).split()
    return next(((each.target, each.sha256) for each in release.of_kind("bottle") if each.name in said), ("none", ""))
