"""What a user does with brew, step by step, each held to what brew says and to what is on disk afterwards.

The documented command, with the tap on GitHub answered by a local one and the bottles by loopback; then the formula's
own test, an upgrade under a running server, reinstall and uninstall; and two releases that brew must refuse.
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
from stigmer_packaging.verify.brew.local_tap import LocalTap, with_root_url

_SHA256 = re.compile(r'"[0-9a-f]{64}"$', re.MULTILINE)
_LINKED = ("Cellar", "bin", "etc", "lib", "opt", "sbin", "share")
"""Where in the prefix brew puts what belongs to a formula."""


class Offer(NamedTuple):
    """One release as the tap offers it: its version, its formula's text, and its bottles below `url`, by file name."""

    version: str
    formula: str
    url: str
    bottles: tuple[str, ...]


class BrewTrial(NamedTuple):
    """The formula `name` of a tap, put to the trial with a brew that does not have it yet; `later` is a newer release.

    `ports` are the launcher's names of ports; `home` is the user's; `prefix` is where brew links what it pours, `cellar`
    the folder of the formula's kegs.
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
        """The formula's full name, the one that is documented."""
        return f"{self.tap.name}/{self.name}"

    @property
    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """Give the steps in their order: what each shows, and what does it."""
        upgrade = (
            ("brew upgrade pours the next release while a server runs", self._upgrade),
            ("the next start is the next release's, and works", self._go_on),
            ("brew test passes after the upgrade", self._test),
        )
        return (
            ("brew reads the tap without a warning", self._read_tap),
            ("brew style finds nothing in the formula", self._style),
            ("brew audit --strict finds nothing in the formula", self._audit),
            ("the documented command pours the bottle", self._install),
            ("what was poured is what was released", self._compare),
            ("brew linkage --test finds nothing", self._linkage),
            ("brew test passes", self._test),
            ("brew has a unit for the service", self._see_service),
            *(upgrade if self.later else ()),
            ("brew reinstall pours again", self._reinstall),
            ("brew uninstall leaves the user's data and nothing else", self._uninstall),
            ("a bottle with another checksum is refused", self._refuse_other_bytes),
            ("a bottle that is not there is refused", self._refuse_missing),
        )

    def clean_up(self) -> None:
        """Leave brew as it was, whatever became of the steps."""
        with contextlib.suppress(PackagingError, OSError):
            self._launcher("server", "stop")
        self.brew.attempt("uninstall", "--force", self.full)
        self.brew.attempt("untap", self.tap.name)

    def _read_tap(self) -> str:
        self.tap.publish(self.name, self.now.formula)
        said = self.brew.run("tap", self.tap.name, str(self.tap.folder))
        said += self.brew.run("readall", "--aliases", self.tap.name)
        _demand("Tapped 1 formula" in said and "Warning" not in said, said)
        return said.strip().splitlines()[-1]

    def _style(self) -> str:
        said = self.brew.run("style", self.full)
        _demand("no offenses detected" in said, said)
        return said.strip().splitlines()[-1]

    def _audit(self) -> str:
        said = self.brew.run("audit", "--strict", "--formula", self.full)
        _demand("problem" not in said, said)
        return ""

    def _install(self) -> str:
        """Give the one documented command on a machine that knows neither tap nor formula."""
        self.brew.run("untap", self.tap.name)
        self._publish(self.now)
        said = self.brew.run("install", self.full)
        _demand(f"Tapping {self.tap.name}" in said, said)
        return self._poured(said, self.now)

    def _compare(self) -> str:
        """Hold what is installed to the checksums in it; a brew that rewrites programs says how many it rewrote."""
        keg = self.cellar / self.now.version
        sums = digest.parse_sums((keg / "libexec" / "SHA256SUMS").read_text(encoding="utf-8"))
        changed = [path for path, sha256 in sums.items() if digest.sha256_of(keg / path) != sha256]
        version = homebrew.parse_version(self.brew.run("--version"))
        _demand(not changed or version < homebrew.KEEPS_FILES, "changed: " + " ".join(changed))
        return f"{len(sums)} files" + (f", {len(changed)} rewritten by this old Homebrew" if changed else "")

    def _linkage(self) -> str:
        """Have brew look for libraries that are missing, or the system's where they should be ours."""
        said = self.brew.run("linkage", "--test", self.full).strip()
        _demand(not said, said)
        return ""

    def _test(self) -> str:
        said = self.brew.run("test", self.full, seconds=900)
        _demand(said.count("==> ") > 1, said)
        return ""

    def _see_service(self) -> str:
        """Look at the unit that `brew services start` would take."""
        units = sorted((self.cellar / self.now.version).glob("homebrew.*"))
        _demand(units, "brew wrote no unit into the keg")
        for unit in units:
            text = unit.read_text(encoding="utf-8")
            _demand(f"opt/{self.name}/bin/{self.name}" in text and "--foreground" in text, text)
        return " ".join(unit.name for unit in units)

    def _upgrade(self) -> str:
        """Upgrade while a server of the release before runs; the old keg goes, the server stays."""
        now, later = self.now, self._newest
        self._start()
        self._publish(later)
        command.run(["git", "-C", self.brew.ask("--repository", self.tap.name), "pull", "--quiet"], env=self.tap.env)
        outdated = homebrew.parse_outdated(self.brew.run("outdated", "--formula", "--verbose"))
        _demand((self.full, now.version, later.version) in outdated, str(outdated))
        poured = self._poured(self.brew.run("upgrade", self.full), later)
        _demand([keg.name for keg in self.cellar.iterdir()] == [later.version], "the old keg is still there")
        _demand(self._status()["state"] == "running", "the server did not outlive the upgrade")
        return poured

    def _go_on(self) -> str:
        """Stop what runs, start what is installed, and call through all of it."""
        before = self._status()["version"]
        self._launcher("server", "stop")
        self._start()
        after = self._status()["version"]
        _demand(after == self._newest.version, f"after the restart, {after} runs")
        said = self._launcher("smoke")
        self._launcher("server", "stop")
        return f"{before}, then {after}: {said.strip()}"

    def _reinstall(self) -> str:
        return self._poured(self.brew.run("reinstall", self.full), self._newest)

    def _uninstall(self) -> str:
        self.brew.run("uninstall", self.full)
        left = [str(path) for folder in _LINKED for path in (self.prefix / folder).rglob(f"*{self.name}*")]
        _demand(not left, "left: " + " ".join(left))
        data = self.home / f".{self.name}"
        _demand(not self.later or any(data.rglob("*.db")), f"the data in {data} are gone")
        return "nothing left in the prefix" + (", the data are there" if self.later else "")

    def _refuse_other_bytes(self) -> str:
        formula = _SHA256.sub(f'"{"0" * 64}"', self.now.formula)
        return self._refused(self.now._replace(formula=formula), "different checksum")

    def _refuse_missing(self) -> str:
        return self._refused(self.now._replace(url=f"{self.now.url}/absent"), "failed to download")

    def _refused(self, offer: Offer, reason: str) -> str:
        """See a release refused; nothing is built in its place."""
        self._publish(offer)
        self.brew.attempt("untap", self.tap.name)
        shutil.rmtree(Path(self.brew.env["HOMEBREW_CACHE"]) / "downloads", ignore_errors=True)
        done = self.brew.attempt("install", self.full)
        said = done.stdout + done.stderr
        _demand(done.code != 0 and reason in said.lower() and not homebrew.parse_pours(said), said)
        _demand(not self.cellar.exists(), f"{self.cellar} is there")
        return next(line for line in said.splitlines() if reason in line.lower()).strip()

    def _poured(self, said: str, offer: Offer) -> str:
        """Demand that brew poured one of the offer's bottles, and that this is all it has installed."""
        poured = homebrew.parse_pours(said)
        _demand(len(poured) == 1 and poured[0] in offer.bottles, said)
        installed = homebrew.parse_installed(self.brew.run("info", "--json=v2", self.full))
        _demand(installed == ((offer.version, True),), f"installed: {installed}")
        return f"Pouring {poured[0]}"

    @property
    def _newest(self) -> Offer:
        return self.later or self.now

    def _publish(self, offer: Offer) -> None:
        self.tap.publish(self.name, with_root_url(offer.formula, offer.url))

    def _launcher(self, *words: str) -> str:
        path = f"{self.prefix}/bin:{self.brew.env.get('PATH', os.defpath)}"
        done = command.run([self.prefix / "bin" / self.name, *words], env={**self.brew.env, "PATH": path}, seconds=300)
        return done.stdout

    def _start(self) -> None:
        self._launcher("server", *(word for port in self.ports for word in ("--port", f"{port}={free_port()}")))

    def _status(self) -> Mapping[str, object]:
        status: dict[str, object] = json.loads(self._launcher("server", "status", "--json"))
        return status


def _demand(holds: object, said: str) -> None:
    if not holds:
        raise VerificationError(said)


def try_with_brew(trial: BrewTrial, *, clock: Callable[[], float], report: Callable[[str], None]) -> tuple[Check, ...]:
    """Carry out every step, whatever became of those before it, and leave brew as it was.

    Raise VerificationError where brew has the tap or the formula already: somebody's own installation stays as it is.
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
