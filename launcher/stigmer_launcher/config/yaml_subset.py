"""The part of YAML that config.yaml needs: maps of maps of scalars, comments and quotes. Anything else is an error.

Reading keeps each value's place in its line, so that an edit changes that value alone and every comment survives.
Source of what is accepted, and of how it is read: YAML 1.2, block mappings with plain and quoted flow scalars.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

# Characters outside YAML's c-printable, which other programs refuse, and those that some read as the end of a line.
_FORBIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_BLANK = re.compile(r"[ \t]*(?:#.*)?")
_DOCUMENT_START = re.compile(r"---(?: [ \t]*(?:#.*)?)?")
_BRACES = re.compile(r"^ *\{\}(?: +(?=#)| *\r?$\n?)", re.MULTILINE)  # without the comment behind them
# `key: value`, where the value is an empty map, or a scalar in double quotes, in single ones, or in none.
_LINE = re.compile(
    r"""
    (?P<head> (?P<indent>\ *) (?P<key>\w[\w-]*) \ *: )
    (?:\ +
        (?P<scalar>
            \{\}
            | "(?: [^"\\\t] | \\["\\/nt] )*"
            | '(?: [^'\t] | '' )*'
            | (?: [^-:#\ \t{[?%&*!|>@`,}\]"'] | [-:](?=[^\ \t]) )  # its first character; below, all others
              (?: [^:#\ \t] | :(?=[^\ \t]) | (?<=[^\ ])\# | \ +(?=[^#\ \t]) )*
        )
    )?
    (?: [ \t]+ (?:\#.*)? )?
    """,
    re.ASCII | re.VERBOSE,
)
_CONSTRUCTS = {
    "-": "a list", "[": "a list in brackets", "{": "a map in braces", "?": "a complex key", "%": "a directive",
    "&": "an anchor", "*": "an alias", "!": "a tag", "|": "a block of text", ">": "a folded block of text",
    **dict.fromkeys("\"'", "a quoted key"),
}  # fmt: skip
# Problems of a row that `_LINE` does not match: the first pattern that matches its beginning gives the message.
_PROBLEMS = (
    (r"[^#]*\t[ \t]*[^ \t#]", "a tab; use spaces"),
    (r" *(?:---|\.\.\.)", "a document marker is not supported"),
    (r" *([-{[?%&*!|>@`,}\]\"'])", "{} is not supported"),
    (r"[^:]*(?:$|:[^ \t])", "expected `key: value` (a value cannot continue on the next line)"),
    (r" *+(?!\w[\w-]* *:)([^:]*?) *:", "{!r} is no key"),
    (r"""[^:]*: *(?:"(?:[^"\\]|\\.?)*|'(?:[^']|'')*)$""", "a quote that is not closed"),
    (r"""[^:]*: *"(?:[^"\\]|\\["\\/nt])*(\\.)""", "the escape {} is not supported"),
    (r"""[^:]*: *["']""", "something follows the closing quote"),
    (r"[^:]*: *(-(?![^ ])|[{[?%&*!|>@`,}\]])", "{} is not supported as a value (quote the text if it is one)"),
    (r"", "a second colon in the value (quote the text if it is one)"),
)
_PLAIN = re.compile(r"[\w./+()][\w./+(),:=@~-]*(?<!:)", re.ASCII)
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")

EMPTY = ("", "~", "null", "Null", "NULL")  # scalars that mean no value
EMPTY_MAP = "{}"


class Line(NamedTuple):
    """One `key: value`: its number from 1, its indent, its dotted path, its value as written, and that value's offset.

    A key without a value has an empty scalar, behind its colon; it may open a map.
    """

    number: int
    indent: int
    path: str
    scalar: str
    start: int

    @property
    def value(self) -> str:
        """Return the value without quotes and escapes."""
        if self.scalar.startswith("'"):
            return self.scalar[1:-1].replace("''", "'")
        if self.scalar.startswith('"'):
            return str(json.loads(self.scalar))  # the escapes of the subset are among JSON's
        return self.scalar


class SubsetError(ValueError):
    """A line is outside the subset, or not YAML. `args` are its number and the problem."""


def parse(text: str) -> dict[str, Line]:
    """Return the lines of a file by path, in order; SubsetError for the first that cannot be read."""
    rows = list(_rows(text))
    if rows and _DOCUMENT_START.fullmatch(rows[0][2]):
        del rows[0]
    if rows and _BRACES.match(rows[0][2]):
        if rows[1:]:
            raise SubsetError(rows[1][0], "something follows the map in braces")
        return {}
    lines: dict[str, Line] = {}
    above: list[Line] = []  # the last line, and the lines of the maps that hold it
    for number, begin, row in rows:
        found = _LINE.fullmatch(row)
        if not found:
            raise SubsetError(number, _problem(row))
        indent, scalar = len(found["indent"]), found["scalar"] or ""
        path = _parent(number, indent, above) + found["key"]
        if path in lines:
            raise SubsetError(number, f"the key {path} is here a second time")
        start = begin + (found.start("scalar") if scalar else found.end("head"))
        lines[path] = Line(number, indent, path, scalar, start)
        above.append(lines[path])
    return lines


def remove(text: str, path: str) -> str:
    """Return the text without a key and the keys below it; unchanged when the key is not in it."""
    gone = {line.number for line in _subtree(parse(text), path)}
    return "\n".join(row for number, row in enumerate(text.split("\n"), 1) if number not in gone)


def assign(text: str, path: str, scalar: str) -> str:
    """Return the text with the value of a key replaced by a scalar from `render`.

    A missing key is added at the end of its map, and a missing map at the end of the one above.
    """
    lines = parse(text)
    if path in lines:
        return _replace(text, lines[path], scalar)
    outer, _, name = path.rpartition(".")
    if not outer:
        return _insert(text, tuple(lines.values()), f"{name}: {scalar}")
    if outer not in lines:
        return assign(assign(text, outer, ""), path, scalar)
    opening, *inner = subtree = _subtree(lines, outer)
    if opening.scalar == EMPTY_MAP:
        text = _replace(text, opening, "")
    elif opening.scalar:
        raise SubsetError(opening.number, f"{outer} has a value here and cannot hold other keys")
    indent = inner[0].indent if inner else opening.indent + 2
    return _insert(text, subtree, f"{' ' * indent}{name}: {scalar}")


def is_printable(text: str) -> bool:
    """Return whether a file may hold a text: no control characters or line separators, no bytes that are not UTF-8."""
    return not _FORBIDDEN.search(text)


def render(text: str) -> str:
    """Return a string as a scalar that reads back as the same string, quoted only where necessary."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _rows(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield number, offset and text of each row that holds more than a comment; SubsetError for a forbidden character."""
    for number, found in enumerate(re.finditer(r"^.*$", text, re.MULTILINE), 1):
        row = found[0].removesuffix("\r")
        if bad := _FORBIDDEN.search(row):
            code = ord(bad[0])  # a byte that could not be decoded is a surrogate (surrogateescape)
            problem = "this is not UTF-8 text" if 0xDC80 <= code <= 0xDCFF else f"the character {code:#04x}"
            raise SubsetError(number, problem)
        if not _BLANK.fullmatch(row):
            yield number, found.start(), row


def _problem(row: str) -> str:
    matches = ((re.match(pattern, row, re.ASCII), text) for pattern, text in _PROBLEMS)
    found, text = next((found, text) for found, text in matches if found)
    return text.format(*(_CONSTRUCTS.get(part, part) for part in found.groups()))


def _parent(number: int, indent: int, above: list[Line]) -> str:
    """Return the path before a line's key, with its dot, and drop from `above` the maps that end before the line."""
    beside = None
    while above and above[-1].indent >= indent:
        beside = above.pop()
    if above and above[-1].scalar:
        raise SubsetError(number, f"it is indented below {above[-1].path}, which has a value of its own")
    if (beside and beside.indent != indent) or (indent and not above):
        raise SubsetError(number, "its indentation is that of no map above")
    return f"{above[-1].path}." if above else ""


def _replace(text: str, line: Line, scalar: str) -> str:
    before, after = text[: line.start], text[line.start + len(line.scalar) :]
    gap = "" if before.endswith(" ") else " "
    return before + gap + scalar + after


def _insert(text: str, subtree: Sequence[Line], new: str) -> str:
    """Return the text with a row added below the lines of a map; without lines the file is empty, or only `{}`."""
    end = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += end
    rows = (text if subtree else _BRACES.sub("", text)).split("\n")
    rows.insert(subtree[-1].number if subtree else len(rows) - 1, new.rstrip(" ") + end[:-1])
    return "\n".join(rows)


def _subtree(lines: Mapping[str, Line], path: str) -> list[Line]:
    """Return the line of a key and the lines below it."""
    return [line for line in lines.values() if f"{line.path}.".startswith(f"{path}.")]
