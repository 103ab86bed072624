"""Readiness: what counts as a proof, and a probe that asks a real server over a real socket until it gets one."""

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

OURS = os.getpid(), 1.0  # a process group, and when it was spawned: a poller without a pid is its own
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
    """Return the check of a worker of ours."""
    return readiness.check_for(readiness.ResolvedProof("pollers", "", "default", queues), *OURS)


def poller(identity: str, seconds: int = 1000) -> bytes:
    return grpc.encode({1: grpc.encode({1: grpc.encode({1: seconds}), 2: identity})})


@pytest.fixture(name="listener")
def _listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address_of(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_an_open_port_alone_does_not_prove_a_server(listener: socket.socket) -> None:
    """Upstream took a TCP connection for readiness, and met connection errors on slow machines."""
    probe = Probe([(address_of(listener), readiness.HANDSHAKE)], time.monotonic())
    turns = iter(range(20))
    deadline = time.monotonic() + 0.2
    assert not drive(probe, until=lambda: next(turns, None) is None or time.monotonic() > deadline)


def test_where_only_an_open_port_is_required_an_accepted_connection_is_proof(listener: socket.socket) -> None:
    """Whatever the program speaks; it is sent nothing that would be foreign to it."""
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
def test_a_server_that_comes_late_is_waited_for_and_proves_itself(
    check: Check, server: Callable[[int], AbstractContextManager[object]]
) -> None:
    """The refusal is said meanwhile. A gRPC server is asked nothing: that it speaks HTTP/2 is enough."""
    (port,) = free_ports(1)
    probe = Probe([(f"127.0.0.1:{port}", check)], time.monotonic())
    assert not drive(probe, until=lambda: probe.not_ready_reason.startswith(f"127.0.0.1:{port}: cannot connect"))
    with server(port):
        assert drive(probe)


def test_a_server_that_speaks_something_else_is_named(listener: socket.socket) -> None:
    """An old web server on the port is not taken for ours."""

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
def test_temporal_is_judged_by_health_and_namespace(answers: tuple[bytes | None, ...], not_ready_reason: str) -> None:
    judged = readiness.temporal("default", "queue").judge(answers)
    assert not_ready_reason in judged
    assert bool(not_ready_reason) == bool(judged)


def test_every_queue_must_have_a_poller_of_ours_of_either_kind() -> None:
    """A worker of activities alone polls no workflow queue."""
    check = pollers("a", "b")
    assert len(check.questions) == 4
    assert check.judge((poller("ours"), b"", None, poller("1@other") + poller("ours"))) == ""
    assert check.judge((poller("ours"), b"", b"", b"")) == "no worker polls the queue b"
    assert check.judge((None, None, poller("1@other"), None)) == "no worker polls the queue a, b"


def test_a_probe_survives_invalid_answers() -> None:
    """An external Temporal that sends no protobuf is not ready; that must not end the supervisor."""

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


def test_every_proof_must_hold_in_turn_and_the_first_that_does_not_is_named() -> None:
    """A server that answers and does not work is not ready: upstream's once said that workflows will not execute.

    Nobody is asked before: each answer of Temporal's takes the processor from those that are starting.
    """
    asked: list[bytes | None] = []
    polled = pollers("a")

    def judge(answers: Answers) -> str:
        asked.extend(answers)
        return polled.judge(answers)

    (port,) = free_ports(1)
    temporal = FakeTemporal(0)
    with serving(temporal) as queues:
        checks = [(f"127.0.0.1:{port}", readiness.HANDSHAKE), (queues, Check(polled.questions, judge))]
        probe = Probe(checks, time.monotonic())
        assert not drive(probe, until=lambda: "cannot connect" in probe.not_ready_reason)
        assert not asked
        with serving(FakeServer(port)):
            assert not drive(probe, until=lambda: probe.not_ready_reason == "no worker polls the queue a")
            temporal.pollers.append(("a", "ours", 1.0))
            assert drive(probe)


def test_an_unanswered_round_is_given_up_and_begun_again(listener: socket.socket) -> None:
    """A server that hangs after its greeting does not hang the start."""
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


def refused(elapsed: float, stirred: float = 0.0) -> Probe:
    """Return a probe that was refused when so many seconds had gone, its service having printed something at `stirred`."""
    probe = Probe([(f"127.0.0.1:{free_ports(1)[0]}", readiness.HANDSHAKE)], 0.0)
    if stirred:
        probe.nudge(stirred)
    while probe.not_ready_reason == "not probed yet":
        probe.advance(elapsed)
    return probe


def unready(elapsed: float) -> Probe:
    """Return a probe that was answered, without a proof, when so many seconds had gone."""
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
def test_pauses_grow_with_the_time_it_takes(outcome: Callable[[float], Probe], elapsed: float, pause: float) -> None:
    """Where nobody listens yet, and so nobody has to answer, a probe knocks more often: Temporal prints nothing.

    An external Temporal may be away for days; its return is noticed within seconds still.
    """
    assert round(outcome(elapsed).due - elapsed, 3) == pause


def test_a_service_that_has_printed_something_is_probed_soon_and_often_for_a_while() -> None:
    """Its last line before it is ready comes some milliseconds before that. A pause is shortened, never begun anew."""
    probe = refused(100.0)
    for now in (100.1, 100.102):
        probe.nudge(now)
        assert round(probe.due - 100.1, 3) == 0.004
    assert round(refused(100.0, stirred=99.95).due - 100.0, 3) == 0.004
    assert round(refused(100.0, stirred=99.8).due - 100.0, 3) == 0.25


def test_a_poller_is_ours_by_the_process_group_its_pid_is_in() -> None:
    """Also when a wrapper, not the worker itself, leads the group: a onefile program, or a shell script."""
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


@pytest.mark.parametrize(("seen", "is_ours"), [(4.0, False), (5.0, True), (6.0, True)])
def test_a_poller_without_a_pid_is_judged_by_its_time(*, seen: float, is_ours: bool) -> None:
    """A worker may choose its identity; one that polled since our process was spawned is taken for it."""
    assert bool(readiness.pid_in_group("worker-of-mine", seen, 1, 5.0)) is is_ours


def test_a_blocking_call_waits_for_its_answers_of_which_a_refused_one_is_none() -> None:
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
    """The idna codec would have to come from a keg that may be gone."""
    program = (
        "import sys; from stigmer_launcher.readiness.channel import Channel\n"
        "before = set(sys.modules)\n"
        "try: Channel('localhost:1').close()\n"
        "except OSError: pass\n"
        "assert set(sys.modules) == before, set(sys.modules) - before"
    )
    subprocess.run([sys.executable, "-S", "-c", program], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
