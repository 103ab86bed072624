"""Syntax trees of Python sources, safe to build in several threads."""

import ast
import threading
from functools import cache

_PARSER = threading.Lock()


def parse_source(source: str | bytes, name: str = "<unknown>") -> ast.Module:
    """Return the syntax tree of a source, like `ast.parse`, but in one thread at a time.

    Concurrent parsing sometimes raises SystemError with Python 3.11. Source: CPython issue 106905.
    """
    with _PARSER:
        return ast.parse(source, name)


def parse_expression(source: str) -> ast.expr:
    """Return the syntax tree of one expression, in one thread at a time like `parse_source`."""
    with _PARSER:
        return ast.parse(source, mode="eval").body


@cache
def imported_names(source: str) -> frozenset[str]:
    """Return all modules that a source imports anywhere; `from a import b` yields `a` and, as it may exist, `a.b`."""
    found: set[str] = set()
    for node in ast.walk(parse_source(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)
