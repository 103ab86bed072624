"""Pieces of Markdown."""

from collections.abc import Iterable, Sequence

MADE = "<!-- made by scripts/docs; what it says is in the code -->"


def page(title: str, *parts: str) -> str:
    """Give a whole page."""
    return "\n\n".join((f"# {title}", MADE, *(part.strip("\n") for part in parts))) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; `|` in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def sentence(text: str) -> str:
    """Begin a text with a capital, and end it with a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
