"""A local tap that brew uses instead of the one on GitHub: a git repository, and git settings that redirect to it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command

_AUTHOR = ("-c", "user.name=tap", "-c", "user.email=tap@localhost", "-c", "commit.gpgsign=false")
_ROOT_URL = re.compile(r'^(    root_url )"[^"]*"', re.MULTILINE)


class LocalTap(NamedTuple):
    """The tap `name`, such as `stigmer/tap`, in `folder`."""

    name: str
    folder: Path
    env: Mapping[str, str]

    def publish(self, formula: str, text: str) -> None:
        """Commit a new text of a formula to the tap."""
        path = self.folder / "Formula" / f"{formula}.rb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self._git("add", "--all")
        self._git(*_AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "formula")

    def _git(self, *arguments: str) -> None:
        command.run(["git", "-C", self.folder, *arguments], env=self.env, seconds=60)


def make_local_tap(name: str, folder: Path, env: Mapping[str, str]) -> LocalTap:
    """Create an empty tap, and redirect git to it from the tap on GitHub, in the settings of the home in `env`.

    Depending on its version, brew uses the owner's name as typed or capitalised.
    """
    folder.mkdir(parents=True)
    command.run(["git", "init", "--quiet", "--initial-branch=main", folder], env=env, seconds=60)
    owner, _, short = name.partition("/")
    for spelled in {owner, owner.capitalize()}:
        address = f"https://github.com/{spelled}/homebrew-{short}"
        argv = ["git", "config", "--global", "--add", f"url.{folder}.insteadOf", address]
        command.run(argv, env=env, seconds=60)
    return LocalTap(name, folder, env)


def replace_root_url(formula: str, url: str) -> str:
    """Return a formula with another root_url of its bottles; ValueError if it has no bottle block of ours."""
    text, found = _ROOT_URL.subn(rf'\g<1>"{url}"', formula)
    if found != 1:
        raise ValueError("the formula has no bottle block with a root_url")
    return text
