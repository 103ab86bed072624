"""A tap on this machine that brew takes for the one on GitHub: a git repository, and git told where to look."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command

_AUTHOR = ("-c", "user.name=tap", "-c", "user.email=tap@localhost", "-c", "commit.gpgsign=false")
_ROOT_URL = re.compile(r'^(    root_url )"[^"]*"', re.MULTILINE)


class LocalTap(NamedTuple):
    """The tap `name`, such as `stigmer/tap`, kept in `folder`."""

    name: str
    folder: Path
    env: Mapping[str, str]

    def publish(self, formula: str, text: str) -> None:
        """Have the tap say this of a formula from now on."""
        path = self.folder / "Formula" / f"{formula}.rb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self._git("add", "--all")
        self._git(*_AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "formula")

    def _git(self, *words: str) -> None:
        command.run(["git", "-C", self.folder, *words], env=self.env, seconds=60)


def make_local_tap(name: str, folder: Path, env: Mapping[str, str]) -> LocalTap:
    """Make an empty tap, and have git of the home in `env` go there when it is asked for the tap on GitHub.

    Brew asks with the owner as typed or capitalised, depending on its version.
    """
    folder.mkdir(parents=True)
    command.run(["git", "init", "--quiet", "--initial-branch=main", folder], env=env, seconds=60)
    owner, _, short = name.partition("/")
    for spelled in {owner, owner.capitalize()}:
        address = f"https://github.com/{spelled}/homebrew-{short}"
        words = ["git", "config", "--global", "--add", f"url.{folder}.insteadOf", address]
        command.run(words, env=env, seconds=60)
    return LocalTap(name, folder, env)


def with_root_url(formula: str, url: str) -> str:
    """Give a formula whose bottles are found below another address; ValueError when it has no bottle block of ours."""
    text, found = _ROOT_URL.subn(rf'\g<1>"{url}"', formula)
    if found != 1:
        raise ValueError("the formula has no bottle block with a root_url")
    return text
