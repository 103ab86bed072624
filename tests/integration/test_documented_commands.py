"""The commands in the user documentation, run as written, with a fake stack."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support.launcher_services import Stigmer, free_ports, stigmer
from support.native_code import place

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "launcher/README.md", "docs/using.md", "docs/troubleshooting.md")
BLOCK = re.compile(r"<!-- run: tests/integration/test_documented_commands\.py -->\n+```sh\n(.*?)```", re.DOTALL)
PORT = "7300"
"""The port in the documents, which is replaced by a free one."""
DOWNLOAD = "stigmer-1.0.0-linux-amd64"


def put_program(path: Path) -> None:
    """Put the launcher at a path, as Homebrew, the single file and the archive do."""
    place(path, f'#!/bin/sh\nexec "{sys.executable}" -S -m stigmer_launcher "$@"\n'.encode())


def prepare(folder: Path) -> None:
    """Put the launcher at every path where a document expects it: on PATH, built, and downloaded."""
    put_program(folder / "path" / "stigmer")
    put_program(folder / "dist" / DOWNLOAD)
    put_program(folder / "archive" / DOWNLOAD / "bin" / "stigmer")
    with tarfile.open(folder / f"{DOWNLOAD}.tar.gz", "w:gz") as archive:
        archive.add(folder / "archive" / DOWNLOAD, DOWNLOAD)
    put_program(folder / DOWNLOAD)
    (folder / DOWNLOAD).chmod(0o644)


def run(block: str, launcher: Stigmer, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'path'}{os.pathsep}{launcher.environment['PATH']}"
    env = {**launcher.environment, "PATH": path, "EDITOR": "true"}
    return subprocess.run(
        ["sh", "-eux"], input=block, env=env, cwd=folder, capture_output=True, text=True, timeout=90, check=False
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_succeed_in_the_order_of_the_page(page: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    prepare(tmp_path)
    with stigmer(tmp_path) as launcher:
        (port,) = free_ports(1)
        for block in blocks:
            done = run(block.replace(PORT, str(port)), launcher, tmp_path)
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
