"""The sources of the reference stack: its Go code, its lock, and the activities on their own."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stigmer_packaging.sources.locks import parse_lock
from support.reference_programs import AGENT_RUNNER, REFERENCE, agent_python

# The first run on a machine compiles the SDKs and installs the dependencies.
pytestmark = pytest.mark.timeout(1800)

# The flags of the build, so that both share Go's build cache.
SHARED = ("-trimpath", "./...")

ACTIVITIES = """
import asyncio, sys
from pathlib import Path
from agent_runner.activities import Activities
from temporalio.exceptions import ApplicationError

async def main(root):
    activities = Activities(root / "workspace")
    thread = await activities.ensure_thread()
    assert (root / "workspace" / thread).is_dir()
    assert await activities.ensure_thread(thread) == thread
    assert await activities.cleanup_sandbox(thread) is True
    assert await activities.cleanup_sandbox(thread) is False
    for outside in ("..", "../precious", str(root / "precious")):
        try:
            await activities.cleanup_sandbox(outside)
        except ApplicationError as error:
            assert error.non_retryable
        else:
            raise AssertionError(outside)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("words", [["gofmt", "-l", "."], ["go", "vet", *SHARED], ["go", "test", *SHARED]])
def test_the_go_code_is_formatted_vetted_and_tested(words: list[str]) -> None:
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    done = subprocess.run(words, cwd=REFERENCE, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert words[0] != "gofmt" or not done.stdout


def test_the_lock_pins_the_projects_dependencies_with_hashes_and_no_urls() -> None:
    project = tomllib.loads((AGENT_RUNNER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (AGENT_RUNNER / "requirements.lock").read_text(encoding="utf-8")
    pins = parse_lock(lock)  # several of one name, for other platforms
    for requirement in map(Requirement, project["dependencies"]):
        versions = [pin.version for pin in pins if pin.name == canonicalize_name(requirement.name)]
        assert any(map(requirement.specifier.contains, versions)), requirement
    assert "://" not in lock


def test_activities_keep_to_the_sandbox_root(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    command = [str(agent_python()), "-c", ACTIVITIES, str(tmp_path)]
    done = subprocess.run(command, cwd=AGENT_RUNNER, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "precious").is_dir()
