"""Fenced blocks of Markdown, each with the comment before it: `<!-- KIND: TEXT -->`."""

import re
from typing import NamedTuple

_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- ([a-z ]+): ((?:(?!-->).)+?) -->\s*\Z", re.DOTALL)


class Block(NamedTuple):
    """One block: its first line, language and text, and the kind and text of the comment (empty if there is none)."""

    line: int
    language: str
    text: str
    kind: str
    about: str


def blocks_of(markdown: str) -> list[Block]:
    return [_block(markdown, found) for found in _FENCE.finditer(markdown)]


def _block(markdown: str, found: re.Match[str]) -> Block:
    before = markdown[: found.start()]
    comment = _COMMENT.search(before)
    kind, about = comment.groups() if comment else ("", "")
    return Block(before.count("\n") + 1, found[1], found[2], kind, about)
