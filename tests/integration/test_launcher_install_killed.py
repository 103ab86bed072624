"""After a start is killed with SIGKILL at any point, the next start repairs the installation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import launcher_kills

SCENARIOS = ("first", "former", "upgrade", "upgrade-in-use", "heal", "no-manifest")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, launcher_kills.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def kill_everywhere(scenario: str, method: str, grain: str, directory: Path) -> int:
    """Return the number of points at which a start was killed; fail if the next one did not repair everything."""
    ended = run(scenario, method, grain, str(directory))
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


@pytest.mark.parametrize("method", ["link", "copy"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_start_killed_at_any_system_call_is_repaired_by_the_next(scenario: str, method: str, tmp_path: Path) -> None:
    assert kill_everywhere(scenario, method, "call", tmp_path) > 4


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_start_killed_at_any_line_is_repaired_by_the_next(scenario: str, tmp_path: Path) -> None:
    """Also at lines that change no file: the state in memory is lost, too."""
    assert kill_everywhere(scenario, "link", "line", tmp_path) > 200


def test_the_kill_test_notices_a_launcher_that_does_not_clean_up(tmp_path: Path) -> None:
    ended = run("first", "link", "call", str(tmp_path), "sabotage")
    assert ended.returncode != 0
    assert re.search(r"after point \d+ \(call\)", ended.stderr)
