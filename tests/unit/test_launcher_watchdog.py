"""The watchdog and the leftovers: stopping the services of a killed supervisor, and no other process."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stigmer_launcher.errors import BusyError
from stigmer_launcher.supervise import child, leftovers
from stigmer_launcher.supervise.state import ServiceSnapshot
from stigmer_launcher.supervise.watchdog import Watchdog
from stigmer_launcher.system import locks, process
from stigmer_launcher.system.process import RUN_TOKEN, identity
from support.launcher_services import eventually, is_running, raising_oserror, read_line

GRACEFUL = "trap 'echo {name} >>{notes}; exit 0' TERM; echo ready >>{notes}; while :; do sleep 0.02; done"


@contextmanager
def service(script: str, token: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run a shell script in its own session, like a service."""
    environment = {"PATH": os.environ["PATH"], RUN_TOKEN: token}
    process = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def member(process: subprocess.Popen[bytes], order: int = 1, grace: float = 5.0) -> ServiceSnapshot:
    return ServiceSnapshot(pid=process.pid, identity=identity(process.pid), stop_order=order, grace=grace)


def wait_for_words(notes: Path, count: int) -> list[str]:
    """Wait until a file has `count` words and return them."""
    eventually(lambda: notes.exists() and len(notes.read_text().split()) >= count, f"{count} words")
    return notes.read_text().split()


def supervisor(lock: Path, *members: ServiceSnapshot, action: str) -> subprocess.Popen[str]:
    """Start a process whose watchdog watches some services; it prints the watchdog's pid, then runs `action`."""
    program = (
        "import os, signal, sys, time\n"
        "from stigmer_launcher.supervise.state import ServiceSnapshot\n"
        "from stigmer_launcher.supervise.watchdog import Watchdog\n"
        f"watchdog = Watchdog({str(lock)!r}, '')\n"
        "watchdog.start()\n"
        f"members = {list(members)!r}\n"
        "watchdog.watch(members)\n"
        "watchdog.wait_until_ready()\n"
        "print(watchdog.pid, flush=True)\n"
        f"{action}\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)


KILL_ITSELF = "os.kill(os.getpid(), signal.SIGKILL)"


def run_supervisor(lock: Path, *members: ServiceSnapshot, action: str = KILL_ITSELF) -> int:
    """Run such a process until it ends, and return the watchdog's pid."""
    with supervisor(lock, *members, action=action) as process:
        return int(read_line(process))


def test_when_the_supervisor_is_killed_the_watchdog_stops_the_services_in_order(tmp_path: Path) -> None:
    """Each can stop cleanly, Temporal last."""
    notes = tmp_path / "notes"
    with (
        service(GRACEFUL.format(name="temporal", notes=notes)) as temporal,
        service(GRACEFUL.format(name="runner", notes=notes)) as runner,
    ):
        wait_for_words(notes, 2)
        run_supervisor(tmp_path / "lock", member(temporal, 1), member(runner, 2))
        assert temporal.wait(10) == 0
        assert runner.wait(10) == 0
        assert wait_for_words(notes, 4)[2:] == ["runner", "temporal"]


def test_the_watchdog_holds_its_lock_until_it_has_finished(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with service("trap '' TERM; sleep 60") as stubborn:
        watchdog = run_supervisor(lock, member(stubborn, grace=1.0))
        assert locks.holder(str(lock)) == watchdog
        locks.acquire(str(lock), 10).release()
        assert stubborn.wait(1) == -signal.SIGKILL
        eventually(lambda: not is_running(watchdog), "the end of the watchdog")


def test_stopping_the_watchdog_ends_no_service(tmp_path: Path) -> None:
    """The supervisor has stopped its services itself, and their pids may have been reused."""
    with service("sleep 60") as watched:
        run_supervisor(tmp_path / "lock", member(watched), action="watchdog.stop()")
        assert locks.holder(str(tmp_path / "lock")) == 0
        assert watched.poll() is None


@pytest.mark.parametrize(
    "action", ["watchdog.stop()", "[watchdog.watch([ServiceSnapshot()] * 9) for _ in range(5000)]"]
)
def test_a_suspended_watchdog_does_not_block_its_supervisor(tmp_path: Path, action: str) -> None:
    """Neither at the end nor while services restart again and again: it is killed, and another one can be started."""
    action = f"os.kill(watchdog.pid, signal.SIGSTOP); pid = watchdog.pid; {action}; watchdog.pid and os.waitpid(pid, 0)"
    with supervisor(tmp_path / "lock", action=action) as process:
        watchdog = int(read_line(process))
        try:
            assert process.wait(20) == 0
            assert not is_running(watchdog)
        finally:
            process.kill()
            with suppress(ProcessLookupError):
                os.kill(watchdog, signal.SIGKILL)


def test_a_watchdog_that_is_suspended_before_it_is_ready_does_not_block_its_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stigmer_launcher.supervise.watchdog._READY_TIMEOUT", 0.1)
    monkeypatch.setattr(locks, "try_acquire", lambda _: os.kill(os.getpid(), signal.SIGSTOP))
    watchdog = Watchdog(str(tmp_path / "lock"), "")
    watchdog.start()
    signal.signal(signal.SIGALRM, lambda *_: os.kill(watchdog.pid, signal.SIGKILL))
    signal.alarm(20)
    watchdog.wait_until_ready()
    assert signal.alarm(0), "it waited until the watchdog was killed"
    watchdog.stop()


def test_a_watchdog_that_cannot_lock_stops_the_services(tmp_path: Path) -> None:
    """As when the lock daemon of an NFS server is down. The watchdog once exited immediately, again and again."""
    (tmp_path / "lock").mkdir()
    with service("sleep 60") as watched:
        run_supervisor(tmp_path / "lock", member(watched))
        assert watched.wait(10) == -signal.SIGTERM


def test_a_watchdog_that_ends_before_it_is_ready_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop once replaced it immediately, a hundred times a second while too many files were open."""
    monkeypatch.setattr(child, "daemonize", raising_oserror(errno.ENFILE))
    watchdog = Watchdog(str(tmp_path / "lock"), "")
    watchdog.start()
    pid = watchdog.pid
    watchdog.wait_until_ready()
    assert watchdog.pid == 0
    assert os.waitpid(pid, 0)[0] == pid
    watchdog.stop()


def test_a_service_that_is_no_longer_watched_is_not_stopped(tmp_path: Path) -> None:
    with service("sleep 60") as first, service("sleep 60") as second:
        action = f"watchdog.watch(members[1:]); time.sleep(0.1); {KILL_ITSELF}"
        run_supervisor(tmp_path / "lock", member(first), member(second), action=action)
        assert second.wait(10) == -signal.SIGTERM
        locks.acquire(str(tmp_path / "lock"), 10).release()
        assert first.poll() is None


def test_a_watchdog_survives_stop_signals(tmp_path: Path) -> None:
    """Every process gets them when a machine shuts down."""
    signals = "[os.kill(watchdog.pid, number) for number in (1, 2, 15)]; time.sleep(0.1)"
    with service("sleep 60") as watched:
        run_supervisor(tmp_path / "lock", member(watched), action=f"{signals}; {KILL_ITSELF}")
        assert watched.wait(10) == -signal.SIGTERM


def test_a_watchdog_that_replaces_a_killed_one_watches_the_same_services(tmp_path: Path) -> None:
    replacement = "os.kill(watchdog.pid, 9); os.waitpid(watchdog.pid, 0); watchdog.start()"
    with service("sleep 60") as watched:
        run_supervisor(tmp_path / "lock", member(watched), action=f"{replacement}; {KILL_ITSELF}")
        assert watched.wait(10) == -signal.SIGTERM


def test_the_watchdog_keeps_no_pipe_of_the_supervisor_open(tmp_path: Path) -> None:
    """Otherwise a service would not notice that its output is no longer read."""
    action = "reader, writer = os.pipe(); watchdog.start(); print(watchdog.pid, flush=True); time.sleep(60)"
    with supervisor(tmp_path / "lock", action=action) as process:
        read_line(process)
        opened = Path(f"/proc/{int(read_line(process))}/fd")
        # the standard streams, its socket, and the lock once the first watchdog has released it; a pipe makes it more
        eventually(lambda: len(list(opened.iterdir())) <= 5, "five descriptors")
        process.kill()


def test_a_message_that_arrives_in_two_pieces_is_understood(tmp_path: Path) -> None:
    """A stream socket does not preserve message boundaries."""
    watchdog = Watchdog(str(tmp_path / "lock"), "")
    with service("sleep 60") as watched:
        pid = os.fork()
        if pid == 0:  # a supervisor that pauses in the middle of a message
            watchdog.start()
            roster = json.dumps([member(watched)]).encode() + b"\n"
            for piece in (roster[:5], roster[5:]):
                watchdog._socket.sendall(piece)  # noqa: SLF001 - the wire format is under test
                time.sleep(0.1)
            os._exit(1)
        os.waitpid(pid, 0)
        assert watched.wait(10) == -signal.SIGTERM


def test_stale_pids_and_ended_services_are_ignored() -> None:
    """A pid may have been reused: upstream trusted it, and killed other processes."""
    with service("sleep 60") as stranger, service("exit 0") as ended:
        eventually(lambda: not identity(ended.pid), "a zombie")
        assert (
            leftovers.stop_all([ServiceSnapshot(pid=pid, identity="boot:1") for pid in (stranger.pid, ended.pid)], "")
            == 0
        )
        assert stranger.poll() is None


def test_the_rest_of_a_group_is_killed_with_its_leader(tmp_path: Path) -> None:
    note = tmp_path / "inner"
    script = f"(trap '' TERM; sleep 60) & echo $! >{note}; trap 'exit 0' TERM; while :; do sleep 0.02; done"
    with service(script) as leader:
        inner = int(wait_for_words(note, 1)[0])
        assert leftovers.stop_all([member(leader)], "") == 1
        eventually(lambda: not is_running(inner), "the end of the group")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="environments of processes are read from /proc")
def test_a_process_that_escaped_into_another_session_is_found_by_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only processes of this run get a signal, and never by pid alone, which may be another process's by then.

    Where the kernel has pidfds, the signal goes to the very process that was found.
    """
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("os.kill must not be called"))
    token, note = os.urandom(16).hex(), tmp_path / "escaped"
    script = f"setsid sh -c 'echo $$ >{note}; sleep 60' & sleep 60"
    with service(script, token) as leader, service("sleep 60", "another") as stranger:
        hidden = int(wait_for_words(note, 1)[0])
        assert os.getpgid(hidden) != leader.pid
        assert set(leftovers.find_escaped(token)) >= {(pid, identity(pid)) for pid in (hidden, leader.pid)}
        leftovers.stop_all([member(leader)], token)
        assert not is_running(hidden)
        assert stranger.poll() is None
        assert list(leftovers.find_escaped("")) == [], "a state file without a token must not match everything"


def test_a_process_that_takes_long_to_die_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number in `Ended processes of a killed server: 3` once counted a process at every check."""
    looks = iter([[(7, "a")], [(7, "a"), (8, "b")], []])
    monkeypatch.setattr(leftovers, "find_escaped", lambda _: next(looks))
    monkeypatch.setattr(process, "send_signal", lambda *_: None)
    assert leftovers.kill_escaped("token") == 2


def test_an_unkillable_process_is_reported_and_not_waited_for_forever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that waits for a hung network drive ignores SIGKILL."""
    monkeypatch.setattr(process, "KILL_TIMEOUT", 0.1)
    for name in ("send_signal", "signal_group"):
        monkeypatch.setattr(process, name, lambda *_: None)
    token = os.urandom(16).hex()
    with service("sleep 60", token) as watched:
        for services in ([member(watched)._replace(grace=0.1)], []):
            with pytest.raises(BusyError, match=f"^process {watched.pid} was killed and has not ended$"):
                leftovers.stop_all(services, token)


def test_an_unkillable_process_does_not_keep_other_services_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Temporal, which stops last, could then not be stopped by any command."""
    monkeypatch.setattr(process, "KILL_TIMEOUT", 0.1)
    signal_group = process.signal_group
    with service("sleep 60") as stuck, service("sleep 60") as healthy:
        monkeypatch.setattr(process, "signal_group", lambda pid, number: pid == stuck.pid or signal_group(pid, number))
        with pytest.raises(BusyError, match=f"^process {stuck.pid} was killed and has not ended$"):
            leftovers.stop_all([member(stuck, order=2, grace=0.1), member(healthy, order=1)], "")
        assert healthy.wait(10) == -signal.SIGTERM


def test_a_command_in_an_environment_with_the_token_does_not_kill_itself() -> None:
    """A user may start the server again from a shell that an agent of the killed server had opened."""
    token = os.urandom(16).hex()
    program = f"from stigmer_launcher.supervise import leftovers; print(leftovers.stop_all([], {token!r}))"
    environment = {**os.environ, RUN_TOKEN: token, "PYTHONPATH": str(Path(leftovers.__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=False, capture_output=True, timeout=60
    )
    assert (result.returncode, result.stdout) == (0, b"0\n")
