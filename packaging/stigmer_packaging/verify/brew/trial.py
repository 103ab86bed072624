"""What a user does with brew, step by step; each step checks brew's output and the files on disk.

The documented command runs with a local tap instead of the one on GitHub, and with bottles served on localhost. Then
follow the formula's own test, an upgrade under a running server, reinstall and uninstall, and two releases that brew
must refuse.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import PackagingError, VerificationError
from stigmer_packaging.lib.loopback import free_port
from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.brew import client as homebrew
from stigmer_packaging.verify.brew.client import Brew
from stigmer_packaging.verify.brew.local_tap import LocalTap, replace_root_url

_SHA256 = re.compile(r'"[0-9a-f]{64}"$', re.MULTILINE)
_LINKED = ("Cellar", "bin", "etc", "lib", "opt", "sbin", "share")
"""The folders of the prefix in which brew puts the files of a formula."""


class Offer(NamedTuple):
    """A release in the tap: its version, its formula's text, the `url` of its bottles, and their file names."""

    version: str
    formula: str
    url: str
    bottles: tuple[str, ...]


class BrewTrial(NamedTuple):
    """The trial of the formula `name` of a tap with a brew that does not have it yet; `later` is a newer release.

    `ports` are the launcher's names of ports; `home` is the user's; `prefix` is where brew links what it pours,
    `cellar` the folder of the formula's kegs.
    """

    brew: Brew
    tap: LocalTap
    name: str
    now: Offer
    later: Offer | None
    ports: tuple[str, ...]
    home: Path
    prefix: Path
    cellar: Path

    @property
    def full(self) -> str:
        """The formula's full name, as documented for users."""
        return f"{self.tap.name}/{self.name}"

    @property
    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """The steps in their order: the name of the check, and the function that runs it."""
        upgrade = (
            ("brew upgrade pours the next release while a server runs", self._upgrade),
            ("after a restart the next release runs and works", self._restart),
            ("brew test passes after the upgrade", self._test),
        )
        return (
            ("brew reads the tap without a warning", self._read_tap),
            ("brew style finds nothing in the formula", self._style),
            ("brew audit --strict finds nothing in the formula", self._audit),
            ("the documented command pours the bottle", self._install),
            ("the poured files are those of the release", self._compare),
            ("brew linkage --test finds nothing", self._linkage),
            ("brew test passes", self._test),
            ("brew has a unit for the service", self._check_service),
            *(upgrade if self.later else ()),
            ("brew reinstall pours again", self._reinstall),
            ("brew uninstall leaves the user's data and nothing else", self._uninstall),
            ("a bottle with another checksum is refused", self._refuse_other_bytes),
            ("a missing bottle is refused", self._refuse_missing),
        )

    def clean_up(self) -> None:
        """Restore brew's original state, even after failed steps."""
        with contextlib.suppress(PackagingError, OSError):
            self._launcher("server", "stop")
        self.brew.attempt("uninstall", "--force", self.full)
        self.brew.attempt("untap", self.tap.name)

    def _read_tap(self) -> str:
        """Trust the tap first: brew 7 skips all formulae of one that is not trusted, and brew 5 knows no trust."""
        self.tap.publish(self.name, self.now.formula)
        self.brew.attempt("trust", self.tap.name)
        output = self.brew.run("tap", self.tap.name)
        output += self.brew.run("readall", "--aliases", self.tap.name)
        _require("Tapped 1 formula" in output and "Warning" not in output, output)
        return output.strip().splitlines()[-1]

    def _style(self) -> str:
        output = self.brew.run("style", self.full)
        _require("no offenses detected" in output, output)
        return output.strip().splitlines()[-1]

    def _audit(self) -> str:
        output = self.brew.run("audit", "--strict", "--formula", self.full)
        _require("problem" not in output, output)
        return ""

    def _install(self) -> str:
        """Run the documented command on a machine with neither the tap nor the formula, nor trust in them."""
        self.brew.run("untap", self.tap.name)
        self.brew.attempt("untrust", self.tap.name)
        self._publish(self.now)
        output = self.brew.run("install", self.full)
        _require(f"Tapping {self.tap.name}" in output, output)
        return self._require_pour(output, self.now)

    def _compare(self) -> str:
        """Compare the installed files with the checksums in the keg; an old brew may rewrite programs."""
        keg = self.cellar / self.now.version
        sums = digest.parse_sums((keg / "libexec" / "SHA256SUMS").read_text(encoding="utf-8"))
        changed = [path for path, sha256 in sums.items() if digest.sha256_of(keg / path) != sha256]
        version = homebrew.parse_version(self.brew.run("--version"))
        _require(not changed or version < homebrew.KEEPS_FILES, "changed: " + " ".join(changed))
        return f"{len(sums)} files" + (f", {len(changed)} rewritten by this old Homebrew" if changed else "")

    def _linkage(self) -> str:
        """Check that brew finds no missing libraries, and no system libraries in place of ours."""
        output = self.brew.run("linkage", "--test", self.full).strip()
        _require(not output, output)
        return ""

    def _test(self) -> str:
        output = self.brew.run("test", self.full, seconds=900)
        _require(output.count("==> ") > 1, output)
        return ""

    def _check_service(self) -> str:
        """Check the unit that `brew services start` would use."""
        units = sorted((self.cellar / self.now.version).glob("homebrew.*"))
        _require(units, "brew wrote no unit into the keg")
        for unit in units:
            text = unit.read_text(encoding="utf-8")
            _require(f"opt/{self.name}/bin/{self.name}" in text and "--foreground" in text, text)
        return " ".join(unit.name for unit in units)

    def _upgrade(self) -> str:
        """Upgrade while the previous release's server runs; the old keg is removed, the server keeps running."""
        now, later = self.now, self._newest
        self._start()
        self._publish(later)
        command.run(["git", "-C", self.brew.ask("--repository", self.tap.name), "pull", "--quiet"], env=self.tap.env)
        outdated = homebrew.parse_outdated(self.brew.run("outdated", "--formula", "--verbose"))
        _require((self.full, now.version, later.version) in outdated, str(outdated))
        poured = self._require_pour(self.brew.run("upgrade", self.full), later)
        _require([keg.name for keg in self.cellar.iterdir()] == [later.version], "the old keg is still there")
        _require(self._status()["state"] == "running", "the server did not survive the upgrade")
        return poured

    def _restart(self) -> str:
        """Stop the running server, start the installed one, and run its smoke test."""
        before = self._status()["version"]
        self._launcher("server", "stop")
        self._start()
        after = self._status()["version"]
        _require(after == self._newest.version, f"after the restart, {after} runs")
        output = self._launcher("smoke")
        self._launcher("server", "stop")
        return f"{before}, then {after}: {output.strip()}"

    def _reinstall(self) -> str:
        return self._require_pour(self.brew.run("reinstall", self.full), self._newest)

    def _uninstall(self) -> str:
        self.brew.run("uninstall", self.full)
        leftovers = [str(path) for folder in _LINKED for path in (self.prefix / folder).rglob(f"*{self.name}*")]
        _require(not leftovers, "leftovers: " + " ".join(leftovers))
        data = self.home / f".{self.name}"
        _require(not self.later or any(data.rglob("*.db")), f"the data in {data} is gone")
        return "nothing left in the prefix" + (", the data is kept" if self.later else "")

    def _refuse_other_bytes(self) -> str:
        formula = _SHA256.sub(f'"{"0" * 64}"', self.now.formula)
        return self._require_refusal(self.now._replace(formula=formula), "different checksum")

    def _refuse_missing(self) -> str:
        return self._require_refusal(self.now._replace(url=f"{self.now.url}/absent"), "failed to download")

    def _require_refusal(self, offer: Offer, reason: str) -> str:
        """Check that brew refuses a release, and does not build it instead."""
        self._publish(offer)
        self.brew.attempt("untap", self.tap.name)
        shutil.rmtree(Path(self.brew.env["HOMEBREW_CACHE"]) / "downloads", ignore_errors=True)
        result = self.brew.attempt("install", self.full)
        output = result.stdout + result.stderr
        _require(result.code != 0 and reason in output.lower() and not homebrew.parse_pours(output), output)
        _require(not self.cellar.exists(), f"{self.cellar} exists")
        return next(line for line in output.splitlines() if reason in line.lower()).strip()

    def _require_pour(self, output: str, offer: Offer) -> str:
        """Check that brew poured a bottle of the offer, and installed no other version; return what it poured."""
        poured = homebrew.parse_pours(output)
        _require(len(poured) == 1 and poured[0] in offer.bottles, output)
        installed = homebrew.parse_installed(self.brew.run("info", "--json=v2", self.full))
        _require(installed == ((offer.version, True),), f"installed: {installed}")
        return f"Pouring {poured[0]}"

    @property
    def _newest(self) -> Offer:
        return self.later or self.now

    def _publish(self, offer: Offer) -> None:
        self.tap.publish(self.name, replace_root_url(offer.formula, offer.url))

    def _launcher(self, *arguments: str) -> str:
        path = f"{self.prefix}/bin:{self.brew.env.get('PATH', os.defpath)}"
        result = command.run(
            [self.prefix / "bin" / self.name, *arguments], env={**self.brew.env, "PATH": path}, seconds=300
        )
        return result.stdout

    def _start(self) -> None:
        self._launcher("server", *(word for port in self.ports for word in ("--port", f"{port}={free_port()}")))

    def _status(self) -> Mapping[str, object]:
        status: dict[str, object] = json.loads(self._launcher("server", "status", "--json"))
        return status


def _require(holds: object, message: str) -> None:
    if not holds:
        raise VerificationError(message)


def run_brew_trial(trial: BrewTrial, *, clock: Callable[[], float], report: Callable[[str], None]) -> tuple[Check, ...]:
    """Run every step, even after failures, and restore brew's original state.

    Raise VerificationError if brew already has the tap or the formula: the user's own installation is not touched.
    """
    if trial.cellar.exists() or trial.tap.name in trial.brew.run("tap").split():
        remedy = "run it where brew has neither, such as a hosted runner"
        raise VerificationError(f"this brew has {trial.full} or its tap already", remedy)
    checks = []
    try:
        for name, step in trial.steps:
            report(name)
            start = clock()
            try:
                detail, passed = step(), True
            except (PackagingError, OSError, ValueError) as error:
                detail, passed = str(error), False
            checks.append(Check(name, passed, round(clock() - start, 2), detail))
    finally:
        trial.clean_up()
    return tuple(checks)
