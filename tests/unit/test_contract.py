"""A program must fail without each required variable; the programs here are shell scripts that do or do not."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.sources.contract import check_refusals
from support.native_code import place

ASKING = """#!/bin/sh
: "${STIGMER_API_KEY:?is required}" "${STIGMER_BACKEND_ENDPOINT:?is required}"
"""


def program(folder: Path, text: str) -> Path:
    return place(folder / "runner", text.encode())


def test_a_program_that_fails_without_its_required_variables_passes(tmp_path: Path) -> None:
    sent = {"STIGMER_API_KEY": "x", "STIGMER_BACKEND_ENDPOINT": "y"}
    check_refusals(program(tmp_path, ASKING), sent, tuple(sent), folder=tmp_path, env=os.environ)


def test_a_program_that_does_not_name_its_missing_variable_is_refused(tmp_path: Path) -> None:
    """The error includes its output, which shows which other name it reads."""
    text = '#!/bin/sh\necho "STIGMER_TOKEN is missing"\nexit 1\n'
    with pytest.raises(GateError, match=r"without MODE it exits with code 1 and prints\nSTIGMER_TOKEN is missing"):
        check_refusals(program(tmp_path, text), {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ)


def test_a_program_that_names_its_missing_variable_but_succeeds_is_refused(tmp_path: Path) -> None:
    text = "#!/bin/sh\necho MODE is missing, using a default\n"
    with pytest.raises(GateError, match="without MODE it exits with code 0"):
        check_refusals(program(tmp_path, text), {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ)


def test_a_program_that_keeps_running_without_a_required_variable_is_refused(tmp_path: Path) -> None:
    """Most servers do not exit by themselves."""
    runs = program(tmp_path, "#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(GateError, match=r"without MODE it starts, and still runs after 0\.5 s") as refused:
        check_refusals(runs, {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ, seconds=0.5)
    assert "`required` of the component" in refused.value.remedy


def test_a_program_runs_with_a_home_of_its_own(tmp_path: Path) -> None:
    text = '#!/bin/sh\n[ "$HOME" -ef . ] && : "${MODE:?is required}"\n'
    check_refusals(program(tmp_path, text), {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ)


def test_placeholders_for_ports_and_paths_are_filled_in(tmp_path: Path) -> None:
    """A program may read these first and fail because of a placeholder instead of the missing variable."""
    text = '#!/bin/sh\n[ "$PORT" -gt 0 ] && [ -d "$DATA" ] && [ "$MODEL" = none ] && : "${MODE:?is required}"\n'
    sent = {"PORT": "{port.server}", "DATA": "{home}/{home.relative}", "MODEL": "{llm.model}", "MODE": "local"}
    check_refusals(program(tmp_path, text), sent, ("MODE",), folder=tmp_path, env=os.environ)
