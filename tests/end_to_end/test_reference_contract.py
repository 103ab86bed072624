"""The manifest and the reference services agree on every variable: each one sent is read, each one required is sent."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.audit.variables import find_unread, find_words
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.sources.contract import check_refusals
from support.manifest_texts import PATH
from support.reference_programs import AGENT_RUNNER, GO_PACKAGES, go_program

# The first run on a machine builds the programs.
pytestmark = pytest.mark.timeout(1800)

COMPONENTS = {part.name: part for part in load_manifest(PATH, reference=True).components}


def words_of(name: str) -> frozenset[str]:
    files = [go_program(name)] if name in GO_PACKAGES else sorted(AGENT_RUNNER.rglob("*.py"))
    return find_words((file.name, file.read_bytes()) for file in files)


@pytest.mark.parametrize("name", ["stigmer-server", "workflow-runner", "agent-runner"])
def test_a_reference_service_reads_everything_it_is_sent(name: str) -> None:
    """Except for variables that, by the manifest, not every build reads."""
    part = COMPONENTS[name]
    assert set(find_unread(part.run.environment, words_of(name))) <= set(part.optional)


@pytest.mark.parametrize("old", ["STIGMER_BACKEND_URL", "WORKSPACE_ROOT"])
def test_variables_that_were_once_sent_without_effect_are_read_by_no_service(old: str) -> None:
    for name in ("workflow-runner", "agent-runner"):
        assert find_unread([old], words_of(name)) == [old]


def test_the_workflow_runner_names_each_required_variable_that_is_missing(tmp_path: Path) -> None:
    runner = COMPONENTS["workflow-runner"]
    check_refusals(go_program(runner.name), runner.run.environment, runner.required, folder=tmp_path, env=os.environ)
    assert runner.required
