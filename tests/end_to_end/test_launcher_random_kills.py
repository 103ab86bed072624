"""Whatever is killed at whatever instant, the next start succeeds, nothing is left behind and nothing is lost.

STIGMER_TEST_KILLS asks for another number of rounds than 60, STIGMER_TEST_SEED for other ones.
"""

import os
from pathlib import Path

import pytest

from support.launcher_services import stigmer
from support.random_kills import Outcome, kill_at_random

ROUNDS = int(os.environ.get("STIGMER_TEST_KILLS", "60"))
SEED = int(os.environ.get("STIGMER_TEST_SEED", "1"))


@pytest.mark.timeout(120 + 10 * ROUNDS)
def test_the_next_start_succeeds_whatever_is_killed_at_whatever_instant(tmp_path: Path) -> None:
    """The command, the supervisor, the watchdog or a service, during starts, restarts, stops and at rest."""
    outcomes: list[Outcome] = []
    with stigmer(tmp_path) as launcher:
        assert kill_at_random(launcher, ROUNDS, SEED, outcomes.append) == []
    assert sum(outcome.killed > 0 for outcome in outcomes) > ROUNDS / 3
