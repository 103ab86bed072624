"""actionlint and zizmor over workflow files: what is wrong by GitHub's rules, and what an attacker could use."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError

SECONDS = 600


@dataclass(frozen=True)
class Remark:
    """One thing a linter says: which linter, of which file and line, and what."""

    linter: str
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text} [{self.linter}]"


def lint_with_actionlint(folder: Path, module: Path, go: Path, *, env: Mapping[str, str]) -> tuple[Remark, ...]:
    """Give all that actionlint says of the workflows in `folder`; `module` is the Go module that pins it.

    It is told not to look for programs of this machine, so that it says the same everywhere.
    """
    files = sorted(folder.glob("*.yml"))
    fixed = {**env, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    options = ["-no-color", "-shellcheck=", "-pyflakes=", "-format", "{{json .}}"]
    words: list[str | Path] = [go, "tool", "-C", module, "actionlint", *options, *(path.absolute() for path in files)]
    done = command.run(words, env=fixed, seconds=SECONDS, check=False)
    if done.code not in {0, 1}:  # 1: it found something. Source: actionlint's usage, "Exit status"
        raise CommandError(
            [str(word) for word in words], f"failed with exit code {done.code}", done.stdout + done.stderr
        )
    return parse_actionlint(done.stdout)


def parse_actionlint(text: str) -> tuple[Remark, ...]:
    """Read actionlint's JSON."""
    found: list[dict[str, Any]] = json.loads(text or "[]") or []
    return tuple(
        Remark("actionlint", Path(one["filepath"]).name, one["line"], f"{one['message']} ({one['kind']})")
        for one in found
    )


def lint_with_zizmor(folder: Path, *, env: Mapping[str, str]) -> tuple[Remark, ...]:
    """Give all that zizmor says of the workflows in `folder`, code smells included, without asking the network."""
    program = Path(sys.executable).parent / "zizmor"
    options = ["--offline", "--persona=pedantic", "--no-progress", "--no-exit-codes", "--format=json"]
    files = sorted(folder.glob("*.yml"))
    done = command.run([program, *options, *(path.absolute() for path in files)], env=env, seconds=SECONDS)
    return parse_zizmor(done.stdout)


def parse_zizmor(text: str) -> tuple[Remark, ...]:
    """Read zizmor's JSON, version 1: each finding at the place it is mainly about."""
    return tuple(_remark_of(finding) for finding in json.loads(text) if not finding["ignored"])


def _remark_of(finding: dict[str, Any]) -> Remark:
    places = finding["locations"]
    main = next((place for place in places if place["symbolic"]["kind"] == "Primary"), places[0])
    path = Path(main["symbolic"]["key"]["Local"]["verbatim_path"]).name
    line = main["concrete"]["location"]["start_point"]["row"] + 1
    return Remark("zizmor", path, line, f"{finding['desc']} ({finding['ident']})")
