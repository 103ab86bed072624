"""Command blocks of all documents: each is run by a test, or says why not; and links lead somewhere."""

import re
from pathlib import Path

import pytest

from stigmer_packaging.pipeline.context import DOCUMENTS as DOCUMENTS_OF_A_KEG
from support.markdown_blocks import Block, blocks_of

ROOT = Path(__file__).parents[2]
HISTORY = {"CHANGELOG.md", "DECISIONS.md"}
"""What was said at its time stays."""
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


def objection(block: Block) -> str:
    """Say what is wrong with the comment before a block of commands; nothing, when a test runs it or it says why not."""
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
    assert list(filter(None, map(objection, blocks_of(path.read_text(encoding="utf-8"))))) == []


def test_what_is_packed_has_no_link_that_leads_out_of_a_keg() -> None:
    """Once its links were those of the repository's own README, to documents that are in no bottle."""
    text = (ROOT / DOCUMENTS_OF_A_KEG["README.md"]).read_text(encoding="utf-8")
    assert _LINK.findall(text) == []


@every_document
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    assert dead_links(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("before", "fence", "found"),
    [
        ("<!-- run: tests/unit/test_documents.py -->\n", "sh", False),
        ("<!-- not run: needs a Mac -->\n\n", "sh", False),
        ("", "text", False),
        ("<!-- run: tests/unit/test_that_is_gone.py -->\n", "sh", True),
        ("<!-- not run: later -->\n", "sh", True),
        ("<!-- not run: of another block -->\nwords\n", "sh", True),
        ("", "sh", True),
        ("<!-- not run: the wrong language -->\n", "bash", True),
    ],
)
def test_a_block_nobody_answers_for_is_found(before: str, fence: str, found: bool) -> None:  # noqa: FBT001 - a table
    (block,) = blocks_of(f"# Title\n\n{before}```{fence}\nls\n```\n")
    assert bool(objection(block)) == found


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    text = "[a](there.md#x) [b](gone.md) `[c](code.md)` [d](https://example.org) ![e](picture.svg)"
    assert dead_links(tmp_path / "page.md", text) == ["gone.md"]
