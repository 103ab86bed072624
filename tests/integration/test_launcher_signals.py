"""Signals that the parent of a foreground server has blocked or ignored still do their work."""

import signal
import subprocess
from pathlib import Path

import pytest

from support.launcher_checks import serves_and_stops
from support.launcher_services import stigmer

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def block() -> None:
    """Block what a server handles, as some service managers and threads do."""
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)


def ignore() -> None:
    """Ignore the end of children and requests to stop, as `trap '' TERM` does."""
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("prepare", [block, ignore])
def test_signals_blocked_or_ignored_by_the_parent_are_handled(tmp_path: Path, prepare: object) -> None:
    """A crash is noticed, and `stop` stops."""
    with stigmer(tmp_path) as launcher:
        foreground = launcher.popen(
            "server", "--foreground",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=prepare,
        )  # fmt: skip
        serves_and_stops(launcher, foreground)
