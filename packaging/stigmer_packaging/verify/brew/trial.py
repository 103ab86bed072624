"""What a user does with brew, step by step, each held to what brew says and to what is on disk afterwards.

The documented command, with the tap on GitHub answered by a local one and the bottles by loopback; then the formula's
own test, an upgrade under a running server, reinstall and uninstall; and two releases that brew must refuse.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import PackagingError, VerificationError
from stigmer_packaging.lib.ports import free_port
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

    def read_tap(self) -> str:
        """Tap as given, and have brew read all of it."""
        self.tap.publish(self.name, self.now.formula)
        said = self.brew.run("tap", self.tap.name, str(self.tap.folder))
        said += self.brew.run("readall", "--aliases", self.tap.name)
        _demand("Tapped 1 formula" in said and "Warning" not in said, said)
        return said.strip().rpartition("\n")[2]

    def style(self) -> str:
        """Hold the formula as given to brew's style."""
        said = self.brew.run("style", self.full)
        _demand("no offenses detected" in said, said)
        return said.strip().rpartition("\n")[2]

    def audit(self) -> str:
        """Hold the formula as given to brew's strict audit, which says nothing when it finds nothing."""
        said = self.brew.run("audit", "--strict", "--formula", self.full)
        _demand("problem" not in said, said)
        return ""

    def install(self) -> str:
        """Give the one documented command on a machine that knows neither tap nor formula."""
        self.brew.run("untap", self.tap.name)
        self._publish(self.now)
        said = self.brew.run("install", self.full)
        _demand(f"Tapping {self.tap.name}" in said, said)
        return self._poured(said, self.now)

    def compare(self) -> str:
        """Hold what is installed to the checksums in it; a brew that rewrites programs says how many it rewrote."""
        keg = self.cellar / self.now.version
        lines = (keg / "libexec" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        pairs = [(line[66:], line[:64]) for line in lines]
        changed = [path for path, sha256 in pairs if digest.sha256_of(keg / path) != sha256]
        version = homebrew.parse_version(self.brew.run("--version"))
        _demand(not changed or version < homebrew.KEEPS_FILES, "changed: " + " ".join(changed))
        return f"{len(pairs)} files" + (f", {len(changed)} rewritten by this old Homebrew" if changed else "")

    def linkage(self) -> str:
        """Have brew look for libraries that are missing, or the system's where they should be ours."""
        said = self.brew.run("linkage", "--test", self.full).strip()
        _demand(not said, said)
        return ""

    def test(self) -> str:
        """Run the formula's own test."""
        said = self.brew.run("test", self.full, seconds=900)
        _demand(said.count("==> ") > 1, said)
        return ""

    def see_service(self) -> str:
        """Look at the unit that `brew services start` would take."""
        units = sorted((self.cellar / self.now.version).glob("homebrew.*"))
        _demand(bool(units), "brew wrote no unit into the keg")
        for unit in units:
            text = unit.read_text(encoding="utf-8")
            _demand(f"opt/{self.name}/bin/{self.name}" in text and "--foreground" in text, text)
        return " ".join(unit.name for unit in units)

    def upgrade(self) -> str:
        """Upgrade while a server of the release before runs; the old keg goes, the server stays."""
        later = self._later()
        self._stigmer("server", *(word for port in self.ports for word in ("--port", f"{port}={free_port()}")))
        self._publish(later)
        command.run(["git", "-C", self.brew.ask("--repository", self.tap.name), "pull", "--quiet"], env=self.tap.env)
        outdated = homebrew.parse_outdated(self.brew.run("outdated", "--formula", "--verbose"))
        _demand((self.full, self.now.version, later.version) in outdated, str(outdated))
        poured = self._poured(self.brew.run("upgrade", self.full), later)
        _demand([keg.name for keg in self.cellar.iterdir()] == [later.version], "the old keg is still there")
        _demand(self._status()["state"] == "running", "the server did not outlive the upgrade")
        return poured

    def go_on(self) -> str:
        """Stop what runs, start what is installed, and call through all of it."""
        before = self._status()["version"]
        self._stigmer("server", "stop")
        self._stigmer("server", *(word for port in self.ports for word in ("--port", f"{port}={free_port()}")))
        after = self._status()["version"]
        _demand(after == self._later().version, f"after the restart, {after} runs")
        said = self._stigmer("smoke")
        self._stigmer("server", "stop")
        return f"{before}, then {after}: {said.strip()}"

    def reinstall(self) -> str:
        """Pour the same bottle again."""
        return self._poured(self.brew.run("reinstall", self.full), self.later or self.now)

    def uninstall(self) -> str:
        """Take it away; in the prefix nothing of it stays, and the user's data do."""
        self.brew.run("uninstall", self.full)
        left = [str(path) for folder in _LINKED for path in self._named(self.prefix / folder)]
        _demand(not left, "left: " + " ".join(left))
        data = self.home / f".{self.name}"
        _demand(not self.later or any(data.rglob("*.db")), f"the data in {data} are gone")
        return "nothing left in the prefix" + (", the data are there" if self.later else "")

    def refuse_other_bytes(self) -> str:
        """See a bottle refused that is not what the formula says; nothing is built in its place."""
        return self._refused(_SHA256.sub(f'"{"0" * 64}"', self.now.formula), self.now.url, "different checksum")

    def refuse_missing(self) -> str:
        """See a release refused whose bottle is not there; nothing is built in its place."""
        return self._refused(self.now.formula, f"{self.now.url}/absent", "failed to download")

    def clean_up(self) -> None:
        """Leave brew as it was, whatever became of the steps."""
        with contextlib.suppress(PackagingError, OSError):
            self._stigmer("server", "stop")
        for words in (("uninstall", "--force", self.full), ("untap", self.tap.name)):
            self.brew.attempt(*words)

    def _refused(self, formula: str, url: str, reason: str) -> str:
        self._publish(self.now._replace(formula=formula, url=url))
        self.brew.attempt("untap", self.tap.name)
        shutil.rmtree(Path(self.brew.env["HOMEBREW_CACHE"]) / "downloads", ignore_errors=True)
        done = self.brew.attempt("install", self.full)
        said = done.stdout + done.stderr
        _demand(done.code != 0 and reason in said.lower() and not homebrew.parse_pours(said), said)
        _demand(not self.cellar.exists(), f"{self.cellar} is there")
        return next(line for line in said.splitlines() if reason in line.lower()).strip()

    def _publish(self, offer: Offer) -> None:
        self.tap.publish(self.name, with_root_url(offer.formula, offer.url))

    def _poured(self, said: str, offer: Offer) -> str:
        poured = homebrew.parse_pours(said)
        _demand(len(poured) == 1 and poured[0] in offer.bottles, said)
        installed = homebrew.parse_installed(self.brew.run("info", "--json=v2", self.full))
        _demand(installed == (homebrew.Poured(offer.version, from_bottle=True),), f"installed: {installed}")
        return f"Pouring {poured[0]}"

    def _later(self) -> Offer:
        if self.later is None:
            raise VerificationError("there is no later release to upgrade to")
        return self.later

    def _stigmer(self, *words: str) -> str:
        path = f"{self.prefix}/bin:{self.brew.env.get('PATH', os.defpath)}"
        done = command.run([self.prefix / "bin" / self.name, *words], env={**self.brew.env, "PATH": path}, seconds=300)
        return done.stdout

    def _status(self) -> Mapping[str, object]:
        status: dict[str, object] = json.loads(self._stigmer("server", "status", "--json"))
        return status

    def _named(self, folder: Path) -> Iterator[Path]:
        return (path for path in folder.rglob(f"*{self.name}*"))


def _demand(holds: object, said: str) -> None:
    if not holds:
        raise VerificationError(said)


STEPS: tuple[tuple[str, Callable[[BrewTrial], str]], ...] = (
    ("brew reads the tap without a warning", BrewTrial.read_tap),
    ("brew style finds nothing in the formula", BrewTrial.style),
    ("brew audit --strict finds nothing in the formula", BrewTrial.audit),
    ("the documented command pours the bottle", BrewTrial.install),
    ("what was poured is what was released", BrewTrial.compare),
    ("brew linkage --test finds nothing", BrewTrial.linkage),
    ("brew test passes", BrewTrial.test),
    ("brew has a unit for the service", BrewTrial.see_service),
    ("brew upgrade pours the next release while a server runs", BrewTrial.upgrade),
    ("the next start is the next release's, and works", BrewTrial.go_on),
    ("brew test passes after the upgrade", BrewTrial.test),
    ("brew reinstall pours again", BrewTrial.reinstall),
    ("brew uninstall leaves the user's data and nothing else", BrewTrial.uninstall),
    ("a bottle with another checksum is refused", BrewTrial.refuse_other_bytes),
    ("a bottle that is not there is refused", BrewTrial.refuse_missing),
)
UPGRADES = (BrewTrial.upgrade, BrewTrial.go_on)
"""The steps that need a later release."""


def try_with_brew(trial: BrewTrial, *, clock: Callable[[], float], report: Callable[[str], None]) -> tuple[Check, ...]:
    """Carry out every step, whatever became of those before it, and leave brew as it was.

    Raise VerificationError where brew has the tap or the formula already: somebody's own installation stays as it is.
    """
    if trial.cellar.exists() or trial.tap.name in trial.brew.run("tap").split():
        raise VerificationError(
            f"this brew has {trial.full} or its tap already", "run it where brew has neither, such as a hosted runner"
        )
    try:
        return tuple(
            _check(name, step, trial, clock, report)
            for name, step in STEPS
            if trial.later is not None or step not in UPGRADES
        )
    finally:
        trial.clean_up()


def _check(
    name: str,
    step: Callable[[BrewTrial], str],
    trial: BrewTrial,
    clock: Callable[[], float],
    report: Callable[[str], None],
) -> Check:
    report(name)
    start = clock()
    try:
        detail, passed = step(trial), True
    except (PackagingError, OSError, ValueError) as error:
        detail, passed = str(error), False
    return Check(name, passed, round(clock() - start, 2), detail)
