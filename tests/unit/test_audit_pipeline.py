"""The audit as the pipeline runs it: of bottles made here and elsewhere, once for each, and no formula without it."""

from pathlib import Path

import pytest

from stigmer_packaging.cli import output
from stigmer_packaging.lib.errors import AuditError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.plan import Inputs, Step, plan_release
from stigmer_packaging.pipeline.run import Pipeline, StepResult
from stigmer_packaging.pipeline.stages import stage_registry
from stigmer_packaging.records.model import AuditReport
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import Craft, good_bottle, locked_distributions, release_sbom
from support.fake_stages import FakeProgress
from support.manifest_texts import PATH

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")
MANIFEST = load_manifest(PATH)


def gather(craft: Craft, workspace: Workspace) -> tuple[Step, ...]:
    """Bring a bottle for macOS into a Linux machine's workspace, and plan its audit."""
    workspace.write_record(f"bottle/{craft.target}", craft.pack(workspace))
    release_sbom(craft, workspace)
    offered = frozenset(f"{kind}/{craft.target}" for kind in ("bottle", "sbom"))
    return plan_release(MANIFEST, [craft.target], Inputs(LINUX, {}, {}, {}, {}, offered=offered), until="audit")


def run(steps: tuple[Step, ...], workspace: Workspace, home: Path) -> tuple[StepResult, ...]:
    """Carry out steps with the real stages, on a Linux machine whose user's home is `home`."""
    tree = str(PATH.parents[1] / MANIFEST.checkout)
    context = BuildContext(MANIFEST, workspace, home / "checkout", LINUX, tree, {"HOME": str(home)}, 1, lambda _: None)
    return Pipeline(workspace, stage_registry(context), FakeProgress(), lambda: 0.0).run(steps)


def test_a_bottle_made_elsewhere_is_audited_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    steps = gather(good_bottle(str(MAC), *locked_distributions()), workspace)
    first = run(steps, workspace, tmp_path)[-1]
    assert first.step.name == "audit/darwin-arm64"
    assert workspace.read_record("audit/darwin-arm64", AuditReport) == first.record
    assert output.verified(first) == f"{first.record.files} files without an error"
    assert run(steps, workspace, tmp_path)[-1].reused


def test_an_error_ends_the_run_again_and_again_and_its_report_stays(tmp_path: Path) -> None:
    """What the run saw is there to be read, and is not taken for a passed audit by the next one."""
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    craft = good_bottle(str(MAC), *locked_distributions())
    craft.put("share/notes", f"built in {tmp_path}/checkout/launcher\n")
    steps = gather(craft, workspace)
    for _ in range(2):
        with pytest.raises(AuditError, match="share/notes: 1 times, first") as raised:
            run(steps, workspace, tmp_path)
        assert raised.value.exit_code == AuditError.exit_code
    assert not workspace.read_record("audit/darwin-arm64", AuditReport).passed


def test_no_formula_names_a_bottle_that_was_not_audited() -> None:
    steps = {step.name: step for step in plan_release(MANIFEST, [LINUX], Inputs(LINUX, {}, {}, {}, {}))}
    assert "audit/linux-amd64" in steps["formula"].needs
    assert steps["audit/linux-amd64"].needs == ("bottle/linux-amd64", "sbom/linux-amd64")
