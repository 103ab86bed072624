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
    return _render(parse_expression(" ".join(_WORDS.get(token, repr(token)) for token in tokens)), outermost=True)


def _render(part: ast.expr, *, outermost: bool = False) -> str:
    if isinstance(part, ast.BoolOp):
        operator = "any_of" if isinstance(part.op, ast.Or) else "all_of"
        elements = [_element(each) for each in part.values]
        if outermost and any(each.startswith("{") for each in elements):  # then brew's style asks for an element a line
            lines = "".join(f"    {each},\n" for each in elements)
            return f"{operator}: [\n{lines}  ]"
        return f"{operator}: [{', '.join(elements)}]"
    name, _, exception = ast.literal_eval(part).partition(" WITH ")
    if exception:
        return f"{quote(name)} => {{ with: {quote(exception)} }}"
    return ":cannot_represent" if name.startswith(_OWN) else quote(name)


def _element(part: ast.expr) -> str:
    text = _render(part)
    return f"{{ {text} }}" if isinstance(part, ast.BoolOp) or "=>" in text else text
