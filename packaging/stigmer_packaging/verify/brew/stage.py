"""Verifies the release in a folder with a real Homebrew: level `brew`."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.lib.loopback import serving
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.records.release import Release, read_release
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew.client import Brew, brew_environment
from stigmer_packaging.verify.brew.local_tap import make_local_tap
from stigmer_packaging.verify.brew.trial import BrewTrial, Offer, run_brew_trial
from stigmer_packaging.verify.junit import write_results

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
    """Try the release in the first folder with brew; a second folder contains the release to upgrade to.

    `ports` are the launcher's names of ports, `clock` returns seconds. The record is `verify/brew/TARGET` of the bottle
    that brew poured, with the checks as JUnit XML beside it. Raise RecordError if a folder is not a complete release,
    VerificationError if brew has the formula or its tap already.
    """
    releases = [read_release(folder) for folder in folders]
    product = releases[0].product
    if len({release.product.version for release in releases}) < len(releases):
        raise RecordError(f"both releases are {product.version}: there is nothing to upgrade to")
    with workspace.staging() as staging, contextlib.ExitStack() as served:
        now, *later = (
            _offer(release, folder, served.enter_context(serving(folder)))
            for release, folder in zip(releases, folders, strict=True)
        )
        home = staging.absolute() / "home"
        home.mkdir()
        brew = Brew(program, brew_environment(env, home))
        tap = make_local_tap(tap_name(product), staging.absolute() / "tap", brew.env)
        prefix, cellar = (Path(brew.ask(question)) for question in ("--prefix", "--cellar"))
        upgrade = later[0] if later else None
        trial = BrewTrial(brew, tap, product.name, now, upgrade, ports, home, prefix, cellar / product.name)
        version = brew.run("--version").partition("\n")[0]
        checks = run_brew_trial(trial, clock=clock, report=report)
    target, sha256 = _poured(releases[0], [check.detail for check in checks])
    result = VerificationReport(LEVEL, version, sha256, checks, ended=True)
    write_results(f"verify/{LEVEL}/{target}", result, workspace)
    return result


def _offer(release: Release, folder: Path, url: str) -> Offer:
    """Return the offer of a release whose folder is served at `url`."""
    names = tuple(artefact.name for artefact in release.of_kind("bottle"))
    formulae = release.of_kind("formula")
    if not names or len(formulae) != 1:
        raise RecordError(f"{folder} does not contain a release with bottles and one formula")
    return Offer(release.product.version, (folder / formulae[0].name).read_text(encoding="utf-8"), url, names)


def _poured(release: Release, details: Sequence[str]) -> tuple[str, str]:
    """Return target and sha256 of the bottle that brew poured; `none` and an empty string if it poured none."""
    words = " ".join(details).split()
    return next(((each.target, each.sha256) for each in release.of_kind("bottle") if each.name in words), ("none", ""))
