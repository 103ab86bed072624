"""Many concurrent first starts install once, whatever happens to the one that installs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stigmer_launcher.install import payload
from stigmer_launcher.system.places import find_places
from support.installing import assert_intact, names_in
from support.launcher_payloads import build_libexec, part
from support.launcher_services import read_line
from support.launcher_starts import LAUNCHER, begin, outcome, start

BIG = {f"agent-runner.lib/{number}.so": os.urandom(100_000) for number in range(30)}

HOLD = """
import sys; sys.path.insert(0, sys.argv[1])
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.install.install import install
from stigmer_launcher.system.places import find_places
def hold(event, arguments):
    if event == "open" and str(arguments[0]).endswith("/.version"):
        print("working", flush=True)
        sys.stdin.read()
sys.addaudithook(hold)
install(read_keg(sys.argv[2]), find_places({"STIGMER_HOME": sys.argv[3]}), lambda _: None)
"""


@pytest.fixture(name="keg")
def _keg(tmp_path: Path) -> Path:
    return build_libexec(tmp_path / "keg", (part("temporal"), part("agent-runner", extra=BIG)))


def assert_only(keg: Path, home: Path) -> None:
    """Assert that the home has all components of a keg, and no others."""
    places = find_places({"STIGMER_HOME": str(home)})
    assert_intact(keg, places)
    assert names_in(places.versions) == [payload.read_keg(str(keg)).id]


@contextmanager
def held_start(keg: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Start an installation that pauses in the middle until its standard input is closed."""
    words = [sys.executable, "-c", HOLD, str(LAUNCHER), str(keg), str(home)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert read_line(process) == "working\n"
        yield process


@pytest.mark.parametrize("method", ["link", "copy"])
def test_twenty_first_starts_install_once_and_all_succeed(keg: Path, tmp_path: Path, method: str) -> None:
    home = tmp_path / "home"
    starts = [start(keg, home, method) for _ in range(20)]
    for each in starts:
        begin(each)
    outcomes = [outcome(each) for each in starts]
    assert [each for each in outcomes if "error" in each] == []
    assert sum(each["changed"] for each in outcomes) == 1
    assert [each["method"] for each in outcomes if each["changed"]] == [method]
    assert_only(keg, home)


def test_starts_of_two_versions_at_once_leave_one_of_them_complete(keg: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    other = build_libexec(tmp_path / "other", (part("temporal", script="exit 7"),), version="1.1.0")
    starts = [start(chosen, home) for _ in range(5) for chosen in (keg, other)]
    outcomes = [outcome(each) for each in starts]
    assert [each for each in outcomes if "error" in each] == []
    known = {payload.read_keg(str(each)).id: each for each in (keg, other)}
    assert_only(known[(home / "bin").readlink().name], home)


def test_a_start_that_finds_another_one_installing_names_it_and_waits(keg: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with held_start(keg, home) as first:
        assert first.stdin is not None
        second = start(keg, home)
        begin(second)
        assert second.stderr is not None
        assert second.stderr.readline() == f"Waiting for process {first.pid}, which prepares the components\n"
        first.stdin.close()
        result = outcome(second)
    assert not result["changed"]
    assert_only(keg, home)


def test_a_start_that_waits_takes_over_when_the_other_is_killed(keg: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with held_start(keg, home) as first:
        waiting = [start(keg, home) for _ in range(5)]
        for each in waiting:
            begin(each)
        os.kill(first.pid, signal.SIGKILL)
        outcomes = [outcome(each) for each in waiting]
    assert sum(each["changed"] for each in outcomes) == 1
    assert_only(keg, home)
