"""The part of YAML that config.yaml needs: maps of maps of scalars, comments and quotes. Anything else is an error.

Reading keeps each value's place in its line, so that an edit changes that value alone and every comment survives.
Source of what is accepted, and of how it is read: YAML 1.2, block mappings with plain and quoted flow scalars.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

# What is not in YAML's c-printable: other programs refuse a file that holds it. And NEL, which some take for a line's end.
_FORBIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NOTHING = re.compile(r"[ \t]*(?:#.*)?")
_BEGIN = re.compile(r"---(?: [ \t]*(?:#.*)?)?")
_EMPTY_FILE = re.compile(r" *\{\}(?: +#.*| *)")
# `key: value`, where the value is an empty map, or a scalar in double quotes, in single ones, or in none.
_LINE = re.compile(
    r"""
    (?P<head> (?P<indent>\ *) (?P<key>\w[\w-]*) \ *: )
    (?:\ +
        (?P<scalar>
            \{\}
            | "(?: [^"\\\t] | \\["\\/nt] )*"
            | '(?: [^'\t] | '' )*'
            | (?: [^-:#\ \t{[?%&*!|>@`,}\]"'] | [-:](?=[^\ \t]) )  # how it begins, and below, how it goes on
              (?: [^:#\ \t] | :(?=[^\ \t]) | (?<=[^\ ])\# | \ +(?=[^#\ \t]) )*
        )
    )?
    (?: [ \t]+ (?:\#.*)? )?
    """,
    re.ASCII | re.VERBOSE,
)
_CONSTRUCTS = {
    "-": "a list",
    "[": "a list in brackets",
    "{": "a map in braces",
    "?": "a complex key",
    "%": "a directive",
    "&": "an anchor",
    "*": "an alias",
    "!": "a tag",
    "|": "a block of text",
    ">": "a folded block of text",
    **dict.fromkeys("\"'", "a quoted key"),
}
# What is wrong with a row that is none of those above: said by the first pattern that it begins with.
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


# What stands for no value: nothing, or YAML's null.
EMPTY = ("", "~", "null", "Null", "NULL")
EMPTY_MAP = "{}"


class Line(NamedTuple):
    """One `key: value`: its number from 1, its dotted path, its value as it is written, and where in the text that begins.

    A key without a value has an empty one behind its colon; it may open a map.
    """

    number: int
    indent: int
    path: str
    scalar: str
    start: int

    @property
    def value(self) -> str:
        """Return the text that the value stands for."""
        if self.scalar.startswith("'"):
            return self.scalar[1:-1].replace("''", "'")
        if self.scalar.startswith('"'):
            return str(json.loads(self.scalar))  # the escapes of the subset are among JSON's
        return self.scalar


class SubsetError(ValueError):
    """A line that is not of the subset, or not YAML. `args` are its number and what is wrong with it."""


def parse(text: str) -> dict[str, Line]:
    """Read the lines of a file by their paths, in order; SubsetError names one that cannot be read."""
    rows = list(_rows(text))
    if rows and _BEGIN.fullmatch(rows[0][2]):
        del rows[0]
    if rows and _EMPTY_FILE.fullmatch(rows[0][2]):
        if rows[1:]:
            raise SubsetError(rows[1][0], "something follows the map in braces")
        return {}
    lines: dict[str, Line] = {}
    above: list[Line] = []  # the last line, and those it stands below
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
    """Return the text without a key and what stands below it; a text without the key stays as it is."""
    gone = {line.number for line in _family(parse(text), path)}
    return "\n".join(row for number, row in enumerate(text.split("\n"), 1) if number not in gone)


def assign(text: str, path: str, scalar: str) -> str:
    """Return the text with the value of a key replaced by a scalar as `render` gives it.

    A key that is missing is added at the end of the map it belongs to, and so is that map.
    """
    lines = parse(text)
    if path in lines:
        return _replace(text, lines[path], scalar)
    outer, _, name = path.rpartition(".")
    if not outer:
        return _insert(text, tuple(lines.values()), f"{name}: {scalar}")
    if outer not in lines:
        return assign(assign(text, outer, ""), path, scalar)
    opening, *inner = family = _family(lines, outer)
    if opening.scalar == EMPTY_MAP:
        text = _replace(text, opening, "")
    elif opening.scalar:
        raise SubsetError(opening.number, f"{outer} has a value here and cannot hold other keys")
    indent = inner[0].indent if inner else opening.indent + 2
    return _insert(text, family, f"{' ' * indent}{name}: {scalar}")


def is_printable(text: str) -> bool:
    """Return whether a file may hold a text: it has neither control characters nor bytes that are no UTF-8."""
    return not _FORBIDDEN.search(text)


def render(text: str) -> str:
    """Write a string as a scalar that reads back as itself, with quotes only where they are needed."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _rows(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield number, place and text of each row that holds more than a comment."""
    for number, found in enumerate(re.finditer(r"^.*$", text, re.MULTILINE), 1):
        row = found[0].removesuffix("\r")
        if bad := _FORBIDDEN.search(row):
            code = ord(bad[0])  # a byte that could not be decoded is a surrogate (surrogateescape)
            problem = "this is not UTF-8 text" if 0xDC80 <= code <= 0xDCFF else f"the control character {code:#04x}"
            raise SubsetError(number, problem)
        if not _NOTHING.fullmatch(row):
            yield number, found.start(), row


def _problem(row: str) -> str:
    matches = ((re.match(pattern, row, re.ASCII), text) for pattern, text in _PROBLEMS)
    return next(
        text.format(*(_CONSTRUCTS.get(part, part) for part in found.groups())) for found, text in matches if found
    )


def _parent(number: int, indent: int, above: list[Line]) -> str:
    """Return the path before a line's key by its indentation, and drop the lines that it does not stand below."""
    beside = None
    while above and above[-1].indent >= indent:
        beside = above.pop()
    if above and not beside and above[-1].scalar:
        raise SubsetError(number, f"it is indented below {above[-1].path}, which has a value of its own")
    if (beside and beside.indent != indent) or (indent and not above):
        raise SubsetError(number, "its indentation is that of no map above")
    return f"{above[-1].path}." if above else ""


def _replace(text: str, line: Line, scalar: str) -> str:
    before, after = text[: line.start], text[line.start + len(line.scalar) :]
    gap = "" if before.endswith(" ") else " "
    return before + gap + scalar + after


def _insert(text: str, family: Sequence[Line], new: str) -> str:
    """Return the text with a row below those of a map; a file that is but an empty map, or none, has none."""
    rows = [row for row in text.split("\n") if family or not _EMPTY_FILE.fullmatch(row.removesuffix("\r"))] or [""]
    place = family[-1].number if family else len(rows) - (rows[-1] == "")
    if place == len(rows):
        rows.append("")
    rows.insert(place, new.rstrip(" ") + ("\r" if "\r\n" in text else ""))
    return "\n".join(rows)


def _family(lines: Mapping[str, Line], path: str) -> list[Line]:
    """List the line of a key and those below it."""
    return [line for line in lines.values() if f"{line.path}.".startswith(f"{path}.")]
