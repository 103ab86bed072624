"""Signatures of Mach-O files, checked by an independent implementation: the Go module blacktop/go-macho."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "samples" / "macho-signatures"
_ENV = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
_ACCEPTED = re.compile(r"(?P<path>.+): (?P<pages>\d+) pages as (?P<identifier>.+)")


def build_checker(folder: Path) -> Path:
    """Build the program that checks signatures; skip the test if that is impossible."""
    if not shutil.which("go"):
        pytest.skip("there is no Go on PATH")
    program = folder / "signatures"
    words = ["go", "build", "-o", str(program), "."]
    built = subprocess.run(words, cwd=SAMPLE, env=_ENV, capture_output=True, text=True, check=False, timeout=110)
    if built.returncode:
        pytest.skip(f"go-macho is not available: {built.stderr[-200:]}")
    return program


def check_signatures(checker: Path, files: Sequence[Path]) -> tuple[dict[Path, tuple[int, str]], list[str]]:
    """Return the page count and identifier of each file with a valid signature, and the error lines of the others."""
    done = subprocess.run([checker, *files], capture_output=True, text=True, check=False, timeout=110)
    lines = [(line, _ACCEPTED.fullmatch(line)) for line in done.stdout.splitlines()]
    accepted = {Path(found["path"]): (int(found["pages"]), found["identifier"]) for _, found in lines if found}
    return accepted, [line for line, found in lines if not found]
