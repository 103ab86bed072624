"""Helpers for tests of freezing: a freezer for this machine, sample projects, and stand-ins for programs."""

import os
import platform
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.freeze.probes import ServiceProbe
from stigmer_packaging.freeze.stage import Freezer
from stigmer_packaging.lib.debian import Archives
from stigmer_packaging.lib.environment import build_environment, cache_root
from stigmer_packaging.lib.target import ARCHITECTURES, SYSTEMS, Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline import system
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.records.workspace import Workspace
from support.manifest_texts import PATH
from support.native_code import place

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"
RECIPE = ROOT / "packaging" / "python"
HOST = system.read_platform(platform.system(), platform.machine())
TARGETS = [Target(name, architecture) for name in SYSTEMS for architecture in ARCHITECTURES]
CACHE = cache_root(os.environ, Path.home())
ENV = build_environment(os.environ)
PROBE = ServiceProbe(
    {"MODE": "local", "STIGMER_LLM_PROVIDER": "ollama", "TEMPORAL_SERVICE_ADDRESS": "{temporal.address}"},
    ready="Worker ready",
    grace=10,
)

PRODUCT = load_manifest(PATH)
VERSIONED = replace(PRODUCT, product=replace(PRODUCT.product, version="7.8.9"))
"""Our manifest with a version that no other test uses."""

FAKE_TEMPORAL = """
import socket, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
listener = socket.create_server(("127.0.0.1", port))
print(f"Temporal Server:      localhost:{port}", flush=True)
while True:
    time.sleep(60)
"""
"""Prints what the Temporal CLI prints when it serves, and accepts connections, but never sends anything on them."""


def make_freezer(folder: Path, target: Target = HOST, *, python: str = sys.executable, cache: Path = CACHE) -> Freezer:
    """Return a freezer for a target that works below `folder`, by default with the wheel cache of real builds.

    Skip the test if the target needs a pinned Python that has not been built.
    """
    workspace, manifest = Workspace(folder / "build", cache), load_manifest(PATH)
    context = BuildContext(manifest, workspace, ROOT, HOST, "", ENV, 1_700_000_000, lambda _: None, python)
    if context.makes_python([target]):
        pytest.skip(f"no Python for {target} in {cache}: scripts/packaging python --target {target} builds it")
    return context.freezer_of(target)


def no_archives() -> Archives:
    """Fail in place of opening Debian's archives, for tests that must not download anything."""
    raise AssertionError("the test tried to download from Debian's archives")


def copy_sample(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(SAMPLES / name, folder / name))


def make_program(path: Path, source: str) -> Path:
    """Write a Python script as an executable file."""
    return place(path, f"#!{sys.executable}\n{source}".encode())
