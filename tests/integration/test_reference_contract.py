"""The manifest and the reference services agree on every variable: what is sent is read, what is required is asked for."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.errors import GateError
from stigmer_packaging.manifest import load_manifest
from stigmer_packaging.tools.contract import check_names, check_refusals
from support.manifest_texts import PATH
from support.reference_programs import AGENT_RUNNER, GO_PACKAGES, go_program

# The first run on a machine builds the programs.
pytestmark = pytest.mark.timeout(1800)

COMPONENTS = {part.name: part for part in load_manifest(PATH).components}


def files_of(name: str) -> list[Path]:
    """Give what a service is made of: its executable, or the sources that are frozen."""
    return [go_program(name)] if name in GO_PACKAGES else sorted(AGENT_RUNNER.rglob("*.py"))


@pytest.mark.parametrize("name", ["stigmer-server", "workflow-runner", "agent-runner"])
def test_a_reference_service_reads_everything_it_is_sent(name: str) -> None:
    """But for what the manifest says not every build reads."""
    check_names(files_of(name), COMPONENTS[name].read, name)


@pytest.mark.parametrize("old", ["STIGMER_BACKEND_URL", "WORKSPACE_ROOT"])
def test_names_that_were_once_sent_in_vain_are_read_by_none(old: str) -> None:
    """The check would have seen them."""
    for name in ("workflow-runner", "agent-runner"):
        with pytest.raises(GateError, match=old):
            check_names(files_of(name), (old,), name)


def test_the_workflow_runner_asks_for_each_variable_that_it_requires(tmp_path: Path) -> None:
    """Its missing-variable cases, one start each."""
    runner = COMPONENTS["workflow-runner"]
    check_refusals(go_program(runner.name), runner.run.environment, runner.required, folder=tmp_path, env=os.environ)
    assert runner.required
