"""The audit as a step of the pipeline: it runs once per bottle, and again after an error."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.cli import output
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import AuditError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.pipeline.run import Maker, Pipeline, StepResult
from stigmer_packaging.pipeline.stages import maker_of
from stigmer_packaging.records.model import AuditReport, Ingredient, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import SBOM, BottleBuilder, good_bottle
from support.fake_stages import FakeProgress, step
from support.manifest_texts import PATH

LINUX = Target("linux", "amd64")
BOTTLE_AND_SBOM = ("bottle/linux-amd64", "sbom/linux-amd64")
STEPS = (*map(step, BOTTLE_AND_SBOM), step("audit/linux-amd64", *BOTTLE_AND_SBOM))


@pytest.fixture(name="context")
def _context(tmp_path: Path) -> BuildContext:
    manifest = load_manifest(PATH)
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    tree, env = str(PATH.parents[1] / manifest.checkout), {"HOME": str(tmp_path)}
    return BuildContext(manifest, workspace, tmp_path / "checkout", LINUX, tree, env, 1, lambda _: None)


@pytest.fixture(name="builder")
def _craft(context: BuildContext) -> BottleBuilder:
    """Return a bottle whose notices name the locked distributions of the frozen components."""
    pins = map(str.split, context.policy_of(LINUX).required_notices)
    locked = (Ingredient(name, version, "MIT", f"pkg:pypi/{name}@{version}") for name, version in pins)
    return good_bottle(str(LINUX), *locked)


def run(builder: BottleBuilder, context: BuildContext) -> StepResult:
    """Audit a bottle with the real stage; the records of the bottle and its SBOM are made by hand."""
    bottle = builder.pack(context.workspace)
    sbom = context.workspace.path("dist/stigmer.sbom.spdx.json")
    sbom.write_bytes(builder.keg[SBOM].content)
    described = replace(
        bottle, kind="sbom", path=f"dist/{sbom.name}", size=sbom.stat().st_size, sha256=digest.sha256_of(sbom), tag=""
    )
    by_hand = dict(zip(BOTTLE_AND_SBOM, (bottle, described), strict=True))

    def make(step: Step, _needs: Mapping[str, Any]) -> ReleaseFile:
        context.workspace.write_record(step.name, by_hand[step.name])
        return by_hand[step.name]

    def maker(step: Step) -> Maker:
        return Maker(ReleaseFile, "by hand", make) if step.name in by_hand else maker_of(context, step)

    return Pipeline(context.workspace, maker, FakeProgress(), lambda: 0.0).run(STEPS)[-1]


def test_a_passed_audit_is_reused(builder: BottleBuilder, context: BuildContext) -> None:
    first = run(builder, context)
    assert context.workspace.read_record("audit/linux-amd64", AuditReport) == first.record
    assert output.verified(first) == f"{first.record.files} files without an error, glibc 2.14"
    assert not first.reused
    assert run(builder, context).reused


def test_an_error_fails_every_run_and_its_report_is_kept(builder: BottleBuilder, context: BuildContext) -> None:
    """The report of a failed run stays readable, but the next run must not reuse it as a passed audit."""
    builder.put("share/notes", f"built in {context.root}/launcher\n")
    for _ in range(2):
        with pytest.raises(AuditError, match="share/notes: first of 1"):
            run(builder, context)
    assert not context.workspace.read_record("audit/linux-amd64", AuditReport).passed
