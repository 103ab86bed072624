"""The launcher with a real Temporal: readiness proved over its real protocol, and the whole reference stack."""

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_launcher.readiness import checks, grpc
from stigmer_launcher.readiness.channel import Channel
from stigmer_launcher.readiness.checks import Check
from stigmer_launcher.readiness.probe import Probe
from support.launcher_services import Stigmer, eventually, free_ports, is_running
from support.reference_processes import starting_temporal
from support.reference_stack import reference_launcher

POLL = "/temporal.api.workflowservice.v1.WorkflowService/PollActivityTaskQueue"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Temporal development server, which may not be ready yet."""
    (port,) = free_ports(1)
    with starting_temporal(port, tmp_path_factory.mktemp("temporal")):
        yield f"127.0.0.1:{port}"


def proved(address: str, check: Check, *, unless: str = "\0") -> bool:
    """Advance a probe until it passes, or until this is the reason that it has not."""
    probe, deadline = Probe([(address, check)], time.monotonic()), time.monotonic() + 60
    try:
        while not probe.advance(time.monotonic()):
            assert time.monotonic() < deadline, probe.not_ready_reason
            if unless in probe.not_ready_reason:
                return False
            waiting = select.poll()
            if probe.channel:
                waiting.register(probe.channel.fileno(), probe.channel.wanted)
            waiting.poll(max(0.0, (probe.due - time.monotonic()) * 1000))
        return True
    finally:
        probe.close()


def poll_request(queue: str, identity: str) -> bytes:
    """Encode PollActivityTaskQueueRequest: namespace = 1, task_queue = 2 {name = 1}, identity = 3."""
    return grpc.encode({1: "default", 2: grpc.encode({1: queue}), 3: identity})


def test_temporal_can_be_probed_from_its_start(server: str) -> None:
    """The fixture does not wait until it serves."""
    assert proved(server, checks.temporal("default", "some-queue"))


def test_a_missing_namespace_does_not_count_as_ready(server: str) -> None:
    """Temporal serves, but no workflow could run in that namespace."""
    assert proved(server, checks.temporal("default", "some-queue"))
    assert not proved(server, checks.temporal("no-such-namespace", "some-queue"), unless="cannot be used")


def test_only_a_poller_of_the_service_itself_proves_a_queue_ready(server: str) -> None:
    """DescribeTaskQueue lists it while its long poll is open."""
    assert proved(server, checks.temporal("default", "some-queue"))
    proof = checks.ResolvedProof("pollers", "", "default", ("polled",))
    ours, others = (checks.check_for(proof, group, time.time()) for group in (os.getpid(), 1))
    no_worker = "no worker polls the queue polled"
    assert not proved(server, ours, unless=no_worker)
    with contextlib.closing(Channel(server)) as channel:
        identity = f"{os.getpid()}@{socket.gethostname()}@polled"
        channel.client.ask([(POLL, poll_request("polled", identity))], 30.0)
        while channel.client.outgoing or not channel.client.greeted:
            waiting = select.poll()
            waiting.register(channel.fileno(), channel.wanted)
            waiting.poll()
            channel.advance()
        assert proved(server, ours)
        assert not proved(server, others, unless=no_worker)


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Stigmer]:
    with reference_launcher(tmp_path) as opened:
        yield opened


@pytest.mark.timeout(300)
def test_the_reference_stack_starts_works_recovers_and_stops(launcher: Stigmer) -> None:
    """With real services and protocols, the call passes through all of them, also after a crash and a restart."""
    done = launcher("server", seconds=180)
    assert done.code == 0, f"{done.out}{done.err}"
    answer = json.loads(launcher("smoke", "--json").out)
    assert answer["path"] == ["stigmer-server", "workflow-runner", "agent-runner"]
    pids = {name: launcher.kill(name) for name in ("agent-runner", "temporal")}
    eventually(
        lambda: (
            launcher.status()["state"] == "running" and all(launcher.pid(name) != pid for name, pid in pids.items())
        ),
        "the services to come back",
        60,
    )
    again = launcher("smoke", "--json", "--message", "again", seconds=120)
    assert again.code == 0, again.err
    processes = launcher.children()
    assert launcher("server", "stop").code == 0
    assert not [pid for pid in processes if is_running(pid)]
    assert launcher.processes() == []


@pytest.mark.timeout(300)
def test_a_refused_smoke_call_says_where_the_reason_is(launcher: Stigmer) -> None:
    """The server's log has the reason."""
    done = launcher("server", seconds=180)
    assert done.code == 0, f"{done.out}{done.err}"
    refused = launcher("smoke", "--message", "")
    assert refused.code == 1
    assert "the server refused the request" in refused.err
    assert "stigmer server logs" in refused.err
