"""Ruby source text made from data: a string can never become code.

Escapes are those of Ruby's double-quoted literals (https://docs.ruby-lang.org/en/master/syntax/literals_rdoc.html).
Source for licences: Homebrew's `SPDX` module. It takes no expression as text, and no name of our own (`LicenseRef-…`).
"""

import ast
import re

from stigmer_packaging.lib.syntax import parse_expression

_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = 4  # what `Style/WordArray` of Homebrew calls long
_WORDS = {"(": "(", ")": ")", "OR": "or", "AND": "and"}
_OWN = "LicenseRef-"


def quote(text: str) -> str:
    r"""Give a double-quoted Ruby literal whose value is `text`.

    `#` is escaped where it would interpolate (before `{`, `$` and `@`), everything that cannot be printed as `\u{…}`.
    Raise ValueError for half a surrogate pair, which no Ruby string in UTF-8 can hold.
    """
    text.encode("utf-8")
    following = (text + " ")[1:]
    return '"' + "".join(_escape(*pair) for pair in zip(text, following, strict=True)) + '"'


def _escape(character: str, following: str) -> str:
    if character == "#" and following in "{$@":
        return "\\#"
    if character in _NAMED:
        return _NAMED[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def quote_words(words: tuple[str, ...]) -> str:
    """Give an array literal of strings: `%w[…]` where every word is plain, as Ruby's style asks, else quoted ones."""
    plain = all(word.replace("-", "").replace("_", "").isalnum() and word.isascii() for word in words)
    if len(words) >= _LONG and plain:
        return f"%w[{' '.join(words)}]"
    return f"[{', '.join(quote(word) for word in words)}]"


def license_argument(expression: str) -> str:
    """Give what stands after `license` in a formula, such as `any_of: ["MIT", "Apache-2.0"]`, for an SPDX expression."""
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
