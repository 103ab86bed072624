"""What the launcher sends is what a program reads; programs here are shell scripts that do read it, or do not."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.errors import GateError
from stigmer_packaging.manifest import load_manifest
from stigmer_packaging.tools.contract import COMPRESSED, check_names, check_refusals, find_words
from support.manifest_texts import PATH, problems_of

ASKING = """#!/bin/sh
: "${STIGMER_API_KEY:?is required}" "${STIGMER_BACKEND_ENDPOINT:?is required}"
"""


def program(folder: Path, text: str) -> Path:
    path = folder / "runner"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_variable_that_is_sent_under_a_name_nobody_reads_is_found(tmp_path: Path) -> None:
    """Queues were once sent without their prefix for weeks, and STIGMER_BACKEND_URL."""
    with pytest.raises(GateError, match=r"does not read: STIGMER_BACKEND_URL, TASK_QUEUES$"):
        check_names([program(tmp_path, ASKING)], ("STIGMER_API_KEY", "TASK_QUEUES", "STIGMER_BACKEND_URL"), "runner")


def test_names_may_be_spread_over_the_files_of_a_bundle(tmp_path: Path) -> None:
    """A frozen program has its modules beside it."""
    (tmp_path / "a").write_text("one STIGMER_API_KEY")
    (tmp_path / "b").write_text("two MODE")
    check_names([tmp_path, tmp_path / "a", tmp_path / "b"], ("STIGMER_API_KEY", "MODE"), "agent-runner")


def test_a_file_that_unpacks_itself_shows_no_names_and_is_let_through(tmp_path: Path) -> None:
    """The product's prebuilt runner is one; beside other files the mark means nothing."""
    (tmp_path / "onefile").write_bytes(b"\x00" + COMPRESSED)
    (tmp_path / "other").write_bytes(b"")
    check_names([tmp_path / "onefile"], ("MODE",), "agent-runner")
    with pytest.raises(GateError):
        check_names([tmp_path / "onefile", tmp_path / "other"], ("MODE",), "agent-runner")


def test_a_name_across_two_pieces_that_are_read_is_found(tmp_path: Path) -> None:
    """Large files are read in pieces of four megabytes."""
    (tmp_path / "large").write_bytes(b"x" * ((1 << 22) - 4) + b"STIGMER_API_KEY")
    assert find_words(tmp_path / "large", {b"STIGMER_API_KEY", b"absent"}) == {b"STIGMER_API_KEY"}


def test_a_program_that_asks_for_what_it_needs_passes(tmp_path: Path) -> None:
    """The contract's missing-variable cases."""
    sent = {"STIGMER_API_KEY": "x", "STIGMER_BACKEND_ENDPOINT": "y"}
    check_refusals(program(tmp_path, ASKING), sent, tuple(sent), folder=tmp_path, env=os.environ)


def test_a_program_that_starts_without_what_it_must_have_is_refused(tmp_path: Path) -> None:
    """Named with what it printed, so that one sees which other name it reads."""
    text = '#!/bin/sh\necho "STIGMER_TOKEN is missing"\nexit 1\n'
    with pytest.raises(GateError, match=r"without MODE it ends with exit code 1 and says\nSTIGMER_TOKEN is missing"):
        check_refusals(program(tmp_path, text), {"MODE": "local"}, ("MODE",), folder=tmp_path, env=os.environ)


def test_the_manifest_can_require_only_what_is_sent() -> None:
    """A typing mistake would otherwise be a check that checks nothing."""
    found = problems_of(("required: [STIGMER_BACKEND_ENDPOINT,", "required: [STIGMER_BACKEND_ENDPOINTS,"))
    assert any("unknown variable 'STIGMER_BACKEND_ENDPOINTS'" in problem for problem in found)


def test_what_is_optional_is_not_among_what_must_be_read() -> None:
    """One manifest serves builds of several months."""
    runner = next(part for part in load_manifest(PATH).components if part.name == "agent-runner")
    assert "STIGMER_CHECKPOINTER_SQLITE_PATH" not in runner.read
    assert "STIGMER_BACKEND_ENDPOINT" in runner.read
