"""Homebrew: run a command of its, and read what it prints. Read from 5.0.16 and 6.0.18; what later ones add is ignored."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.lib.command import Completed

KEEPS_FILES = (5, 1, 15)
"""The first brew that pours `:any_skip_relocation` on Linux without rewriting programs. Source: homebrew-core's bottles."""

SETTINGS = {
    "HOMEBREW_CURL_RETRIES": "0",
    "HOMEBREW_NO_ANALYTICS": "1",
    "HOMEBREW_NO_AUTO_UPDATE": "1",
    "HOMEBREW_NO_COLOR": "1",
    "HOMEBREW_NO_EMOJI": "1",
    "HOMEBREW_NO_ENV_HINTS": "1",
    "HOMEBREW_NO_GITHUB_API": "1",
    "HOMEBREW_NO_INSTALL_FROM_API": "1",
}
"""No network but for what is asked, and words without ornament."""

DEVELOPER = ("audit", "linkage", "readall", "style", "test")
"""Commands that switch brew's developer mode on for good, unless the environment says it is on already."""


class Brew(NamedTuple):
    """The brew at `program` and the whole environment it gets."""

    program: Path
    env: Mapping[str, str]

    def run(self, *words: str, seconds: float = 600) -> str:
        """Run a command and give all that it said; CommandError when it failed."""
        done = self.attempt(*words, seconds=seconds, check=True)
        return done.stdout + done.stderr

    def attempt(self, *words: str, seconds: float = 600, check: bool = False) -> Completed:
        """Run a command that may fail, unless `check` has a failure raised as CommandError."""
        developing = {"HOMEBREW_DEVELOPER": "1"} if words[0] in DEVELOPER else {}
        return command.run([self.program, *words], env={**self.env, **developing}, seconds=seconds, check=check)

    def ask(self, *words: str) -> str:
        """Give the last line of what a command answers, such as a folder."""
        return self.run(*words).strip().rpartition("\n")[2]


def brew_environment(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """Give brew an environment of its own below `home`: its cache, its trust and git's settings are nobody else's."""
    kept = {name: value for name, value in env.items() if name in {"PATH", "LANG", "LC_ALL", "TERM", "USER", "LOGNAME"}}
    return {**kept, **SETTINGS, "HOME": str(home), "HOMEBREW_CACHE": str(home / "cache"), "no_proxy": "127.0.0.1"}


def parse_version(text: str) -> tuple[int, ...]:
    """Read `brew --version`: `Homebrew 5.0.16-12-gabcdef` is (5, 0, 16); () when it is anything else."""
    found = re.search(r"^Homebrew >?=?(\d+(?:\.\d+)+)", text, re.MULTILINE)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def parse_pours(text: str) -> tuple[str, ...]:
    """List the files of the bottles that an install, reinstall or upgrade says it poured."""
    return tuple(re.findall(r"^==> Pouring (\S+)", text, re.MULTILINE))


def parse_installed(text: str) -> tuple[tuple[str, bool], ...]:
    """Read `brew info --json=v2` of one formula: each installed version, and whether it came from a bottle.

    What is printed before the JSON is skipped.
    """
    formulae = json.loads(text[text.index("{") :])["formulae"]
    return tuple((one["version"], bool(one["poured_from_bottle"])) for one in formulae[0]["installed"])


def parse_outdated(text: str) -> tuple[tuple[str, str, str], ...]:
    """Read `brew outdated --verbose`: name, installed and available version of each formula."""
    return tuple(re.findall(r"^(\S+) \((\S+)\) < (\S+)", text, re.MULTILINE))
