"""actionlint and zizmor over workflow files: what is wrong by GitHub's rules, and what an attacker could use."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError


def lint_with_actionlint(folder: Path, module: Path, go: Path, *, env: Mapping[str, str]) -> list[str]:
    """Give the lines that actionlint says of the workflows in `folder`; `module` is the Go module that pins it.

    It is told not to look for programs of this machine, so that it says the same everywhere.
    """
    fixed = {**env, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    words = [str(go), "tool", "-C", str(module), "actionlint", "-no-color", "-oneline", "-shellcheck=", "-pyflakes="]
    return _lint(words, folder, found=(1,), env=fixed)  # Source of the code: actionlint's usage, "Exit status"


def lint_with_zizmor(folder: Path, *, env: Mapping[str, str]) -> list[str]:
    """Give the lines that zizmor says of the workflows in `folder`, code smells included, without asking the network."""
    program = str(Path(sys.executable).parent / "zizmor")
    words = [program, "--offline", "--persona=pedantic", "--no-progress", "--color=never"]
    return _lint(words, folder, found=range(11, 15), env=env)  # Source of the codes: zizmor's usage, "Exit codes"


def _lint(words: list[str], folder: Path, *, found: Sequence[int], env: Mapping[str, str]) -> list[str]:
    files = sorted(path.absolute() for path in folder.glob("*.yml"))
    done = command.run([*words, *files], env=env, check=False)
    if done.code not in {0, *found}:
        raise CommandError(words, f"failed with exit code {done.code}", done.stdout + done.stderr)
    return done.stdout.splitlines() if done.code else []
