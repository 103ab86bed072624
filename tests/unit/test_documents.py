"""Every command block of the documents is run by a test or says why not, and every link has a target."""

import re
from pathlib import Path

import pytest

from stigmer_packaging.pipeline.context import DOCUMENTS as DOCUMENTS_OF_A_KEG
from support.markdown_blocks import Block, blocks_of

ROOT = Path(__file__).parents[2]
HISTORY = {"CHANGELOG.md", "DECISIONS.md"}
"""Documents that record the past and are not kept up to date."""
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "launcher/*.md",
        "packaging/*.md",
        "packaging/python/*.md",
        "packaging/reference/*.md",
        "benchmarks/*.md",
    )
    for path in ROOT.glob(pattern)
    if path.name not in HISTORY
)
SHELLS = {"bash", "shell", "console", "zsh"}
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")


def problem_of(block: Block) -> str:
    """Return what is wrong with the comment before a block of commands, or "" if it names a test or a reason."""
    if block.language in SHELLS:
        return f"line {block.line}: use ```sh for commands, ```text for anything else"
    if block.language != "sh":
        return ""
    if block.kind == "run":
        return "" if (ROOT / block.about).is_file() else f"line {block.line}: there is no {block.about}"
    if block.kind == "not run" and len(block.about.split()) > 2:
        return ""
    return f"line {block.line}: put `<!-- run: TEST -->` or `<!-- not run: REASON -->` before it"


def dead_links(path: Path, text: str) -> list[str]:
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return [link for link in _LINK.findall(without_code) if not (path.parent / link).exists()]


@every_document
def test_every_block_of_commands_is_run_by_a_test_or_says_why_not(path: Path) -> None:
    assert list(filter(None, map(problem_of, blocks_of(path.read_text(encoding="utf-8"))))) == []


def test_the_readme_of_a_keg_has_no_links() -> None:
    """It once had links of the repository's README to documents that are not in the bottle."""
    text = (ROOT / DOCUMENTS_OF_A_KEG["README.md"]).read_text(encoding="utf-8")
    assert _LINK.findall(text) == []


@every_document
def test_every_relative_link_has_an_existing_target(path: Path) -> None:
    assert dead_links(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("before", "fence"),
    [
        ("<!-- run: tests/unit/test_that_is_gone.py -->\n", "sh"),
        ("<!-- not run: later -->\n", "sh"),
        ("<!-- not run: of another block -->\nwords\n", "sh"),
        ("", "sh"),
        ("<!-- not run: the wrong language -->\n", "bash"),
    ],
    ids=["missing test", "reason too short", "comment of another block", "no comment", "wrong language"],
)
def test_a_block_without_a_test_or_a_reason_is_found(before: str, fence: str) -> None:
    (block,) = blocks_of(f"# Title\n\n{before}```{fence}\nls\n```\n")
    assert problem_of(block)


@pytest.mark.parametrize(
    ("before", "fence"),
    [
        ("<!-- run: tests/unit/test_documents.py -->\n", "sh"),
        ("<!-- not run: needs a Mac -->\n\n", "sh"),
        ("", "text"),
    ],
    ids=["test", "reason", "not a command"],
)
def test_a_block_with_a_test_or_a_reason_or_without_commands_is_accepted(before: str, fence: str) -> None:
    (block,) = blocks_of(f"# Title\n\n{before}```{fence}\nls\n```\n")
    assert not problem_of(block)


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    text = "[a](there.md#x) [b](gone.md) `[c](code.md)` [d](https://example.org) ![e](picture.svg)"
    assert dead_links(tmp_path / "page.md", text) == ["gone.md"]
