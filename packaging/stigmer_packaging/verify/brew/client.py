"""Runs Homebrew's commands and parses their output, as of 5.0.16 and 6.0.18; later additions to it are ignored."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.lib.command import Completed

KEEPS_FILES = (5, 1, 15)
"""The first brew that pours `:any_skip_relocation` on Linux without rewriting programs. Source: homebrew-core."""

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
"""No network access except for what is requested, and plain output."""

DEVELOPER = ("audit", "linkage", "readall", "style", "test")
"""Commands that switch brew's developer mode on permanently, unless the environment enables it already."""


class Brew(NamedTuple):
    """The brew at `program`, with its complete environment."""

    program: Path
    env: Mapping[str, str]

    def run(self, *arguments: str, seconds: float = 600) -> str:
        """Run a command and return its output, stdout before stderr; CommandError if it fails."""
        completed = self.attempt(*arguments, seconds=seconds, check=True)
        return completed.stdout + completed.stderr

    def attempt(self, *arguments: str, seconds: float = 600, check: bool = False) -> Completed:
        """Run a command that may fail; with `check`, raise CommandError if it does."""
        developing = {"HOMEBREW_DEVELOPER": "1"} if arguments[0] in DEVELOPER else {}
        return command.run([self.program, *arguments], env={**self.env, **developing}, seconds=seconds, check=check)

    def ask(self, *arguments: str) -> str:
        """Return the last line of a command's output, such as a folder."""
        return self.run(*arguments).strip().rpartition("\n")[2]


def brew_environment(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return an environment for brew below `home`, with a cache, trust settings and git settings of its own."""
    inherited = {
        name: value for name, value in env.items() if name in {"PATH", "LANG", "LC_ALL", "TERM", "USER", "LOGNAME"}
    }
    return {**inherited, **SETTINGS, "HOME": str(home), "HOMEBREW_CACHE": str(home / "cache"), "no_proxy": "127.0.0.1"}


def parse_version(text: str) -> tuple[int, ...]:
    """Parse `brew --version`: `Homebrew 5.0.16-12-gabcdef` is (5, 0, 16); () for anything else."""
    found = re.search(r"^Homebrew >?=?(\d+(?:\.\d+)+)", text, re.MULTILINE)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def parse_pours(text: str) -> tuple[str, ...]:
    """Return the files of the bottles that an install, reinstall or upgrade reports as poured."""
    return tuple(re.findall(r"^==> Pouring (\S+)", text, re.MULTILINE))


def parse_installed(text: str) -> tuple[tuple[str, bool], ...]:
    """Parse `brew info --json=v2` of one formula: each installed version, and whether it came from a bottle.

    Output before the JSON is skipped.
    """
    formulae = json.loads(text[text.index("{") :])["formulae"]
    return tuple((one["version"], bool(one["poured_from_bottle"])) for one in formulae[0]["installed"])


def parse_outdated(text: str) -> tuple[tuple[str, str, str], ...]:
    """Parse `brew outdated --verbose`: name, installed and available version of each formula."""
    return tuple(re.findall(r"^(\S+) \((\S+)\) < (\S+)", text, re.MULTILINE))
