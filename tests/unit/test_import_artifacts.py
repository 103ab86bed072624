"""What another machine made is taken over byte for byte, or refused with what is wrong about it."""

import platform
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.pipeline.import_artifacts import gather, offered_by
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.pipeline.system import read_platform
from stigmer_packaging.records.model import Bottle, Check, Formula, Sbom, ServiceBinary, Standalone, VerificationReport
from stigmer_packaging.records.workspace import Workspace, scan_files
from support.audit_bottles import good_bottle, locked_distributions, release_sbom

HOST = str(read_platform(platform.system(), platform.machine()))
FOREIGN = "darwin-arm64" if HOST != "darwin-arm64" else "linux-arm64"
FROZEN = f"freeze/{FOREIGN}/agent-runner"


@pytest.fixture
def there(tmp_path: Path) -> Workspace:
    """Give the workspace of a machine of another platform, with a bottle."""
    workspace = Workspace(tmp_path / "there", tmp_path / "cache")
    craft = good_bottle(FOREIGN, *locked_distributions())
    workspace.write_record(f"bottle/{FOREIGN}", craft.pack(workspace))
    release_sbom(craft, workspace)
    return workspace


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """Give our own workspace, which has nothing."""
    return Workspace(tmp_path / "here", tmp_path / "cache")


def freeze_there(there: Workspace) -> ServiceBinary:
    """Make a frozen component on the other machine."""
    folder = there.path(FROZEN)
    (folder / "agent-runner.lib").mkdir(parents=True)
    for name, mode in (("agent-runner", 0o755), ("agent-runner.lib/data", 0o644)):
        (folder / name).write_text(name, encoding="ascii")
        (folder / name).chmod(mode)
    record = ServiceBinary("agent-runner", "2.0.0", FOREIGN, FROZEN, "agent-runner", scan_files(folder), "there")
    there.write_record(FROZEN, record)
    return record


def take(name: str, kind: type, there: Workspace, here: Workspace, version: str = "2.0.0") -> list[str]:
    """Gather one record, and give what was said."""
    said: list[str] = []
    step = Step(name, name.partition("/")[0], FOREIGN, "", (), {"version": version}, gathered=True)
    gather([step], lambda _: kind, [there.root], here, said.append)
    return said


def formula(there: Workspace, here: Workspace) -> int:
    return cli.run(["formula", f"--target={FOREIGN}", f"--records={there.root}", f"--workspace={here.root}"])


def test_a_formula_names_the_bottle_that_another_machine_made(there: Workspace, here: Workspace) -> None:
    """The bottle is here then, audited here, and the next run needs no other machine."""
    assert formula(there, here) == 0
    made = there.read_record(f"bottle/{FOREIGN}", Bottle)
    assert here.is_whole(here.read_record(f"sbom/{FOREIGN}", Sbom))
    assert here.read_record(f"bottle/{FOREIGN}", Bottle) == made
    assert here.is_whole(made)
    assert here.read_record("formula", Formula).bottles == ((made.tag, made.sha256),)
    assert cli.run(["formula", f"--target={FOREIGN}", f"--workspace={here.root}"]) == 0


def test_a_bottle_that_is_not_what_its_record_says_is_refused_and_not_taken(
    there: Workspace, here: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    bottle = there.read_record(f"bottle/{FOREIGN}", Bottle)
    with there.path(bottle.path).open("r+b") as stream:
        stream.seek(100)
        stream.write(b"another byte")
    assert formula(there, here) == RecordError.exit_code
    assert "is not what its record says" in capsys.readouterr().err
    assert not here.path(f"records/bottle/{FOREIGN}.json").exists()


def test_a_record_without_its_artefact_is_refused(there: Workspace, here: Workspace) -> None:
    there.path(there.read_record(f"bottle/{FOREIGN}", Bottle).path).unlink()
    with pytest.raises(RecordError, match="came without it"):
        take(f"bottle/{FOREIGN}", Bottle, there, here)


def test_what_was_made_of_another_version_is_refused(there: Workspace, here: Workspace) -> None:
    with pytest.raises(RecordError, match=rf"is 2\.0\.0 for {FOREIGN}: 2\.0\.1 is asked for"):
        take(f"bottle/{FOREIGN}", Bottle, there, here, version="2.0.1")


def test_frozen_parts_come_with_the_modes_that_their_record_names(there: Workspace, here: Workspace) -> None:
    """Some ways of moving files between machines lose them."""
    record = freeze_there(there)
    there.path(FROZEN).joinpath("agent-runner").chmod(0o600)
    there.path(FROZEN).joinpath("stray").touch()
    assert take(FROZEN, ServiceBinary, there, here) == [f"taking {FROZEN} from {there.root}"]
    assert here.is_whole(record)
    assert take(FROZEN, ServiceBinary, there, here) == [], "it is here already"


def test_a_changed_part_replaces_the_one_that_was_taken_before(there: Workspace, here: Workspace) -> None:
    freeze_there(there)
    take(FROZEN, ServiceBinary, there, here)
    shutil.rmtree(there.path(FROZEN))
    again = freeze_there(there)
    there.path(FROZEN).joinpath("agent-runner.lib/data").write_text("new", encoding="ascii")
    changed = replace(again, files=scan_files(there.path(FROZEN)), made_from="there again")
    there.write_record(FROZEN, changed)
    assert take(FROZEN, ServiceBinary, there, here)
    assert here.read_record(FROZEN, ServiceBinary) == changed


@pytest.mark.parametrize("passed", [True, False])
def test_a_verification_is_taken_only_if_it_passed_and_is_about_the_bottle(
    there: Workspace, here: Workspace, *, passed: bool
) -> None:
    name, bottle = f"verify/sandbox/{FOREIGN}", there.read_record(f"bottle/{FOREIGN}", Bottle)
    checks = (Check("the server starts", passed, 1.0, ""),)
    proof = VerificationReport("sandbox", "debian", bottle.sha256, checks, ended=True, made_from="there")
    for report, refused in ((proof, not passed), (replace(proof, bottle_sha256="0" * 64), True)):
        there.write_record(name, report)
        step = Step(name, "verify", FOREIGN, "sandbox", (), {}, gathered=True)
        if refused:
            with pytest.raises(RecordError, match=r"is no proof|is about another bottle"):
                gather([step], lambda _: VerificationReport, [there.root], here, lambda _: None)
        else:
            gather([step], lambda _: VerificationReport, [there.root], here, lambda _: None)
            assert here.read_record(name, VerificationReport) == proof


def test_a_verification_of_another_single_file_is_refused(there: Workspace, here: Workspace) -> None:
    name = f"verify/program/{FOREIGN}"
    there.write_record(
        f"program/{FOREIGN}", Standalone("program", "stigmer", "2.0.0", FOREIGN, "dist/x", 1, "1" * 64, "m")
    )
    checks = (Check("the server starts", passed=True, seconds=1.0, detail=""),)
    there.write_record(name, VerificationReport("sandbox", "debian", "2" * 64, checks, ended=True, made_from="there"))
    step = Step(name, "verify", FOREIGN, "program", (), {}, gathered=True)
    with pytest.raises(RecordError, match="is about another single file"):
        gather([step], lambda _: VerificationReport, [there.root], here, lambda _: None)


def test_what_is_offered_is_named_after_its_records(there: Workspace, tmp_path: Path) -> None:
    freeze_there(there)
    assert offered_by([there.root, tmp_path / "here"]) == {f"bottle/{FOREIGN}", f"sbom/{FOREIGN}", FROZEN}


def test_a_stage_says_at_once_what_nobody_has_made_for_it(
    there: Workspace, here: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    freeze_there(there)
    assert cli.run(["bottle", f"--target={FOREIGN}", f"--records={there.root}", f"--workspace={here.root}"]) == 10
    printed = capsys.readouterr().err
    assert f"there is no credit/{FOREIGN}/agent-runner" in printed
    assert "--records" in printed
    assert not here.root.exists()
