"""An SPDX licence expression in the words of a formula: `license any_of: ["MIT", "Apache-2.0"]`.

Source: Homebrew's `SPDX` module. It takes no expression as text, and no name of our own (`LicenseRef-…`).
"""

import ast
import re

from stigmer_packaging.formula.ruby import quote
from stigmer_packaging.lib.syntax import parse_expression

_WORDS = {"(": "(", ")": ")", "OR": "or", "AND": "and"}
_OWN = "LicenseRef-"


def license_argument(expression: str) -> str:
    """Give what stands after `license` in a formula; `expression` is written as SPDX writes it."""
    tokens = re.findall(r"[()]|[^\s()]+(?: WITH [^\s()]+)?", expression)
    # Operators bind in SPDX as they do in Python.
    read = parse_expression(" ".join(_WORDS.get(token, repr(token)) for token in tokens))
    return _outermost(read) if isinstance(read, ast.BoolOp) else _licence(read)


def _outermost(joined: ast.BoolOp) -> str:
    """Give the list in one line, or an element a line where one of them is not simple, as brew's style asks."""
    elements = [_element(part) for part in joined.values]
    if not any(each.startswith("{") for each in elements):
        return _pair(joined)
    lines = "".join(f"    {each},\n" for each in elements)
    return f"{_operator(joined)}: [\n{lines}  ]"


def _pair(joined: ast.BoolOp) -> str:
    return f"{_operator(joined)}: [{', '.join(map(_element, joined.values))}]"


def _operator(joined: ast.BoolOp) -> str:
    return "any_of" if isinstance(joined.op, ast.Or) else "all_of"


def _element(part: ast.expr) -> str:
    if isinstance(part, ast.BoolOp):
        return f"{{ {_pair(part)} }}"
    licence = _licence(part)
    return f"{{ {licence} }}" if "=>" in licence else licence


def _licence(part: ast.expr) -> str:
    name, _, exception = ast.literal_eval(part).partition(" WITH ")
    if exception:
        return f"{quote(name)} => {{ with: {quote(exception)} }}"
    return ":cannot_represent" if name.startswith(_OWN) else quote(name)
