"""A bottle for arm64 Linux, built on x86_64, poured and fully verified under emulation.

Takes about two minutes once the Python for arm64 is in the cache.
"""

import json
import os
import platform
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests/samples/two-services"

pytestmark = pytest.mark.timeout(3600)


def test_a_bottle_for_arm_is_built_and_verified_on_another_architecture(tmp_path: Path) -> None:
    if platform.machine() != "x86_64" or not (shutil.which("qemu-aarch64-static") and shutil.which("go")):
        pytest.skip("needs x86_64, qemu-user-static and Go")
    if "STIGMER_TEST_EMULATION" not in os.environ:
        pytest.skip("too slow for every pull request: set STIGMER_TEST_EMULATION=1")
    words = [f"--manifest={SAMPLE / 'manifest.yaml'}", f"--checkout={SAMPLE / 'tree'}", f"--workspace={tmp_path}"]
    assert cli.run(["formula", *words, "--target=linux-arm64"]) == 0
    bottle = tmp_path / "dist/greetings-0.3.0.arm64_linux.bottle.tar.gz"
    assert cli.run(["verify", str(bottle), f"--workspace={tmp_path}"]) == 0
    report = json.loads((tmp_path / "records/verify/sandbox/linux-arm64.json").read_text(encoding="utf-8"))
    assert "the end-to-end call returns" in {check["name"] for check in report["checks"] if check["passed"]}
    assert report["ended"]
    assert all(check["passed"] for check in report["checks"])
