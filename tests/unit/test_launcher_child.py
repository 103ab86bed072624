"""Running a service: its own session and group, one pipe for its output, and nothing inherited from the launcher."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_launcher.errors import LimitError
from stigmer_launcher.supervise.child import fork, spawn
from stigmer_launcher.system.process import describe_exit, is_killed, signal_group
from support.launcher_checks import needs_proc
from support.launcher_services import eventually, is_running, raising_oserror


def run(*command: str, **environment: str) -> tuple[str, int]:
    """Run a command to its end, and return its output and its status from `waitpid`."""
    pid, pipe = spawn(command, environment)
    os.set_blocking(pipe, True)
    with open(pipe, encoding="utf-8") as output:  # noqa: PTH123 - a descriptor
        text = output.read()
    return text, os.waitpid(pid, 0)[1]


def test_a_service_leads_its_own_session_and_group() -> None:
    """Otherwise Ctrl-C and a hang-up of the terminal would reach it."""
    text, status = run(sys.executable, "-ISc", "import os; print(os.getpid(), os.getsid(0), os.getpgid(0))")
    assert len(set(text.split())) == 1
    assert text.split()[0] != str(os.getsid(0))
    assert status == 0


def test_stdout_and_stderr_of_a_service_share_a_pipe_and_stdin_is_empty() -> None:
    """The log viewer of upstream showed only one of the two streams."""
    assert run("/bin/sh", "-c", "echo out; echo err >&2; wc -c")[0].split() == ["out", "err", "0"]


def test_a_service_runs_in_the_current_directory_with_only_the_given_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not inherit the user's environment."""
    monkeypatch.chdir(tmp_path)
    text, _ = run("/bin/sh", "-c", "pwd; /usr/bin/env", ONLY="this")
    assert text.splitlines()[0] == str(tmp_path)
    assert [line for line in text.splitlines()[1:] if not line.startswith(("PWD=", "SHLVL=", "_="))] == ["ONLY=this"]


def test_a_service_inherits_no_descriptor() -> None:
    """A port or a lock of the supervisor must not stay open in a service."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    program = "import os; print(sorted(int(fd) for fd in os.listdir('/dev/fd')))"
    try:
        listed = run(sys.executable, "-ISc", program)[0]
    finally:
        os.close(descriptor)
    assert listed.strip() == "[0, 1, 2, 3]"  # 3 is the listing of /dev/fd itself


@needs_proc
def test_a_service_starts_with_default_and_unblocked_signals() -> None:
    """No matter which signals the launcher or its parent ignores or blocks."""
    ignored = (signal.SIGTERM, signal.SIGTTOU)
    before = [signal.signal(signum, signal.SIG_IGN) for signum in ignored]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        text = run("/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status")[0]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        for signum, handler in zip(ignored, before, strict=True):
            signal.signal(signum, handler)
    masks = [int(line.split()[1], 16) for line in text.splitlines()]
    checked = (*ignored, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)
    assert [mask >> number - 1 & 1 for mask in masks for number in checked] == [0] * 10


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text("x"), "Permission denied"),
        (lambda path: (path.write_bytes(b"\x7fELF nonsense"), path.chmod(0o755)), "Exec format error"),
        (lambda _: None, "No such file"),
    ],
)
def test_a_program_that_cannot_be_run_is_an_error_and_leaves_nothing_open(
    tmp_path: Path, make: object, reason: str
) -> None:
    program = tmp_path / "service"
    make(program)  # type: ignore[operator]
    before = set(Path("/dev/fd").iterdir())
    with pytest.raises(OSError, match=reason):
        spawn((str(program),), {})
    assert set(Path("/dev/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("script", "words", "killed"),
    [
        ("exit 0", "exited with status 0", False),
        ("exit 3", "exited with status 3", False),
        ("kill -KILL $$", "killed by SIGKILL", True),
        ("kill -TERM $$", "killed by SIGTERM", True),
        ("kill -SEGV $$", "killed by SIGSEGV", False),
        ("kill -ABRT $$", "killed by SIGABRT", False),
    ],
)
def test_an_exit_is_described_in_words(script: str, words: str, *, killed: bool) -> None:
    """SIGKILL and SIGTERM come from another process, unlike the signals of a crash."""
    _, status = run("/bin/sh", "-c", script)
    assert describe_exit(status) == words
    assert is_killed(status) is killed


def test_a_signal_without_a_name_is_described_by_its_number() -> None:
    """Linux has realtime signals."""
    assert describe_exit(40) == "killed by signal 40"


def test_a_signal_reaches_the_whole_group(tmp_path: Path) -> None:
    """Including processes started by the service; signalling a group that has ended is not an error."""
    note = tmp_path / "pids"
    pid, pipe = spawn(("/bin/sh", "-c", f"sleep 60 & echo $! >{note}; wait"), {"PATH": os.environ["PATH"]})
    grandchild = int(eventually(lambda: note.exists() and note.read_text().strip(), "the pid of the grandchild"))
    signal_group(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(pipe)
    eventually(lambda: not is_running(grandchild), "the end of the child of the service")
    signal_group(pid, signal.SIGKILL)


def test_a_limit_of_processes_that_stops_a_service_is_named_with_what_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as `pids.max` of a container; the hint was to read the last lines of a service that had printed none."""
    monkeypatch.setattr(os, "posix_spawn", raising_oserror(errno.EAGAIN))
    with pytest.raises(LimitError, match="the system allows no further process") as caught:
        spawn(("/bin/true",), {})
    assert "`TasksMax=`" in caught.value.remedy


def test_a_fork_that_fails_for_lack_of_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of processes would help then."""
    monkeypatch.setattr(os, "fork", raising_oserror(errno.ENOMEM))
    with pytest.raises(LimitError, match=os.strerror(errno.ENOMEM)):
        fork(lambda: 0)


@pytest.mark.parametrize(("work", "code", "message"), [(lambda: 3, 3, ""), (lambda: 1 // 0, 127, "ZeroDivisionError")])
def test_a_forked_child_exits_after_its_work_even_if_that_fails(
    work: Callable[[], int], code: int, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its exception is printed and never propagates into the code that called `fork`."""
    assert os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1]) == code
    assert message in capfd.readouterr().err


def test_a_child_that_fails_in_a_system_call_prints_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """The supervisor's log used to contain a traceback if a watchdog could not be started."""
    pid = fork(lambda: os.open("/missing", os.O_RDONLY))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 127
    assert capfd.readouterr().err == f"process {pid} failed: [Errno 2] No such file or directory: '/missing'\n"
