"""Signals reach only processes whose identity is proven, and a lock with a hidden holder is an error."""

import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.cli.main import main
from stigmer_launcher.errors import HomeError
from stigmer_launcher.system import locks, process
from support.launcher_services import HOLD, LAUNCHER, hold, raising_oserror, read_line

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's open file description locks")
IN_PID_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")
NO_PIDFD = raising_oserror(errno.ENOSYS)  # as in a kernel without pidfds
COMMANDS = ((), ("status",), ("stop",), ("restart",), ("--foreground",))


@contextmanager
def hidden_holder(path: Path) -> Iterator[None]:
    """Hold a lock that belongs to an open file description, for which F_GETLK returns pid -1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        yield
    finally:
        os.close(descriptor)


@contextmanager
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Run another process until the end of the test."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


@linux_only
@pytest.mark.parametrize("call", [locks.holder, lambda path: locks.acquire(path, 600)], ids=["holder", "acquire"])
def test_a_lock_whose_holder_has_no_pid_is_an_error(tmp_path: Path, call: Callable[[str], object]) -> None:
    """Commands do not wait for it: it may run for days, and they could not say which process it is."""
    with hidden_holder(tmp_path / "lock"), pytest.raises(HomeError, match="lock is locked by a process that"):
        call(str(tmp_path / "lock"))


@linux_only
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_signals_or_starts_a_process_while_a_hidden_process_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """`stop` once sent SIGTERM to pid -1, which means every process of the user."""
    for forbidden in ("kill", "killpg", "fork"):
        monkeypatch.setattr(os, forbidden, lambda *_: pytest.fail("it must not be called"))
    with hidden_holder(tmp_path / "run" / "supervisor.lock"):
        code = main(["server", *words], {"STIGMER_HOME": str(tmp_path)}, sys.stdout, sys.stderr)
    err = capsys.readouterr().err
    assert (code, "cannot be seen from here" in err) == (1, True)
    assert "run the command where Stigmer was started" in err


@linux_only
@pytest.mark.parametrize("words", [("set", "ports.server", "7300"), ("unset", "ports.server")], ids=" ".join)
def test_settings_can_be_changed_while_a_hidden_process_holds_the_lock(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The command used to fail after it had changed the file."""
    environ = {"STIGMER_HOME": str(tmp_path)}
    main(["config", "set", "ports.server", "7299"], environ, sys.stdout, sys.stderr)
    with hidden_holder(tmp_path / "run" / "supervisor.lock"):
        assert main(["config", *words], environ, sys.stdout, sys.stderr) == 0
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert ("7299" in config, "7300" in config) == (False, words[0] == "set")


@linux_only
def test_doctor_reports_a_hidden_holder_and_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hidden_holder(tmp_path / "run" / "supervisor.lock"):
        assert main(["doctor"], {"STIGMER_HOME": str(tmp_path)}, sys.stdout, sys.stderr) == 1
    out = capsys.readouterr().out
    assert "cannot be seen from here" in out
    assert "Model" in out


def test_a_holder_in_another_pid_namespace_is_hidden_from_inside(tmp_path: Path) -> None:
    """Two containers may share a home; the kernel reports pid 0 to the other one."""
    if subprocess.run([*IN_PID_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no new pid namespaces here")
    program = "import sys; from stigmer_launcher.system import locks; locks.holder(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(LAUNCHER)}
    with locks.try_acquire(str(tmp_path / "lock")) or pytest.fail("free"):
        command = [*IN_PID_NAMESPACE, sys.executable, "-c", program, str(tmp_path / "lock")]
        inside = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "HomeError: " in inside.stderr
    assert "cannot be seen from here" in inside.stderr


def test_a_holder_in_a_container_is_hidden_from_outside(tmp_path: Path) -> None:
    """The kernel reports its pid in this namespace, but it has recorded pids of its own namespace."""
    if subprocess.run([*IN_PID_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no new pid namespaces here")
    command = [*IN_PID_NAMESPACE, sys.executable, "-c", HOLD, str(LAUNCHER), str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as inside:
        assert read_line(inside) == "held\n"
        with pytest.raises(HomeError, match="cannot be seen from here"):
            locks.holder(str(tmp_path / "lock"))
        inside.communicate()


def test_a_holder_is_found_where_the_file_of_a_namespace_is_never_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In older gVisor, every look at /proc/PID/ns/pid gives a new inode: no command found a server that ran."""
    monkeypatch.setattr(os.path, "samefile", lambda *_: False)
    with hold(tmp_path / "lock") as other:
        assert read_line(other) == "held\n"
        assert locks.holder(str(tmp_path / "lock")) == other.pid
        other.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no boot ID")
def test_a_process_is_identified_even_if_the_kernel_has_no_boot_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an identity, a stop signalled no process and the next start waited for the services."""
    monkeypatch.setattr(process, "_BOOT", str(tmp_path / "boot_id"))
    with child() as other:
        known = process.identity(other.pid)
        assert process.is_same_process(other.pid, known)
        assert process.identity(os.getpid()) != known


@pytest.mark.skipif(sys.platform != "linux", reason="macOS identifies processes without files")
@pytest.mark.parametrize("file", ["stat", "boot_id"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_identification_is_retried_if_a_file_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, number: int, file: str
) -> None:
    """Without the retry, a stop sent no signal and gave up after 30 s, and commands waited minutes for a start."""
    with child() as other:
        known = process.identity(other.pid)
        pending = [raising_oserror(number)]

        def open_on_retry(path: str, mode: str) -> Any:
            return (pending.pop() if pending and path.endswith(file) else open)(path, mode)

        monkeypatch.setattr(process, "open", open_on_retry, raising=False)
        assert process.is_same_process(other.pid, known)
        assert not pending


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_gets_the_local_disk_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Even for a query of the holder, which `status` and `stop` begin with."""
    (tmp_path / "lock").touch()
    for name in ("fcntl", "lockf"):
        monkeypatch.setattr(fcntl, name, raising_oserror(number))
    for call in (locks.holder, locks.try_acquire):
        with pytest.raises(HomeError) as caught:
            call(str(tmp_path / "lock"))
        assert "local disk" in caught.value.remedy


@pytest.mark.parametrize("pidfd_open", [getattr(os, "pidfd_open", NO_PIDFD), NO_PIDFD], ids=["pidfd", "no pidfd"])
def test_a_signal_reaches_only_the_process_that_was_identified(
    monkeypatch: pytest.MonkeyPatch, pidfd_open: Callable[..., int]
) -> None:
    monkeypatch.setattr(os, "pidfd_open", pidfd_open, raising=False)
    with child() as running:
        for known in ("", "another boot:1"):
            process.send_signal(running.pid, known, signal.SIGKILL)
            assert running.poll() is None
        process.send_signal(running.pid, process.identity(running.pid), signal.SIGTERM)
        assert running.wait() == -signal.SIGTERM


def test_a_process_that_ends_just_before_its_signal_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop would end with a traceback."""
    with child() as ended:
        ended.kill()
    monkeypatch.setattr(process, "is_same_process", lambda *_: True)
    process.send_signal(ended.pid, "boot:1", signal.SIGTERM)


@pytest.mark.parametrize("pidfd_open", [getattr(os, "pidfd_open", NO_PIDFD), NO_PIDFD], ids=["pidfd", "no pidfd"])
def test_waiting_for_a_process_returns_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, pidfd_open: Callable[..., int]
) -> None:
    """It must return long before the timeout of 600 s."""
    monkeypatch.setattr(os, "pidfd_open", pidfd_open, raising=False)
    with child() as running:
        known = process.identity(running.pid)
        process.wait_for_end(running.pid, known, 0.001)
        assert process.is_same_process(running.pid, known)
        running.kill()
        while process.is_same_process(running.pid, known):
            process.wait_for_end(running.pid, known, 600)
        process.wait_for_end(running.pid, known, 600)


def test_pids_that_address_several_processes_are_never_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, killpg(1) is kill(-1), which signals every process."""
    for name in ("kill", "killpg"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("it must not be called"))
    for pid in (-1, 0):
        process.send_signal(pid, "anything", signal.SIGTERM)
    for group in (-1, 0, 1):
        process.signal_group(group, signal.SIGTERM)


def test_an_ended_child_is_reported_before_it_is_reaped() -> None:
    """As long as it is a zombie, the ID of its process group cannot be reused."""
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as running:
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        assert process.ended_child() == running.pid
        assert os.waitpid(running.pid, os.WNOHANG)[0] == running.pid
        running.returncode = 0
