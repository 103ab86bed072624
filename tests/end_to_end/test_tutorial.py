"""The tutorial, followed literally: its files are written and its commands run in order, in an empty directory.

Takes about two minutes: two services are built, and a bottle is fully verified.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.markdown_blocks import blocks_of

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).relative_to(ROOT).as_posix()

pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH"),
]


def test_the_tutorial_yields_a_verified_bottle_and_a_running_product(tmp_path: Path) -> None:
    for block in blocks_of((ROOT / "docs" / "packaging.md").read_text(encoding="utf-8")):
        if block.kind == "file":
            path = tmp_path / block.about
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif (block.kind, block.about) == ("run", HERE):
            printed = run(block.text, tmp_path)
    assert "hello, it is 2" in printed


def run(commands: str, folder: Path) -> str:
    env = {**os.environ, "DISTRIBUTION": str(ROOT)}
    done = subprocess.run(
        ["sh", "-euc", commands],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout
