"""A release reuses current artefacts, builds the rest, and can be killed at any point and resumed."""

import dataclasses
import errno
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import BusyError, CommandError, PackagingError
from stigmer_packaging.records.workspace import Workspace
from support.fake_stages import FakeRelease, fake_release, two_parts_and_a_bottle

ROOT = Path(__file__).parents[2]
STEPS = two_parts_and_a_bottle("new")
ALL = ["obtain/one", "obtain/two", "bottle"]
PYTHONPATH = os.pathsep.join(str(ROOT / name) for name in ("packaging", "launcher", "tests"))


@pytest.fixture
def release(tmp_path: Path) -> FakeRelease:
    return fake_release(tmp_path / "build")


@pytest.fixture
def built(release: FakeRelease) -> FakeRelease:
    assert release.run(STEPS) == ALL
    return release


def test_the_second_run_executes_no_step(built: FakeRelease) -> None:
    assert built.run(STEPS) == []
    assert built.progress.began == ALL, "a reused step does not begin"
    assert built.progress.ended == ALL * 2


def test_a_changed_fact_rebuilds_its_step_and_the_dependents(built: FakeRelease) -> None:
    changed = (dataclasses.replace(STEPS[0], facts={"text": "newer"}), *STEPS[1:])
    assert built.run(changed) == ["obtain/one", "bottle"]
    assert built.workspace.path("packed/file").read_text(encoding="ascii") == "newer one\nnew two"


def test_a_rebuild_with_identical_bytes_does_not_rebuild_its_dependents(built: FakeRelease) -> None:
    changed = (dataclasses.replace(STEPS[0], facts={"text": "new", "comment": "other"}), *STEPS[1:])
    assert built.run(changed) == ["obtain/one"]


def test_changed_code_rebuilds_the_stage(built: FakeRelease) -> None:
    built.bottle.code = "second"
    assert built.run(STEPS) == ["bottle"]


def change_a_byte(root: Path) -> None:
    """Damage an artefact; tests/unit/test_workspace.py has the other kinds of damage."""
    (root / "obtain/two/program").write_text("NEW two", encoding="ascii")


def damage_the_record(root: Path) -> None:
    (root / "records/obtain/two.json").write_text("{", encoding="ascii")


def remove_the_ledgers_line(root: Path) -> None:
    (root / "records/ledger/obtain/two.json").unlink()


def bring_another_record(root: Path) -> None:
    path = root / "records/obtain/two.json"
    path.write_text(path.read_text(encoding="ascii").replace('"1.0.0"', '"1.0.1"'), encoding="ascii")


@pytest.mark.parametrize("damage", [change_a_byte, damage_the_record, remove_the_ledgers_line, bring_another_record])
def test_a_damaged_artefact_or_record_is_rebuilt(damage: Callable[[Path], None], built: FakeRelease) -> None:
    damage(built.workspace.root)
    assert built.run(STEPS) == ["obtain/two"]
    assert built.run(STEPS) == []


def test_a_preview_lists_the_steps_of_a_run_and_executes_none(release: FakeRelease) -> None:
    assert [current for _, current in release.pipeline().preview(STEPS)] == [False] * 3
    assert not release.workspace.root.exists()
    release.run(STEPS)
    assert [current for _, current in release.pipeline().preview(STEPS)] == [True] * 3
    change_a_byte(release.workspace.root)
    assert [current for _, current in release.pipeline().preview(STEPS)] == [True, False, False]
    assert release.obtain.executed == ALL[:2]


def test_a_failure_ends_the_run_and_the_next_run_continues_from_there(release: FakeRelease) -> None:
    def fail(_: Path) -> None:
        raise PackagingError("the compiler has gone fishing")

    release.bottle.before_publishing = fail
    with pytest.raises(PackagingError, match="gone fishing") as caught:
        release.run(STEPS)
    assert release.progress.ended == ALL[:2]
    assert caught.value.log == release.workspace.path("logs/bottle.log")
    release.bottle.before_publishing = lambda _: None
    assert release.run(STEPS) == ["bottle"]


def test_a_full_disk_is_reported_with_the_step_and_its_directories(release: FakeRelease) -> None:
    """The system's error does not name a file, and any of three disks may be full."""

    def fill_up(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    release.bottle.before_publishing = fill_up
    with pytest.raises(PackagingError, match=r"bottle could not be made: .*No space left on device") as caught:
        release.run(STEPS)
    assert f"{release.workspace.root}, {release.workspace.cache} and {tempfile.gettempdir()}" in caught.value.remedy


def test_a_log_has_what_a_program_printed_before_the_next_one_runs(release: FakeRelease) -> None:
    """A killed step must leave a log, so the log cannot be written at the end of the step."""
    log = release.workspace.path("logs/obtain/one.log")

    def read_the_log(_: Path) -> None:
        command.run(["echo", "hello"])
        assert log.read_text(encoding="utf-8") == "+ echo hello\nhello\n"

    release.obtain.before_publishing = read_the_log
    assert release.run(STEPS[:1]) == ["obtain/one"]
    assert release.progress.lines == ["+ echo hello", "hello"]


def test_a_run_killed_before_any_change_of_the_file_system_is_completed_by_the_next(tmp_path: Path) -> None:
    """SIGKILL before every single write, rename and removal, in an empty workspace and in that of an older release."""
    words = [sys.executable, "-m", "support.killed_runs", str(tmp_path)]
    done = subprocess.run(
        words, env={"PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [report[kind]["failures"] for kind in ("empty", "older")] == [[], []], done.stderr
    assert min(report[kind]["kills"] for kind in ("empty", "older")) > 30


SLOW_RELEASE = """
import sys
from pathlib import Path
from support.fake_stages import fake_release, step
from stigmer_packaging.lib import command
release = fake_release(Path(sys.argv[1]))
def work(folder):
    command.run(["sh", "-c", f"echo half > {folder}/program; echo $$ > {sys.argv[1]}/pid; exec sleep 600"])
release.obtain.before_publishing = work
release.run([step("obtain/one", text="new")])
"""


@pytest.fixture
def slow_release(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Start a release whose first stage is in the middle of its artefact, running a program that takes minutes."""
    root = tmp_path / "build"
    release = subprocess.Popen(
        [sys.executable, "-c", SLOW_RELEASE, str(root)], env={"PYTHONPATH": PYTHONPATH, "PATH": os.environ["PATH"]}
    )
    while not (root / "pid").is_file() or not (root / "pid").read_text(encoding="ascii").strip():
        assert release.poll() is None
        time.sleep(0.01)
    return release


def kill_sleeper(root: Path) -> None:
    os.kill(int((root / "pid").read_text(encoding="ascii")), signal.SIGKILL)


def test_two_releases_never_share_a_workspace_and_the_second_names_the_first(
    slow_release: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    root = tmp_path / "build"
    with pytest.raises(BusyError, match=f"in use by process {slow_release.pid}: obtain"):
        fake_release(root).run(STEPS[:1])
    assert list((root / "staging").iterdir()), "the second release must not remove the first one's work"
    slow_release.kill()
    slow_release.wait()
    try:
        assert fake_release(root).run(STEPS[:1]) == ["obtain/one"]
        assert (root / "obtain/one/program").read_text(encoding="ascii") == "new one"
        assert not list((root / "staging").iterdir())
    finally:
        kill_sleeper(root)


def test_artefacts_do_not_change_before_they_are_delivered(release: FakeRelease) -> None:
    """A second release would replace the files that the first one is copying."""
    with release.pipeline().running(STEPS), pytest.raises(BusyError, match="in use by process"):
        fake_release(release.workspace.root).run(STEPS)


COMMAND_THAT_SLEEPS = """
import sys
from pathlib import Path
from stigmer_packaging.cli import main
from stigmer_packaging.lib import command

def tell(line):
    if line.isdigit():
        Path(sys.argv[1]).write_text(line)

@main.main.command("sleep")
def sleep():
    with command.observed(tell):
        command.run(["sh", "-c", "echo $$; exec sleep 600"])

sys.exit(main.run(["sleep"]))
"""


def interrupt_sleeping_command(fifo: Path, number: int, *, nohup: bool = False) -> tuple[int, int]:
    """Send a signal to a command that waits for a program; return its exit code, and a pidfd of the program."""
    os.mkfifo(fifo)
    words = [
        *(["nohup"] if nohup else ["env", "--default-signal"]),
        sys.executable,
        "-c",
        COMMAND_THAT_SLEEPS,
        str(fifo),
    ]
    env = {"PYTHONPATH": PYTHONPATH, "PATH": os.environ["PATH"]}
    begun = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    program = os.pidfd_open(int(fifo.read_text(encoding="ascii")))
    begun.send_signal(number)
    if nohup:
        signal.pidfd_send_signal(program, signal.SIGTERM)
    begun.communicate(timeout=100)
    return begun.returncode, program


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process by its pidfd")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_command_terminates_its_programs(number: signal.Signals, tmp_path: Path) -> None:
    """A closed terminal sends SIGHUP, which the programs, in sessions of their own, do not get."""
    code, program = interrupt_sleeping_command(tmp_path / "fifo", number)
    assert code == 130
    assert select.select([program], [], [], 30)[0]
    os.close(program)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process by its pidfd")
def test_under_nohup_a_command_outlives_its_terminal(tmp_path: Path) -> None:
    code, program = interrupt_sleeping_command(tmp_path / "fifo", signal.SIGHUP, nohup=True)
    assert code == CommandError.exit_code, "only its program was killed"
    os.close(program)


def test_the_lock_names_its_last_holder_only_while_it_is_held(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "build", tmp_path / "cache")
    with workspace.locked("first"):
        pass
    with workspace.locked("second"), pytest.raises(BusyError, match="second"), workspace.locked("third"):
        pass


def test_an_empty_plan_succeeds(release: FakeRelease) -> None:
    assert release.run([]) == []
