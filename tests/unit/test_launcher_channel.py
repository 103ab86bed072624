"""A channel connects to the first address of a host that answers."""

import contextlib
import select
import socket
import sys
import threading
import time
from typing import Any

import pytest

from stigmer_launcher.readiness.channel import Channel, ask
from stigmer_launcher.readiness.checks import OPEN_PORT
from stigmer_launcher.readiness.probe import Probe
from support.launcher_services import free_ports

STREAM = (socket.AF_INET, socket.SOCK_STREAM, 6, "")


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Resolve every name to these addresses."""

    def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(*STREAM, address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def connect(channel: Channel) -> None:
    """Wait for the connection as the supervisor does; OSError if it cannot be made."""
    deadline = time.monotonic() + 10
    with contextlib.closing(channel):
        while channel.advance(http2=False) is None:
            assert time.monotonic() < deadline
            waiting = select.poll()
            waiting.register(channel.fileno(), channel.wanted)
            waiting.poll(100)


def test_a_server_that_closes_the_connection_has_not_answered() -> None:
    """As a program does that does not speak HTTP/2; the event loop must not wait for it without a pause."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)

        greeting = threading.Thread(target=greet)
        greeting.start()
        with pytest.raises(OSError, match=r"closed|reset"):
            ask(f"127.0.0.1:{server.getsockname()[1]}", [("/a.Service/Method", b"")], 2.0)
        greeting.join()


@pytest.mark.parametrize("refusing", [1, 2], ids=["one refuses", "two refuse"])
def test_the_next_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch, refusing: int) -> None:
    """`localhost` often stands for ::1 first, and Temporal listens on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = [(f"127.0.0.{number}", free_ports(1)[0]) for number in range(2, 2 + refusing)]
        resolve_to(monkeypatch, *refused, ("127.0.0.1", port))
        connect(Channel(f"localhost:{port}"))


def test_an_address_of_an_unsupported_family_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` also resolves to ::1 where IPv6 is turned off; only that address used to be tried."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        unsupported = (9999, socket.SOCK_STREAM, 6, "", ("::1", 1))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unsupported, (*STREAM, server.getsockname())])
        connect(Channel("localhost:1"))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unsupported])
        with pytest.raises(OSError, match="cannot connect: Address family not supported"):
            Channel("localhost:1")


def test_a_server_that_sends_without_end_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor once kept reading, and neither checked other services nor stopped."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        contextlib.closing(Channel(f"127.0.0.1:{server.getsockname()[1]}")) as channel,
    ):
        while channel.advance(http2=False) is None:
            select.select([], [channel], [])
        channel.client.ask([("/Service/Call", b"")])
        chunks = iter([bytes(3) + b"\x04" + bytes(5)] * 100)  # SETTINGS
        monkeypatch.setattr(socket.socket, "recv", lambda *_: next(chunks, b""))
        assert (channel.advance(), len([*chunks])) == (None, 99)


def test_a_slow_lookup_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server may take half a minute; meanwhile the connection can be closed."""
    started, answered = threading.Event(), threading.Event()

    def look_up(*_: Any, flags: int = 0, **__: Any) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        started.set()
        assert answered.wait(30)
        return [(*STREAM, server.getsockname())]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel, given_up = Channel("slow:1"), Channel("slow:1")
        probe = Probe([("slow:1", OPEN_PORT)], 0.0)
        assert started.wait(30)
        assert (probe.advance(0.0), probe.advance(60.0)) == (False, False)
        assert probe.not_ready_reason == "slow:1: its name was not looked up in time"
        assert (channel.advance(), channel.wanted) == (None, select.POLLIN)
        given_up.close()
        answered.set()
        connect(channel)


@pytest.mark.parametrize("known", [socket.AF_INET, socket.AF_INET6])
def test_on_macos_a_name_is_looked_up_without_calling_libnetwork(monkeypatch: pytest.MonkeyPatch, known: int) -> None:
    """Apple's `si_addrinfo` (Libinfo) calls libnetwork otherwise, which crashes a forked process since macOS 26."""

    def look_up(_: bytes, __: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:  # noqa: A002
        if not flags & (socket.AI_NUMERICHOST | socket.AI_PASSIVE):
            raise OSError("libnetwork checks the path to the host")
        if family == socket.AF_UNSPEC and not flags & socket.AI_NUMERICHOST:
            raise OSError("libnetwork is asked whether NAT64 is needed")
        if flags & socket.AI_NUMERICHOST or family != known:
            raise socket.gaierror(socket.EAI_NONAME, "nodename nor servname provided, or not known")
        return [(*STREAM, server.getsockname())]

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(Channel("temporal.example:7233"))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_numeric_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(threading, "Thread", lambda **_: pytest.fail("it must not be called"))
    with contextlib.suppress(OSError):  # there may be no IPv6
        Channel(f"{host}:{free_ports(1)[0]}").close()


def test_a_connection_fails_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """OSError makes the supervisor retry, as after every failed connection."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="can't start new thread"):
        Channel("localhost:1")


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(OSError, match=r"[Nn]ame"):
        connect(Channel("nobody.invalid:1"))


def test_a_host_of_which_every_address_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ("127.0.0.2", free_ports(1)[0]), ("127.0.0.3", free_ports(1)[0]))
    with pytest.raises(OSError, match="cannot connect"):
        connect(Channel("localhost:1"))
