"""Readiness: what counts as proof, and a probe that asks a real server over a real socket until it gets it."""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from stigmer_launcher.readiness import checks as readiness
from stigmer_launcher.readiness import grpc
from stigmer_launcher.readiness.channel import ask
from stigmer_launcher.readiness.checks import Check
from stigmer_launcher.readiness.grpc import Answers
from stigmer_launcher.readiness.probe import Probe
from support.fake_services import SETTINGS, FakeServer, FakeService, FakeTemporal, frame
from support.launcher_services import eventually, free_ports

# A process group and its spawn time; a poller without a pid that has polled since then counts as its own.
OURS = (os.getpid(), 1.0)
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@contextmanager
def serving(service: FakeService) -> Iterator[str]:
    """Run a fake service in a thread."""
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{service.server_address[1]}"
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


def drive(probe: Probe, until: Callable[[], bool] = lambda: False, seconds: float = 10.0) -> bool:
    """Advance a probe as the supervisor's loop does, until it passes or `until` holds."""
    deadline = time.monotonic() + seconds
    try:
        while not probe.advance(time.monotonic()):
            assert time.monotonic() < deadline, probe.not_ready_reason
            if until():
                return False
            waiting = select.poll()
            if probe.channel:
                waiting.register(probe.channel.fileno(), probe.channel.wanted)
            waiting.poll(max(0.0, min(probe.due - time.monotonic(), 0.05) * 1000))  # `until` may hold before
        return True
    finally:
        probe.close()


def pollers(*queues: str) -> Check:
    """Return the check of a worker in our process group."""
    return readiness.check_for(readiness.ResolvedProof("pollers", "", "default", queues), *OURS)


def poller(identity: str, seconds: int = 1000) -> bytes:
    return grpc.encode({1: grpc.encode({1: grpc.encode({1: seconds}), 2: identity})})


@pytest.fixture(name="listener")
def _listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address_of(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_an_open_port_alone_does_not_prove_that_a_server_is_ready(listener: socket.socket) -> None:
    """Upstream treated a TCP connection as readiness, and got connection errors on slow machines."""
    probe = Probe([(address_of(listener), readiness.HANDSHAKE)], time.monotonic())
    turns = iter(range(20))
    deadline = time.monotonic() + 0.2
    assert not drive(probe, until=lambda: next(turns, None) is None or time.monotonic() > deadline)


def test_an_accepted_connection_is_proof_if_only_an_open_port_is_required(listener: socket.socket) -> None:
    """Nothing is sent, because the program may speak any protocol."""
    assert drive(Probe([(address_of(listener), readiness.OPEN_PORT)], time.monotonic()))
    connection, _ = listener.accept()
    with connection:
        assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("check", "server"),
    [
        (readiness.OPEN_PORT, lambda port: socket.create_server(("127.0.0.1", port))),
        (readiness.HANDSHAKE, lambda port: serving(FakeServer(port))),
        (readiness.temporal("default", "queue"), lambda port: serving(FakeTemporal(port))),
    ],
    ids=["port", "grpc", "temporal"],
)
def test_a_probe_waits_for_a_server_that_starts_late(
    check: Check, server: Callable[[int], AbstractContextManager[object]]
) -> None:
    """It reports the refused connection meanwhile. A gRPC server only has to speak HTTP/2: no method is called."""
    (port,) = free_ports(1)
    probe = Probe([(f"127.0.0.1:{port}", check)], time.monotonic())
    assert not drive(probe, until=lambda: probe.not_ready_reason.startswith(f"127.0.0.1:{port}: cannot connect"))
    with server(port):
        assert drive(probe)


def test_a_server_that_speaks_another_protocol_is_reported(listener: socket.socket) -> None:
    """An old web server on the port must not be mistaken for the gRPC server."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    threading.Thread(target=answer).start()
    probe = Probe([(address_of(listener), readiness.HANDSHAKE)], time.monotonic())
    assert not drive(probe, until=lambda: "not a gRPC server" in probe.not_ready_reason)


@pytest.mark.parametrize(
    ("answers", "not_ready_reason"),
    [
        ((SERVING, b""), ""),
        ((NOT_SERVING, b""), "does not serve yet"),
        ((None, b""), "does not serve yet"),
        ((SERVING, None), "namespace 'default' cannot be used yet"),
    ],
)
def test_temporal_is_ready_when_it_serves_and_its_namespace_can_be_used(
    answers: tuple[bytes | None, ...], not_ready_reason: str
) -> None:
    problem = readiness.temporal("default", "queue").judge(answers)
    assert not_ready_reason in problem
    assert bool(not_ready_reason) == bool(problem)


def test_every_queue_needs_a_workflow_or_activity_poller_of_ours() -> None:
    """A worker that runs only activities does not poll for workflows."""
    check = pollers("a", "b")
    assert len(check.questions) == 4
    assert check.judge((poller("ours"), b"", None, poller("1@other") + poller("ours"))) == ""
    assert check.judge((poller("ours"), b"", b"", b"")) == "no worker polls the queue b"
    assert check.judge((None, None, poller("1@other"), None)) == "no worker polls the queue a, b"


def test_a_probe_survives_invalid_answers() -> None:
    """An external Temporal that sends invalid protobuf is not ready, but must not crash the supervisor."""

    class Nonsense(FakeTemporal):
        def reply(self, headers: bytes, message: bytes) -> bytes:  # noqa: ARG002 - the signature of every service
            return b"\x0a\xff"

    with serving(Nonsense(0)) as address:
        probe = Probe([(address, pollers("a"))], time.monotonic())
        assert not drive(probe, until=lambda: probe.not_ready_reason == f"{address}: a number does not end")


def test_a_probe_survives_a_server_that_goes_away_and_comes_back() -> None:
    (port,) = free_ports(1)
    check = pollers("a")
    probe = Probe([(f"127.0.0.1:{port}", check)], time.monotonic())
    with serving(FakeTemporal(port)):
        assert not drive(probe, until=lambda: "polls" in probe.not_ready_reason)
    assert not drive(probe, until=lambda: "polls" not in probe.not_ready_reason)
    again = FakeTemporal(port)
    again.pollers.append(("a", "ours", 1.0))
    with serving(again):
        assert drive(probe)


def test_all_proofs_must_hold_in_order_and_the_first_failing_one_is_reported() -> None:
    """A server that answers but does not work is not ready: upstream's once logged that workflows will not execute.

    Later proofs are not tried before: each answer of Temporal takes processor time from services that are starting.
    """
    received: list[bytes | None] = []
    polled = pollers("a")

    def judge(answers: Answers) -> str:
        received.extend(answers)
        return polled.judge(answers)

    (port,) = free_ports(1)
    temporal = FakeTemporal(0)
    with serving(temporal) as queues:
        checks = [(f"127.0.0.1:{port}", readiness.HANDSHAKE), (queues, Check(polled.questions, judge))]
        probe = Probe(checks, time.monotonic())
        assert not drive(probe, until=lambda: "cannot connect" in probe.not_ready_reason)
        assert not received
        with serving(FakeServer(port)):
            assert not drive(probe, until=lambda: probe.not_ready_reason == "no worker polls the queue a")
            temporal.pollers.append(("a", "ours", 1.0))
            assert drive(probe)


def test_an_unanswered_round_times_out_and_is_repeated(listener: socket.socket) -> None:
    """A server that hangs after its HTTP/2 greeting must not block the start."""
    address = address_of(listener)
    probe = Probe([(address, Check((("/a/b", b""),), lambda _: ""))], 0.0)
    for now in (0.0, 6.0):
        probe.advance(now)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(frame(SETTINGS, 0, 0))
            eventually(
                lambda now=now: probe.advance(now) or (probe.channel and probe.channel.client.greeted), "greeted"
            )
            assert not probe.advance(now + 4.9)
            assert probe.channel
            assert not probe.advance(now + 5.0)
    assert (probe.channel, probe.not_ready_reason) == (None, f"{address}: no answer")


def refused(elapsed: float, printed_at: float = 0.0) -> Probe:
    """Return a probe that was refused after `elapsed` seconds; its service printed something at `printed_at`."""
    probe = Probe([(f"127.0.0.1:{free_ports(1)[0]}", readiness.HANDSHAKE)], 0.0)
    if printed_at:
        probe.nudge(printed_at)
    while probe.not_ready_reason == "not probed yet":
        probe.advance(elapsed)
    return probe


def unready(elapsed: float) -> Probe:
    """Return a probe that got an answer without proof after `elapsed` seconds."""
    with serving(FakeServer(0)) as address:
        probe = Probe([(address, readiness.Check((), lambda _: "not yet"))], 0.0)
        while probe.not_ready_reason == "not probed yet":
            probe.advance(elapsed)
        probe.close()
    return probe


@pytest.mark.parametrize(
    ("outcome", "elapsed", "pause"),
    [
        (unready, 0.0, 0.02),
        (unready, 0.3, 0.1),
        (unready, 100.0, 0.25),
        (refused, 0.0, 0.004),
        (refused, 1.0, 0.05),
        (refused, 100.0, 0.25),
        (refused, 100_000.0, 5.0),
    ],
)
def test_pauses_grow_with_the_elapsed_time(outcome: Callable[[float], Probe], elapsed: float, pause: float) -> None:
    """While nothing listens, and so nothing has to answer, a probe tries more often: Temporal prints nothing.

    An external Temporal may be down for days; its return is still noticed within seconds.
    """
    assert round(outcome(elapsed).due - elapsed, 3) == pause


def test_a_service_that_printed_something_is_probed_soon_and_often_for_a_while() -> None:
    """Its last line comes some milliseconds before it is ready. Output shortens a pause and never restarts it."""
    probe = refused(100.0)
    for now in (100.1, 100.102):
        probe.nudge(now)
        assert round(probe.due - 100.1, 3) == 0.004
    assert round(refused(100.0, printed_at=99.95).due - 100.0, 3) == 0.004
    assert round(refused(100.0, printed_at=99.8).due - 100.0, 3) == 0.25


def test_a_poller_is_ours_if_its_pid_is_in_the_process_group() -> None:
    """Also if a wrapper and not the worker itself leads the group: a onefile program or a shell script."""
    wrapper = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], start_new_session=True, stdout=-1)
    assert wrapper.stdout is not None
    try:
        inner = int(wrapper.stdout.readline())
        assert readiness.pid_in_group(f"{wrapper.pid}@host", 0.0, wrapper.pid, 5.0) == wrapper.pid
        assert readiness.pid_in_group(f"{inner}@host@queue", 0.0, wrapper.pid, 5.0) == inner
        assert not readiness.pid_in_group(f"{os.getpid()}@host", 9.0, wrapper.pid, 5.0)
        assert not readiness.pid_in_group(f"{2**40}@host", 9.0, wrapper.pid, 5.0)
        assert not readiness.pid_in_group(f"{'9' * 5000}@host", 4.0, wrapper.pid, 5.0)
    finally:
        os.killpg(wrapper.pid, 9)
        wrapper.wait()
        wrapper.stdout.close()


@pytest.mark.parametrize(("last_poll", "is_ours"), [(4.0, False), (5.0, True), (6.0, True)])
def test_a_poller_without_a_pid_is_ours_if_it_polled_after_the_spawn(*, last_poll: float, is_ours: bool) -> None:
    """A worker may choose its identity; one that polled since our process was spawned counts as ours."""
    assert bool(readiness.pid_in_group("worker-of-mine", last_poll, 1, 5.0)) is is_ours


def test_a_blocking_call_returns_its_answers_and_none_for_a_refused_request() -> None:
    with serving(FakeServer(0)) as address:
        request = grpc.encode({1: '{"message": "hi"}'})
        answer, refusal = ask(address, (("/x.Y/Run", request), ("/x.Y/Other", request)), 10.0)
        assert b'"message": "hi"' in (answer or b"")
        assert refusal is None


def test_calls_fail_when_a_server_does_not_answer_or_listen(listener: socket.socket) -> None:
    with pytest.raises(TimeoutError, match=rf"{address_of(listener)} did not answer within 0\.05 s"):
        ask(address_of(listener), (("/x.Y/Run", b""),), 0.05)
    with pytest.raises(OSError, match="connect"):
        ask(f"127.0.0.1:{free_ports(1)[0]}", (("/x.Y/Run", b""),), 10.0)


def test_a_host_name_is_resolved_without_importing_a_codec() -> None:
    """The idna codec would be loaded from the keg, which may be gone."""
    program = (
        "import sys; from stigmer_launcher.readiness.channel import Channel\n"
        "before = set(sys.modules)\n"
        "try: Channel('localhost:1').close()\n"
        "except OSError: pass\n"
        "assert set(sys.modules) == before, set(sys.modules) - before"
    )
    subprocess.run([sys.executable, "-S", "-c", program], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_temporal_is_asked_for_the_workflow_and_the_activity_pollers_of_each_queue() -> None:
    """With the field numbers of its API; it ignores fields that it does not know."""
    questions = readiness.check_for(readiness.ResolvedProof("pollers", "there:1", "ours", ("a", "b")), 0, 0.0).questions
    assert {method.rpartition("/")[2] for method, _ in questions} == {"DescribeTaskQueue"}
    queues = [(queue, kind) for queue in (b"a", b"b") for kind in (1, 2)]
    for (_, message), (queue, kind) in zip(questions, queues, strict=True):
        (described,) = grpc.byte_strings(message, 2)
        assert (list(grpc.byte_strings(message, 1)), list(grpc.byte_strings(described, 1))) == ([b"ours"], [queue])
        assert grpc.integer(message, 3) == kind
