"""A release takes what is current, makes the rest, and survives being killed anywhere."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import BusyError, PackagingError
from stigmer_packaging.records.workspace import Workspace
from support.fake_stages import fake_release, step, two_parts_and_a_bottle

ROOT = Path(__file__).parents[2]
ALL = ["obtain/one", "obtain/two", "bottle"]
PYTHONPATH = os.pathsep.join(str(ROOT / name) for name in ("packaging", "launcher", "tests"))


def test_the_first_run_makes_everything_and_the_second_nothing(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    assert release.run(steps) == ALL
    assert release.run(steps) == []
    assert release.progress.began == release.progress.ended == ALL * 2


def test_a_changed_fact_makes_its_step_and_what_needs_it(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    release.run(steps)
    changed = (dataclasses.replace(steps[0], facts={"says": "newer"}), *steps[1:])
    assert release.run(changed) == ["obtain/one", "bottle"]
    assert release.workspace.path("packed/file").read_text(encoding="ascii") == "newer one\nnew two"


def test_a_change_that_changes_no_byte_stops_there(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    release.run(steps)
    changed = (dataclasses.replace(steps[0], facts={"says": "new", "comment": "other"}), *steps[1:])
    assert release.run(changed) == ["obtain/one"]


def test_changed_code_makes_the_stage_anew(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    release.run(steps)
    release.bottle.code = "second"
    assert release.run(steps) == ["bottle"]


def _remove_a_file(root: Path) -> None:
    (root / "obtain/two/lib/part").unlink()


def _change_a_byte(root: Path) -> None:
    (root / "obtain/two/program").write_text("NEW two", encoding="ascii")


def _add_a_file(root: Path) -> None:
    (root / "obtain/two/lib/stowaway").write_text("x", encoding="ascii")


def _change_a_mode(root: Path) -> None:
    (root / "obtain/two/program").chmod(0o777)


def _damage_the_record(root: Path) -> None:
    (root / "records/obtain/two.json").write_text("{", encoding="ascii")


def _remove_the_ledgers_line(root: Path) -> None:
    (root / "records/ledger/obtain/two.json").unlink()


def _bring_another_record(root: Path) -> None:
    path = root / "records/obtain/two.json"
    path.write_text(path.read_text(encoding="ascii").replace('"1.0.0"', '"1.0.1"'), encoding="ascii")


@pytest.mark.parametrize(
    "damage",
    [
        _remove_a_file,
        _change_a_byte,
        _add_a_file,
        _change_a_mode,
        _damage_the_record,
        _remove_the_ledgers_line,
        _bring_another_record,
    ],
)
def test_a_damaged_artefact_or_record_is_made_anew(damage: Callable[[Path], None], tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    release.run(steps)
    damage(tmp_path / "build")
    assert release.run(steps) == ["obtain/two"]
    assert release.run(steps) == []


def test_a_preview_says_what_a_run_would_make_and_makes_nothing(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    assert [current for _, current in release.pipeline().preview(steps)] == [False] * 3
    assert not (tmp_path / "build").exists()
    release.run(steps)
    _change_a_byte(tmp_path / "build")
    assert [current for _, current in release.pipeline().preview(steps)] == [True, False, False]
    assert release.obtain.made == ALL[:2]


def test_a_failure_ends_the_run_and_the_next_run_goes_on_from_there(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")

    def fail(_: Path) -> None:
        raise PackagingError("the compiler has gone fishing")

    release.bottle.before_publishing = fail
    with pytest.raises(PackagingError, match="gone fishing") as caught:
        release.run(steps)
    assert release.progress.ended == ALL[:2]
    assert caught.value.log == tmp_path / "build/logs/bottle.log"
    release.bottle.before_publishing = lambda _: None
    assert release.run(steps) == ["bottle"]


def test_a_log_keeps_what_the_programs_of_a_step_printed(tmp_path: Path) -> None:
    release = fake_release(tmp_path / "build")

    def greet(_: Path) -> None:
        command.run(["echo", "hello"])

    release.obtain.before_publishing = greet
    release.run([step("obtain/one", says="new")])
    assert (tmp_path / "build/logs/obtain/one.log").read_text(encoding="utf-8") == "+ echo hello\nhello\n"
    assert release.progress.heard == ["+ echo hello", "hello"]


def test_a_log_has_each_line_before_the_next_command_runs(tmp_path: Path) -> None:
    """A step that is killed leaves a log, so the log cannot wait for the end of the step."""
    release, log = fake_release(tmp_path / "build"), tmp_path / "build/logs/obtain/one.log"

    def read_the_log(_: Path) -> None:
        command.run(["echo", "hello"])
        assert command.run(["head", "-n", "2", log]).stdout == "+ echo hello\nhello\n"

    release.obtain.before_publishing = read_the_log
    assert release.run([step("obtain/one", says="new")]) == ["obtain/one"]


def test_killed_before_any_change_of_the_file_system_the_next_run_is_right(tmp_path: Path) -> None:
    """SIGKILL before every single write, rename and removal, over an empty workspace and over an older release."""
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
release.run([step("obtain/one", says="new")])
"""


@pytest.fixture
def slow_release(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Start a release whose first stage has written half of its artefact with a program that goes on for minutes."""
    root = tmp_path / "build"
    release = subprocess.Popen(
        [sys.executable, "-c", SLOW_RELEASE, str(root)], env={"PYTHONPATH": PYTHONPATH, "PATH": os.environ["PATH"]}
    )
    while not (root / "pid").is_file() or not (root / "pid").read_text(encoding="ascii").strip():
        assert release.poll() is None
        time.sleep(0.01)
    return release


def kill_sleeper(root: Path) -> None:
    """End the stage's program, which outlives a release that was killed."""
    os.kill(int((root / "pid").read_text(encoding="ascii")), signal.SIGKILL)


def test_two_releases_never_share_a_workspace_and_the_second_says_who_has_it(
    slow_release: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    root = tmp_path / "build"
    with pytest.raises(BusyError, match=f"in use by process {slow_release.pid}: obtain"):
        fake_release(root).run([step("obtain/one", says="new")])
    assert list((root / "staging").iterdir()), "the second one must not clear away what the first works on"
    slow_release.kill()
    slow_release.wait()
    try:
        assert fake_release(root).run([step("obtain/one", says="new")]) == ["obtain/one"]
        assert (root / "obtain/one/program").read_text(encoding="ascii") == "new one"
        assert not list((root / "staging").iterdir())
    finally:
        kill_sleeper(root)


def test_the_lock_names_its_last_holder_only_while_it_is_held(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "build", tmp_path / "cache")
    with workspace.alone("first"):
        pass
    with workspace.alone("second"), pytest.raises(BusyError, match="second"), workspace.alone("third"):
        pass


def test_a_plan_of_no_steps_is_carried_out(tmp_path: Path) -> None:
    assert fake_release(tmp_path / "build").run([]) == []
