"""A program asks for what it requires; programs here are shell scripts that do, or do not."""

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


def test_a_program_that_asks_for_what_it_needs_passes(tmp_path: Path) -> None:
    sent = {"STIGMER_API_KEY": "x", "STIGMER_BACKEND_ENDPOINT": "y"}
    check_refusals(program(tmp_path, ASKING), sent, tuple(sent), folder=tmp_path, env=os.environ)


def test_a_program_that_starts_without_what_it_must_have_is_refused(tmp_path: Path) -> None:
    """Named with what it printed, so that one sees which other name it reads."""
    text = '#!/bin/sh\necho "STIGMER_TOKEN is missing"\nexit 1\n'
    with pytest.raises(GateError, match=r"without MODE it exits with code 1 and prints\nSTIGMER_TOKEN is missing"):
        check_refusals(program(tmp_path, text), {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ)


def test_a_program_that_runs_without_what_it_must_have_is_refused(tmp_path: Path) -> None:
    """Most servers do not end by themselves."""
    runs = program(tmp_path, "#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(GateError, match=r"without MODE it starts, and still runs after 0\.5 s") as refused:
        check_refusals(runs, {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ, seconds=0.5)
    assert "`required` of the component" in refused.value.remedy


def test_a_program_is_given_ports_and_paths_and_not_their_templates(tmp_path: Path) -> None:
    """It may read these first, and fail for another reason than the missing variable."""
    text = '#!/bin/sh\n[ "$PORT" -gt 0 ] && [ -d "$DATA" ] && [ "$MODEL" = none ] && : "${MODE:?is required}"\n'
    sent = {"PORT": "{port.server}", "DATA": "{home}/{home.relative}", "MODEL": "{llm.model}", "MODE": "local"}
    check_refusals(program(tmp_path, text), sent, ("MODE",), folder=tmp_path, env=os.environ)
