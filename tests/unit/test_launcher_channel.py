"""A connection is made to whichever address of a host answers."""

import contextlib
import select
import socket
import threading
import time
from typing import Any

import pytest

from stigmer_launcher.readiness.address import Address
from stigmer_launcher.readiness.channel import Channel
from stigmer_launcher.readiness.checks import OPEN_PORT
from stigmer_launcher.readiness.probe import Probe
from support.launcher_services import free_ports

STREAM = (socket.AF_INET, socket.SOCK_STREAM, 6, "")


def resolver(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    """Let every name stand for these addresses."""

    def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(*STREAM, place) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def becomes_connected(channel: Channel) -> bool:
    """Wait as the supervisor does, until the connection is made; OSError when it cannot be."""
    deadline = time.monotonic() + 10
    while not channel.connected:
        assert time.monotonic() < deadline
        waiting = select.poll()
        waiting.register(channel.fileno(), channel.wanted)
        waiting.poll(100)
    return True


@pytest.mark.parametrize("refusing", [1, 2], ids=["one refuses", "two refuse"])
def test_the_next_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch, refusing: int) -> None:
    """`localhost` often stands for ::1 first, and Temporal listens on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = [(f"127.0.0.{number}", free_ports(1)[0]) for number in range(2, 2 + refusing)]
        resolver(monkeypatch, *refused, ("127.0.0.1", port))
        channel = Channel(Address("localhost", port))
        assert becomes_connected(channel)
        channel.close()


def test_a_slow_look_up_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on, and can give the connection up; the answer of a name server may take half a minute."""
    asked, answered = threading.Event(), threading.Event()

    def look_up(*_: Any, flags: int = 0, **__: Any) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        asked.set()
        assert answered.wait(30)
        return [(*STREAM, server.getsockname())]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel, given_up = Channel(Address("slow", 1)), Channel(Address("slow", 1))
        probe = Probe([(Address("slow", 1), OPEN_PORT)], 0.0)
        assert asked.wait(30)
        assert (probe.advance(0.0), probe.advance(60.0)) == (False, False)
        assert probe.not_ready_reason == "slow:1: its name was not looked up in time"
        assert (channel.advance(), channel.connected, channel.wanted) == ([], False, select.POLLIN)
        given_up.close()
        answered.set()
        assert becomes_connected(channel)
        channel.close()


def test_a_host_that_is_not_known_is_an_error_that_says_so() -> None:
    channel = Channel(Address("nobody.invalid", 1))
    with pytest.raises(OSError, match=r"[Nn]ame"):
        becomes_connected(channel)
    channel.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_numeric_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(threading, "Thread", lambda **_: pytest.fail("it must not be called"))
    with contextlib.suppress(OSError):  # there may be no IPv6
        Channel(Address(host, free_ports(1)[0])).close()


def test_where_there_is_no_room_for_a_thread_the_connection_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="can't start new thread"):
        Channel(Address("localhost", 1))


def test_a_host_of_which_no_address_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver(monkeypatch, ("127.0.0.2", free_ports(1)[0]), ("127.0.0.3", free_ports(1)[0]))
    channel = Channel(Address("localhost", 1))
    with pytest.raises(OSError, match="cannot connect"):
        becomes_connected(channel)
    channel.close()
