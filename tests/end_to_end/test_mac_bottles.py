"""Bottles for both kinds of Mac, made on this machine of frozen parts that are stand-ins."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.lib import environment
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.plan import Step, is_frozen, plan_release
from stigmer_packaging.pipeline.run import Maker, Pipeline
from stigmer_packaging.pipeline.stages import makers
from stigmer_packaging.records.model import AuditReport, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.fake_stages import FakeProgress
from support.mac_standins import offer_frozen_parts

ROOT = Path(__file__).parents[2]
MANIFEST = load_manifest(ROOT / "packaging" / "manifest.yaml")
CACHE = environment.cache_root(os.environ, Path.home())
TARGETS = ("darwin-arm64", "darwin-amd64")

# Four Go programs for two platforms, two 60 MB wheels, two bottles: minutes where nothing is cached.
pytestmark = pytest.mark.timeout(1800)


def fake_freezer(workspace: Workspace, kind: type) -> Maker:
    """Give FakeFrozen parts, and what they are made of, in place of the stages `freeze` and `credit`."""

    def make(step: Step, _needs: Mapping[str, Any]) -> Any:
        offer_frozen_parts(MANIFEST, parse_target(step.target), workspace, ROOT)
        return workspace.read_record(step.name, kind)

    return Maker(kind, "by hand", make)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make both bottles of Go parts, Temporal's own programs and FakeFrozen ones; audit them and write the formula."""
    workspace = Workspace(tmp_path_factory.mktemp("macs"), CACHE)
    env, tree = environment.build_environment(os.environ), str(ROOT / MANIFEST.checkout)
    context = BuildContext(MANIFEST, workspace, ROOT, Target("linux", "amd64"), tree, env, 1, lambda _: None)
    real = makers(context)
    frozen = {"launcher", *(part.name for part in MANIFEST.components if is_frozen(part))}

    def maker(step: Step) -> Maker:
        is_fake = step.subject in frozen and step.stage in {"freeze", "credit"}
        return fake_freezer(workspace, real(step).kind) if is_fake else real(step)

    targets = [parse_target(target) for target in TARGETS]
    steps = plan_release(MANIFEST, targets, context.inputs(targets, "formula"), until="formula")
    Pipeline(workspace, maker, FakeProgress(), time.monotonic).run(steps)
    return workspace


@pytest.mark.parametrize("target", TARGETS)
def test_the_audit_finds_no_error_in_a_bottle_for_a_mac(made: Workspace, target: str) -> None:
    """Architecture, oldest macOS, signatures and their hashes, names and search paths of libraries, layout, index."""
    report = made.read_record(f"audit/{target}", AuditReport)
    bottle = made.read_record(f"bottle/{target}", ReleaseFile)
    assert report.passed
    assert report.bottle_sha256 == bottle.sha256
    largest = [path for path, _ in report.largest[:3]]
    assert largest == [f"libexec/components/{name}" for name in ("temporal", "stigmer-server", "workflow-runner")]
