"""Which services a stop was waiting for, told from the times that the supervisor wrote down."""

import pytest

from stigmer_launcher.cli.commands.stop import slow_stops
from stigmer_launcher.supervise.state import Snapshot


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"told": 10.0, "ended": 10.4}, []),
        ({"told": 10.0, "ended": 14.84}, ["runner took 4.8 s to stop"]),
        ({"told": 10.0, "killed": 15.003, "ended": 15.1}, ["runner did not stop within 5 s and was killed"]),
        ({"told": 10.0, "killed": 15.0}, ["runner did not stop within 5 s and was killed"]),
        ({"spawned": 0.1, "ready": 0.2, "ended": 9.0}, []),
        ({"told": 1.0, "killed": 6.0, "ended": 6.1}, []),
        ({}, []),
    ],
    ids=["quick", "slow", "killed", "killed last", "crashed before", "killed before, for another reason", "never"],
)
def test_a_service_is_named_when_this_stop_waited_for_it(times: dict[str, float], said: list[str]) -> None:
    assert list(slow_stops(Snapshot(began=100.0, timeline={"runner": times}), asked=109.0)) == said
