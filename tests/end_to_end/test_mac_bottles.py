"""Bottles for both kinds of Mac, made on this machine from stand-ins for frozen parts.

The stand-ins have the structure that an audit checks (a program, a library beside it, a module that needs it), are
real signed code built with Go, and never run.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.lib import environment
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest.model import CheckoutSource, Component
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.plan import Step, is_frozen, plan_release
from stigmer_packaging.pipeline.run import Maker, Pipeline
from stigmer_packaging.pipeline.stages import maker_of
from stigmer_packaging.records.model import (
    AuditReport,
    BuiltPart,
    Credits,
    Ingredient,
    ReleaseFile,
)
from stigmer_packaging.records.workspace import Workspace, scan_files
from stigmer_packaging.sources.locks import parse_lock
from support.audit_bottles import frozen_files
from support.fake_stages import FakeProgress
from support.native_code import place

ROOT = Path(__file__).parents[2]
MANIFEST = load_manifest(ROOT / "packaging" / "manifest.yaml")
CACHE = environment.cache_root(os.environ, Path.home())
TARGETS = ("darwin-arm64", "darwin-amd64")
FROZEN = {part.name: part for part in MANIFEST.components if is_frozen(part)}

# Four Go programs for two platforms, two 60 MB wheels, two bottles: minutes where nothing is cached.
pytestmark = pytest.mark.timeout(1800)


def freeze(workspace: Workspace, step: Step) -> BuiltPart:
    """Write a stand-in for a frozen launcher or service."""
    is_launcher = step.subject == "launcher"
    program = MANIFEST.product.name if is_launcher else step.subject
    contents = "lib" if is_launcher else f"{program}.lib"
    files = frozen_files(parse_target(step.target), program, contents)
    for path, content in files.items():
        place(workspace.path(f"{step.name}/{path}"), content, 0o644 if path.endswith(".zip") else 0o755)
    listed = scan_files(workspace.path(step.name))
    version = MANIFEST.product.version if is_launcher else FROZEN[program].version
    return BuiltPart(step.subject, version, step.target, step.name, program, listed)


def credit(step: Step) -> Credits:
    """Credit the distributions in the lock of a part of the checkout, as a real freeze does."""
    part = FROZEN.get(step.subject)
    python = Ingredient("cpython", "3.13.0", "Python-2.0", "pkg:generic/cpython@3.13.0", ("mit",))
    pinned = [(pin.name, pin.version) for pin in parse_lock(lock_of(part))] if part else []
    wheels = (Ingredient(name, version, "MIT", f"pkg:pypi/{name}@{version}", ("mit",)) for name, version in pinned)
    named = tuple(sorted((python, *wheels), key=lambda each: each.name))
    version = part.version if part else MANIFEST.product.version
    return Credits(step.subject, version, "Apache-2.0", step.target, named, {"mit": "MIT\n"})


def lock_of(part: Component) -> str:
    assert isinstance(part.source, CheckoutSource)
    return (ROOT / MANIFEST.checkout / part.source.package / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bottles(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make both bottles from Go parts, Temporal's programs and the stand-ins; audit them and write the formula."""
    workspace = Workspace(tmp_path_factory.mktemp("macs"), CACHE)
    env, tree = environment.build_environment(os.environ), str(ROOT / MANIFEST.checkout)
    context = BuildContext(MANIFEST, workspace, ROOT, Target("linux", "amd64"), tree, env, 1, lambda _: None)

    def make(step: Step, _needs: Mapping[str, Any]) -> Any:
        record = credit(step) if step.stage == "credit" else freeze(workspace, step)
        workspace.write_record(step.name, record)
        return record

    def maker(step: Step) -> Maker:
        is_fake = step.subject in {"launcher", *FROZEN} and step.stage in {"freeze", "credit"}
        real = maker_of(context, step)
        return Maker(real.kind, "by hand", make) if is_fake else real

    targets = [parse_target(target) for target in TARGETS]
    steps = plan_release(MANIFEST, targets, context.inputs(targets, "formula"), until="formula")
    Pipeline(workspace, maker, FakeProgress(), time.monotonic).run(steps)
    return workspace


@pytest.mark.parametrize("target", TARGETS)
def test_the_audit_finds_no_error_in_a_bottle_for_a_mac(bottles: Workspace, target: str) -> None:
    """It checks architecture, minimum macOS, signatures, hashes, library names and search paths, layout and index."""
    report = bottles.read_record(f"audit/{target}", AuditReport)
    bottle = bottles.read_record(f"bottle/{target}", ReleaseFile)
    assert report.passed
    assert report.bottle_sha256 == bottle.sha256
    largest = [path for path, _ in report.largest[:3]]
    assert largest == [f"libexec/components/{name}" for name in ("temporal", "stigmer-server", "workflow-runner")]
