"""Syntax trees of Python sources, also where several threads ask for them."""

import ast
import threading
from functools import cache

_PARSER = threading.Lock()


def parse_source(source: str | bytes, name: str = "<unknown>") -> ast.Module:
    """Give the syntax tree of a source, as `ast.parse` does, to one thread at a time.

    Two threads at once end in a SystemError at times with Python 3.11. Source: CPython issue 106905.
    """
    with _PARSER:
        return ast.parse(source, name)


def parse_expression(source: str) -> ast.expr:
    """Give the syntax tree of one expression, as parse_source does."""
    with _PARSER:
        return ast.parse(source, mode="eval").body


@cache
def imported_names(source: str) -> frozenset[str]:
    """Name every module a source imports anywhere in it; `from a import b` counts as `a` and, should it exist, `a.b`."""
    found: set[str] = set()
    for node in ast.walk(parse_source(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)
