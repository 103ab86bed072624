"""An SPDX licence expression in the words of a formula: `license any_of: ["MIT", "Apache-2.0"]`.

Source: Homebrew's `SPDX` module. It takes no expression as text, and no name of our own (`LicenseRef-…`).
"""

import re
from typing import NamedTuple

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from stigmer_packaging.formula.ruby import quote

_OPERATORS = {"OR": "any_of", "AND": "all_of"}
_OWN = "LicenseRef-"


class _Joined(NamedTuple):
    """Several licences that are joined by OR or by AND."""

    operator: str
    parts: "tuple[_License, ...]"


_License = str | _Joined
"""A licence as Ruby, or several of them."""


def license_argument(expression: str) -> str:
    """Give what stands after `license` in a formula; ValueError when it is no SPDX expression."""
    try:
        canonical = canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        raise ValueError(f"{expression!r} is not an SPDX licence expression") from error
    read, rest = _read_any(re.findall(r"[()]|[^\s()]+", canonical))
    if rest:
        raise ValueError(f"{expression!r} is not an SPDX licence expression")
    return read if isinstance(read, str) else _outermost(read)


def _read_any(tokens: list[str], operator: str = "OR") -> tuple[_License, list[str]]:
    """Read licences joined by an operator; AND binds more tightly than OR."""
    part, rest = _read_any(tokens, "AND") if operator == "OR" else _read_one(tokens)
    parts = [part]
    while rest[:1] == [operator]:
        part, rest = _read_any(rest[1:], "AND") if operator == "OR" else _read_one(rest[1:])
        parts.append(part)
    return (part if len(parts) == 1 else _Joined(operator, tuple(parts))), rest


def _read_one(tokens: list[str]) -> tuple[_License, list[str]]:
    name, *rest = tokens
    if name == "(":
        read, rest = _read_any(rest)
        return read, rest[1:]
    if rest[:1] == ["WITH"]:
        return f"{quote(name)} => {{ with: {quote(rest[1])} }}", rest[2:]
    return (":cannot_represent" if name.startswith(_OWN) else quote(name)), rest


def _outermost(joined: _Joined) -> str:
    """Give the list in one line, or an element a line where one of them is not simple, as brew's style asks."""
    elements = [_element(part) for part in joined.parts]
    if not any(each.startswith("{") for each in elements):
        return _pair(joined)
    lines = "".join(f"    {each},\n" for each in elements)
    return f"{_OPERATORS[joined.operator]}: [\n{lines}  ]"


def _pair(joined: _Joined) -> str:
    return f"{_OPERATORS[joined.operator]}: [{', '.join(map(_element, joined.parts))}]"


def _element(part: _License) -> str:
    if isinstance(part, _Joined):
        return f"{{ {_pair(part)} }}"
    return f"{{ {part} }}" if "=>" in part else part
