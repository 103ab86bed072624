"""Output of the pipeline for people and programs: progress, results, and what is delivered."""

import hashlib
import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from stigmer_packaging.cli import output
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import VerificationError
from stigmer_packaging.pipeline.run import StepResult
from stigmer_packaging.pipeline.stages import refuse_failure
from stigmer_packaging.publish.report.page import megabytes
from stigmer_packaging.records.model import AuditReport, Check, Finding, VerificationReport
from stigmer_packaging.records.release import Artefact
from support.fake_stages import fake_release, step, two_parts_and_a_bottle

GOOD = Check("it starts", passed=True, seconds=1.0, detail="")
BAD = Check("it stops", passed=False, seconds=1.0, detail="it would not")


def report(*checks: Check, ended: bool = True) -> VerificationReport:
    return VerificationReport("sandbox", "debian trixie", "0" * 64, checks, ended)


def result(seconds: float = 0.0, *, reused: bool = False) -> StepResult:
    return StepResult(step("verify/sandbox"), report(GOOD, GOOD), seconds, reused)


def printed(table: object) -> str:
    console = Console(file=io.StringIO(), width=output.PIPED_WIDTH)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_the_table_shows_what_was_made_reused_and_verified(tmp_path: Path) -> None:
    release, steps = fake_release(tmp_path / "build"), two_parts_and_a_bottle("new")
    results = release.pipeline().run(steps)
    text = printed(output.result_table([*results, result(seconds=75)]))
    sha256 = hashlib.sha256(b"new one\nnew two").hexdigest()
    assert ["bottle", "packed/file", "0.0", "kB", sha256[:16], "0.0", "s"] in [
        line.split() for line in text.splitlines()
    ]
    assert "1 min 15 s" in text
    assert "2 of 2 checks on debian trixie" in text
    again = printed(output.result_table(release.pipeline().run(steps)))
    assert again.count("reused") == len(steps)


def test_each_warning_of_an_audit_is_a_line_and_information_is_not() -> None:
    found = [
        Finding(severity, "unread-variable", "bin/one", severity, "why", "how")
        for severity in ("warning", "information")
    ]
    audit = AuditReport("linux-amd64", "0" * 64, tuple(found), 1, 1, (), "2.31")
    audited = StepResult(step("audit/linux-amd64"), audit, 0.0, reused=True)
    assert output.warnings_of([result(), audited]) == ["warning: linux-amd64: unread-variable: bin/one: warning"]
    assert "1 warning," in printed(output.result_table([audited]))


def test_json_has_the_same_results_with_full_digests_and_records(tmp_path: Path) -> None:
    results = fake_release(tmp_path / "build").pipeline().run(two_parts_and_a_bottle("new"))
    document = json.loads(output.results_json([*results, result()], []))
    packed = document["steps"][2]
    assert packed["sha256"] == packed["record"]["sha256"] == hashlib.sha256(b"new one\nnew two").hexdigest()
    assert document["steps"][3]["verified"] == "2 of 2 checks on debian trixie"
    assert document["delivered"] == []


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0 kB"), (1500, "1.5 kB"), (156_328_098, "156.3 MB"), (100_000, "0.1 MB")]
)
def test_sizes_are_human_readable(size: int, text: str) -> None:
    assert megabytes(size) == text


def shown(folder: Path, work: Callable[[output.TerminalProgress], object], runs: int = 1, **how: bool) -> list[str]:
    """Run a step that calls `work`, `runs` times, and return the lines that are shown."""
    out, release = io.StringIO(), fake_release(folder)
    console = Console(file=out, force_terminal=how.get("terminal", False), width=80, color_system=None)
    with output.TerminalProgress(console, verbose=how.get("verbose", False)) as progress:
        release.progress = progress  # type: ignore[assignment]
        release.obtain.before_publishing = lambda _: work(progress)  # type: ignore[assignment]
        for _ in range(runs):
            release.run([step("obtain/one", text="new")])
    return out.getvalue().splitlines()


def test_a_terminal_gets_a_line_for_each_step(tmp_path: Path) -> None:
    lines = [line.strip() for line in shown(tmp_path, lambda _: None, terminal=True) if "✓" in line]
    assert [line[line.index("✓") :] for line in lines] == ["✓ obtain/one (0.0 s)"]


PROGRESS_PROGRAM = """
import sys
from rich.console import Console
from stigmer_packaging.cli.output import TerminalProgress
with TerminalProgress(Console(stderr=True), verbose=False) as progress:
    progress.show_message("freezing the launcher for linux-amd64")
    sys.stdin.readline()
"""


def test_a_message_of_a_running_step_reaches_a_pipe_immediately() -> None:
    """The program continues only after the line was read, so a buffered line would never arrive."""
    words = [sys.executable, "-P", "-c", PROGRESS_PROGRAM]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True, encoding="utf-8"
    ) as child:
        assert child.stdin
        assert child.stderr
        ready, _, _ = select.select([child.stderr], [], [], 60)
        if not ready:
            child.kill()
        assert child.stderr.readline() == "… freezing the launcher for linux-amd64\n"
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert child.wait(60) == 0


def test_a_step_in_a_pipe_is_announced_and_ends_with_its_duration(tmp_path: Path) -> None:
    lines = shown(tmp_path, lambda progress: progress.show_message("fetching one"), runs=2)
    assert lines == ["… obtain/one", "… fetching one", "✓ obtain/one (0.0 s)", "✓ obtain/one (reused)"]


def test_verbose_progress_echoes_the_commands_of_a_step_but_not_their_output(tmp_path: Path) -> None:
    lines = shown(tmp_path, lambda _: command.run(["echo", "hello"]), verbose=True)
    assert lines == ["… obtain/one", "+ echo hello", "✓ obtain/one (0.0 s)"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (report(), ""),
        (report(GOOD, BAD), "it stops: it would not"),
        (report(GOOD, ended=False), "did not end by itself"),
    ],
)
def test_a_failed_verification_is_an_error_that_names_the_failed_check(
    failure: VerificationReport, message: str
) -> None:
    refuse_failure(report(GOOD), "the.log")
    with pytest.raises(VerificationError, match=rf"(?s)the\.log.*{message}"):
        refuse_failure(failure, "the.log")


def test_the_delivery_table_has_full_digests_and_verification_levels() -> None:
    file = Artefact("bottle", "one.tar.gz", 1500, "a" * 64, "linux-amd64", verified="not run")
    lines = printed(output.delivery_table([file], Path("dist"))).splitlines()
    assert [line.split() for line in lines[-1:]] == [["one.tar.gz", "1.5", "kB", "a" * 64, "not", "run"]]
