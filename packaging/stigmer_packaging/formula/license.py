"""SPDX licence expressions in a formula's syntax: `license any_of: ["MIT", "Apache-2.0"]`.

Source: Homebrew's `SPDX` module. It accepts neither expressions as text nor custom names (`LicenseRef-…`).
"""

import ast
import re

from stigmer_packaging.formula.ruby import quote
from stigmer_packaging.lib.syntax import parse_expression

_WORDS = {"(": "(", ")": ")", "OR": "or", "AND": "and"}
_CUSTOM = "LicenseRef-"


def license_argument(expression: str) -> str:
    """Return the argument of `license` in a formula for an SPDX expression."""
    tokens = re.findall(r"[()]|[^\s()]+(?: WITH [^\s()]+)?", expression)
    # Operators have the same precedence in SPDX as in Python.
    return _render(parse_expression(" ".join(_WORDS.get(token, repr(token)) for token in tokens)), outermost=True)


def _render(part: ast.expr, *, outermost: bool = False) -> str:
    if isinstance(part, ast.BoolOp):
        operator = "any_of" if isinstance(part.op, ast.Or) else "all_of"
        elements = [_element(each) for each in part.values]
        if outermost and any(each.startswith("{") for each in elements):  # brew style: one element per line
            lines = "".join(f"    {each},\n" for each in elements)
            return f"{operator}: [\n{lines}  ]"
        return f"{operator}: [{', '.join(elements)}]"
    name, _, exception = ast.literal_eval(part).partition(" WITH ")
    if exception:
        return f"{quote(name)} => {{ with: {quote(exception)} }}"
    return ":cannot_represent" if name.startswith(_CUSTOM) else quote(name)


def _element(part: ast.expr) -> str:
    text = _render(part)
    return f"{{ {text} }}" if isinstance(part, ast.BoolOp) or "=>" in text else text
