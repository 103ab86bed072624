"""`stigmer server --foreground` stops cleanly when it should, and keeps running when it should not stop."""

import contextlib
import fcntl
import os
import signal
import subprocess
import termios
from functools import partial
from typing import Any

import pytest

from support.launcher_checks import await_all_running, in_foreground, serves_and_stops, stop_by
from support.launcher_services import Stigmer, eventually, finished, is_running

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_in_the_foreground_every_signal_to_stop_is_a_clean_stop(launcher: Stigmer, number: int) -> None:
    """Service managers, Ctrl-C and a closed terminal send them."""
    process = in_foreground(launcher)
    assert launcher.status()["supervisor_pid"] == process.pid
    stop_by(process, number)
    assert launcher.processes() == []
    order = [line.split()[1].rstrip(":") for line in launcher.log("supervisor").splitlines() if ": stopped" in line]
    assert order == ["workflow-runner", "agent-runner", "stigmer-server", "temporal", "everything"]


@pytest.mark.stack(agent_runner="term=ignore", grace=60)
def test_a_second_interrupt_kills_the_services_at_once(launcher: Stigmer) -> None:
    process = in_foreground(launcher)
    process.send_signal(signal.SIGINT)
    eventually(lambda: "agent-runner: ending" in launcher.log("supervisor"), "the first interrupt")
    stop_by(process, signal.SIGINT)
    assert launcher.processes() == []


@pytest.mark.stack(agent_runner="term=ignore", grace=0.5)
def test_in_the_foreground_the_service_that_is_killed_is_named_too(launcher: Stigmer) -> None:
    printed = stop_by(in_foreground(launcher))
    assert printed.endswith("\nagent-runner did not stop within 0.5 s; it is killed\nStopping server... ok\n")


def block() -> None:
    """Block the signals that a server handles, as some service managers and threads do."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def ignore() -> None:
    """Ignore SIGCHLD and requests to stop, as `trap '' TERM` does."""
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("prepare", [block, ignore])
def test_signals_blocked_or_ignored_by_the_parent_are_handled(launcher: Stigmer, prepare: object) -> None:
    quiet = subprocess.DEVNULL
    serves_and_stops(launcher, in_foreground(launcher, stdout=quiet, stderr=quiet, preexec_fn=prepare))


def test_a_foreground_server_whose_reader_goes_keeps_serving(launcher: Stigmer) -> None:
    """It writes only to its log, restarts crashed services, and stops cleanly."""
    foreground = launcher.popen("server", "--foreground", stderr=subprocess.DEVNULL)
    assert foreground.stdout is not None
    with foreground.stdout:
        assert foreground.stdout.readline()
    serves_and_stops(launcher, foreground)
    assert launcher.status()["state"] == "stopped"
    assert launcher.children() == []
    assert "Traceback" not in launcher.log("supervisor")


def on_closed_terminal(launcher: Stigmer, **more: Any) -> subprocess.Popen[str]:
    """Return a server started in the foreground of a terminal that is closed once everything runs."""
    controller, terminal = os.openpty()
    foreground = in_foreground(launcher, stdin=terminal, stdout=terminal, stderr=terminal, **more)
    os.close(terminal)
    os.close(controller)
    return foreground


def test_a_closed_terminal_stops_a_foreground_server_cleanly(launcher: Stigmer) -> None:
    """The hang-up requests a stop, which must succeed although the last lines cannot be printed."""
    foreground = on_closed_terminal(launcher, start_new_session=True)
    os.kill(foreground.pid, signal.SIGHUP)
    assert foreground.wait(timeout=30) == 0
    assert launcher.status()["state"] == "stopped"
    assert not is_running(foreground.pid)
    assert launcher.children() == []


def test_a_foreground_server_whose_terminal_goes_without_a_hang_up_keeps_serving(launcher: Stigmer) -> None:
    """As after `disown -h`, or when the program that owns the terminal crashes: every line it prints is an error."""
    launcher.environment["TERM"] = "xterm"
    serves_and_stops(launcher, on_closed_terminal(launcher))


def test_a_hang_up_that_is_ignored_does_not_stop_a_foreground_server(launcher: Stigmer) -> None:
    """As nohup(1) starts it."""
    nohup, quiet = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN), subprocess.DEVNULL
    foreground = in_foreground(launcher, preexec_fn=nohup, stdout=quiet, stderr=quiet)
    foreground.send_signal(signal.SIGHUP)
    serves_and_stops(launcher, foreground)


def test_a_foreground_server_that_is_suspended_can_be_stopped(launcher: Stigmer) -> None:
    """Ctrl-Z suspends it; the services, in sessions of their own, keep running."""
    foreground = in_foreground(launcher)
    foreground.send_signal(signal.SIGSTOP)
    stopped = launcher("server", "stop")
    assert (stopped.code, stopped.err) == (0, "")
    assert finished(foreground).code == 0


def test_a_foreground_server_on_a_paused_terminal_keeps_serving(launcher: Stigmer) -> None:
    """Ctrl-S pauses it: a write would block until Ctrl-Q."""
    controller, terminal = os.openpty()
    foreground = in_foreground(launcher, stdout=terminal, stderr=subprocess.DEVNULL)
    termios.tcflow(terminal, termios.TCOOFF)
    serves_and_stops(launcher, foreground)
    os.close(terminal)
    os.close(controller)


def test_a_server_in_the_background_of_a_terminal_with_tostop_keeps_serving(launcher: Stigmer) -> None:
    """After `stty tostop`, a write suspends a program unless it ignores SIGTTOU."""
    controller, terminal = os.openpty()
    job = ("sh", "-mc", '"$@" & wait', "sh", *launcher.program, "server", "--foreground")
    own = partial(fcntl.ioctl, terminal, termios.TIOCSCTTY, 0)
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    shell = launcher.spawn(*job, **streams, start_new_session=True, preexec_fn=own)
    await_all_running(launcher)
    attributes = termios.tcgetattr(terminal)
    attributes[3] |= termios.TOSTOP
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    serves_and_stops(launcher, shell)
    os.close(terminal)
    os.close(controller)


def test_a_foreground_server_whose_reader_pauses_keeps_serving(launcher: Stigmer) -> None:
    """The reader, such as `less` or a hanging service manager, lets the pipe fill up."""
    reader, writer = os.pipe()
    foreground = in_foreground(launcher, stdout=writer, stderr=subprocess.DEVNULL)
    fill(writer)
    serves_and_stops(launcher, foreground)
    os.close(writer)
    os.close(reader)


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(pipe, bytes(4096)):
            pass
    os.set_blocking(pipe, True)


def test_a_foreground_server_says_why_it_ends(launcher: Stigmer) -> None:
    foreground = in_foreground(launcher)
    launcher.home.rename(launcher.home.with_name("aside"))
    done = finished(foreground)
    assert (done.code, done.err) == (0, "")
    assert f"{launcher.home}/run/supervisor.lock was removed or replaced; stopping" in done.out
