"""Signatures made here hold for an implementation of another author: the Go module blacktop/go-macho."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stigmer_packaging.binaries import codesign, macho_edit
from support.native_code import go_program

SAMPLE = Path(__file__).parents[1] / "samples" / "macho-signatures"
ENV = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the program that checks signatures."""
    if not shutil.which("go"):
        pytest.skip("there is no Go on PATH")
    program = tmp_path_factory.mktemp("checker") / "signatures"
    words = ["go", "build", "-o", str(program), "."]
    built = subprocess.run(words, cwd=SAMPLE, env=ENV, capture_output=True, text=True, check=False, timeout=110)
    if built.returncode:
        pytest.skip(f"go-macho cannot be had here: {built.stderr[-200:]}")
    return program


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_another_implementation_accepts_what_is_signed_here(checker: Path, architecture: str, tmp_path: Path) -> None:
    """And refuses it with one byte changed, so that it did look."""
    stripped = macho_edit.strip(go_program("darwin", architecture, "-linkmode=internal -buildid="))
    signed = codesign.sign(macho_edit.set_names(stripped, rpaths=["@loader_path/lib"]), "program")
    (tmp_path / "good").write_bytes(signed)
    (tmp_path / "bad").write_bytes(signed[:9000] + bytes([signed[9000] ^ 1]) + signed[9001:])
    done = subprocess.run([checker, "good"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[1]) >= len(stripped) // 4096
    refused = subprocess.run([checker, "bad"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "bad: page 2 is not what was signed\n")
