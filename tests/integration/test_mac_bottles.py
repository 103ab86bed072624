"""Bottles for both kinds of Mac, made on this machine of parts that another one froze."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stigmer_packaging.lib import environment
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.model import AuditReport, Bottle
from stigmer_packaging.records.workspace import Workspace
from support.mac_standins import offer_frozen_parts

ROOT = Path(__file__).parents[2]
CACHE = environment.cache_root(os.environ, Path.home())
TARGETS = ("darwin-arm64", "darwin-amd64")

# Four Go programs for two platforms, two 60 MB wheels, two bottles: minutes where nothing is cached.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def packaging(stage: str, workspace: Path, *words: str) -> str:
    """Run a stage as people do, and give what it prints."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'packaging'}:{ROOT / 'launcher'}"}
    command = [
        sys.executable,
        "-P",
        "-m",
        "stigmer_packaging.cli",
        stage,
        "--workspace",
        str(workspace),
        "--json",
        *words,
    ]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make both bottles of Go parts, Temporal's own programs and FakeFrozen ones; audit them and write the formula."""
    folder = tmp_path_factory.mktemp("macs")
    manifest = load_manifest(ROOT / "packaging" / "manifest.yaml")
    brought = Workspace(folder / "brought", CACHE)
    for target in TARGETS:
        offer_frozen_parts(manifest, parse_target(target), brought, ROOT)
    chosen = [word for target in TARGETS for word in ("--target", target)]
    packaging("bottle", folder / "first", *chosen, "--records", str(brought.root))
    packaging("formula", folder / "second", *chosen, "--records", str(folder / "first"))
    return Workspace(folder / "second", CACHE)


@pytest.mark.parametrize("target", TARGETS)
def test_the_audit_finds_no_error_in_a_bottle_for_a_mac(made: Workspace, target: str) -> None:
    """Architecture, oldest macOS, signatures and their hashes, names and search paths of libraries, layout, index."""
    report = made.read_record(f"audit/{target}", AuditReport)
    bottle = made.read_record(f"bottle/{target}", Bottle)
    assert report.passed
    assert report.bottle_sha256 == bottle.sha256
    largest = [path for path, _ in report.largest[:3]]
    assert largest == [f"libexec/components/{name}" for name in ("temporal", "stigmer-server", "workflow-runner")]


def test_the_formula_serves_both_from_the_oldest_macos_promised(made: Workspace) -> None:
    text = made.path("dist/Formula/stigmer.rb").read_text(encoding="utf-8")
    assert re.findall(r"^    sha256 .*, (\w+):", text, re.MULTILINE) == ["arm64_sonoma", "sonoma"]
    assert "  on_macos do\n    depends_on macos: :sonoma\n  end\n" in text
    assert "  on_linux do\n    depends_on :macos\n  end\n" in text
    for target in TARGETS:
        assert made.read_record(f"bottle/{target}", Bottle).sha256 in text
