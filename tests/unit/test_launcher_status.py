"""Output of `stigmer server status` and `stop`: addresses, commands, and services that were slow to stop."""

import io

import pytest

from stigmer_launcher.cli.commands.status import addresses, show
from stigmer_launcher.cli.commands.stop import slow_stops
from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.supervise.state import ServiceSnapshot, Snapshot
from stigmer_launcher.system.service_manager import command_for

SERVER = ("server", "localhost:7234")


def test_every_port_and_an_external_temporal_have_an_address() -> None:
    ours = Snapshot(ports={"temporal": 7233, "temporal-ui": 8233, "server": 7234}, temporal="127.0.0.1:7233")
    temporal = (("temporal", "localhost:7233"), ("temporal-ui", "http://localhost:8233"))
    assert tuple(addresses(ours)) == (*temporal, SERVER)
    theirs = Snapshot(ports={"server": 7234}, temporal="there:7233")
    assert tuple(addresses(theirs)) == (("temporal", "there:7233 (external)"), SERVER)


def shown(snapshot: Snapshot, pid: int) -> str:
    out = io.StringIO()
    show(Terminal(out, live=False, colour=False, unicode=False), snapshot, "running", pid, "/home/logs")
    return out.getvalue()


def test_the_addresses_of_a_running_server_are_printed() -> None:
    service = ServiceSnapshot("temporal", "running")
    snapshot = Snapshot(supervisor_pid=5, state="running", ports={"temporal-ui": 8233}, services=(service,))
    assert shown(snapshot, 0).endswith("  temporal-ui  http://localhost:8233\n  logs         /home/logs\n")


def test_the_status_names_the_command_that_stops_the_job_of_the_server() -> None:
    snapshot = Snapshot(supervisor_pid=5, state="running", job="homebrew.mxcl.stigmer")
    assert "  unit  homebrew.mxcl.stigmer: stop it with `brew services stop stigmer`\n" in shown(snapshot, 5)
    assert command_for("restart", 5, "homebrew.mxcl.stigmer") == "brew services restart stigmer"
    assert command_for("restart", 0, "") == "stigmer server restart"


@pytest.mark.parametrize(
    ("times", "messages"),
    [
        ({"terminated": 10.0, "ended": 10.4}, []),
        ({"terminated": 10.0, "ended": 14.84}, ["runner took 4.8 s to stop"]),
        ({"terminated": 10.0, "killed": 15.003, "ended": 15.1}, ["runner did not stop within 5 s and was killed"]),
        ({"terminated": 10.0, "killed": 15.0}, ["runner did not stop within 5 s and was killed, but has not ended"]),
        ({"spawned": 0.1, "ready": 0.2, "ended": 9.0}, []),
        ({"terminated": 1.0, "killed": 6.0, "ended": 6.1}, []),
        ({}, []),
    ],
    ids=["quick", "slow", "killed", "killed but alive", "crashed before", "killed before this stop", "never stopped"],
)
def test_a_service_that_delayed_this_stop_is_reported(times: dict[str, float], messages: list[str]) -> None:
    assert list(slow_stops(Snapshot(began=100.0, timeline={"runner": times}), since=109.0)) == messages
