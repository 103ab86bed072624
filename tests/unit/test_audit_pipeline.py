"""The audit as the pipeline runs it: once for each bottle, and no formula without it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.cli import output
from stigmer_packaging.lib.errors import AuditError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.plan import Inputs, Step, plan_release
from stigmer_packaging.pipeline.run import Maker, Pipeline, StepResult
from stigmer_packaging.pipeline.stages import makers
from stigmer_packaging.records.model import AuditReport, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import Craft, good_bottle, locked_distributions, release_sbom
from support.fake_stages import FakeProgress
from support.manifest_texts import PATH

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")
MANIFEST = load_manifest(PATH)


def fake_maker(craft: Craft, workspace: Workspace) -> Maker:
    """Give a bottle, or its bill of materials, that was made by hand."""

    def make(step: Step, _needs: Mapping[str, Any]) -> Any:
        if step.stage == "bottle":
            workspace.write_record(step.name, craft.pack(workspace))
        else:
            release_sbom(craft, workspace)
        return workspace.read_record(step.name, ReleaseFile)

    return Maker(ReleaseFile, "by hand", make)


def run(craft: Craft, workspace: Workspace, home: Path) -> tuple[StepResult, ...]:
    """Audit a bottle with the real stage, on a Linux machine whose user's home is `home`."""
    target = str(craft.target)
    audit = {
        step.name: step
        for step in plan_release(MANIFEST, [craft.target], Inputs(LINUX, {}, {}, {}, {}), until="formula")
    }
    made = [replace(audit[f"{kind}/{target}"], needs=()) for kind in ("bottle", "sbom")]
    steps = (*made, audit[f"audit/{target}"])
    tree = str(PATH.parents[1] / MANIFEST.checkout)
    context = BuildContext(MANIFEST, workspace, home / "checkout", LINUX, tree, {"HOME": str(home)}, 1, lambda _: None)
    real = makers(context)

    def maker_of(step: Step) -> Maker:
        return fake_maker(craft, workspace) if step in made else real(step)

    return Pipeline(workspace, maker_of, FakeProgress(), lambda: 0.0).run(steps)


def test_a_bottle_of_another_platform_is_audited_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    craft = good_bottle(str(MAC), *locked_distributions())
    first = run(craft, workspace, tmp_path)[-1]
    assert first.step.name == "audit/darwin-arm64"
    assert workspace.read_record("audit/darwin-arm64", AuditReport) == first.record
    assert output.verified(first) == f"{first.record.files} files without an error"
    assert run(craft, workspace, tmp_path)[-1].reused


def test_an_error_ends_the_run_again_and_again_and_its_report_stays(tmp_path: Path) -> None:
    """What the run saw is there to be read, and is not taken for a passed audit by the next one."""
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    craft = good_bottle(str(MAC), *locked_distributions())
    craft.put("share/notes", f"built in {tmp_path}/checkout/launcher\n")
    for _ in range(2):
        with pytest.raises(AuditError, match="share/notes: 1 times, first") as raised:
            run(craft, workspace, tmp_path)
        assert raised.value.exit_code == AuditError.exit_code
    assert not workspace.read_record("audit/darwin-arm64", AuditReport).passed


def test_no_formula_names_a_bottle_that_was_not_audited() -> None:
    steps = {
        step.name: step for step in plan_release(MANIFEST, [LINUX], Inputs(LINUX, {}, {}, {}, {}), until="formula")
    }
    assert "audit/linux-amd64" in steps["formula"].needs
    assert steps["audit/linux-amd64"].needs == ("bottle/linux-amd64", "sbom/linux-amd64")
