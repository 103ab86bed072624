"""The part of YAML that config.yaml needs: maps of maps of scalars, comments and quotes. Anything else is an error.

Reading keeps each value's place in its line, so that an edit changes that value alone and every comment survives.
Source of what is accepted, and of how it is read: YAML 1.2, block mappings with plain and quoted flow scalars.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_PLAIN = _KEY | frozenset("./:@+,=~()")
_WORDS = frozenset(("", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"))
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t"}
_EMPTY_MAP = "{}"
_CONSTRUCTS = {
    "-": "a list",
    "{": "a map in braces",
    "[": "a list in brackets",
    "?": "a complex key",
    "%": "a directive",
    "&": "an anchor",
    "*": "an alias",
    "!": "a tag",
    "|": "a block of text",
    ">": "a folded block of text",
    "@": "a reserved character",
    "`": "a reserved character",
    ",": "a stray comma",
    "}": "a stray bracket",
    "]": "a stray bracket",
    '"': "a quoted key",
    "'": "a quoted key",
}


class Line(NamedTuple):
    """One `key: value`: its number from 1, its dotted path, its value, and where in the line the value stands.

    A key without a value has the value "" and an empty place; it may open a map. An empty map has the value `{}`.
    """

    number: int
    indent: int
    path: str
    value: str
    quoted: bool
    start: int
    end: int

    @property
    def is_empty(self) -> bool:
        """Return whether nothing, or YAML's null, stands here."""
        return not self.quoted and self.value in ("", "~", "null", "Null", "NULL")

    @property
    def is_empty_map(self) -> bool:
        """Return whether `{}` stands here."""
        return not self.quoted and self.value == _EMPTY_MAP


class SubsetError(ValueError):
    """A line that is not of the subset, or not YAML: its number and what is wrong with it."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(problem)
        self.number = number


def parse(text: str) -> tuple[Line, ...]:
    """Read every key of a file, in order; SubsetError names the first line that cannot be read."""
    lines: list[Line] = []
    open_maps: list[tuple[int, str]] = [(0, "")]  # indentation of the keys, path before them
    begun = whole = False  # whether there was a row with content; whether the file is one `{}`
    for number, raw in enumerate(_rows(text), 1):
        content = _without_comment(raw).strip(" \t")
        if not content or (content == "---" and raw[:4] in ("---", "--- ") and not begun):
            begun = begun or content != ""
            continue
        begun = True
        if whole:
            raise SubsetError(number, "something follows the map in braces")
        if content == _EMPTY_MAP and not lines and "\t" not in raw.partition("#")[0]:
            whole = True
            continue
        indent = len(raw) - len(raw.lstrip(" "))
        parent = _parent(number, indent, open_maps, lines[-1] if lines else None)
        line = _line(number, indent, raw, parent)
        if any(line.path == other.path for other in lines):
            raise SubsetError(number, f"the key {line.path} is here a second time")
        lines.append(line)
    return tuple(lines)


def remove(text: str, lines: Sequence[Line], path: str) -> str:
    """Return the text without a key and what stands below it; a text without the key stays as it is."""
    gone = {line.number for line in lines if f"{line.path}.".startswith(f"{path}.")}
    return "\n".join(row for number, row in enumerate(text.split("\n"), 1) if number not in gone)


def replace(text: str, line: Line, value: str) -> str:
    """Return the text with the value of one line replaced; `value` is as `render` gives it."""
    rows = text.split("\n")
    row = rows[line.number - 1]
    gap = "" if row[: line.start].endswith(" ") else " "
    rows[line.number - 1] = row[: line.start] + gap + value + row[line.end :]
    return "\n".join(rows)


def insert(text: str, lines: Sequence[Line], path: str, value: str) -> str:
    """Return the text with a key added at the end of the map it belongs to; maps that are missing are made."""
    names = path.split(".")
    depth = max((n for n in range(1, len(names)) if _find(lines, ".".join(names[:n]))), default=0)
    family = [line for line in lines if depth == 0 or f"{line.path}.".startswith(".".join(names[:depth]) + ".")]
    if depth and family[0].is_empty_map:
        text = replace(text, family[0], "")
    elif depth and (family[0].value or family[0].quoted):
        raise SubsetError(family[0].number, f"{family[0].path} has a value here and cannot hold other keys")
    indent = 0 if depth == 0 else family[1].indent if len(family) > 1 else family[0].indent + 2
    tail = names[depth:]
    end = "\r" if "\r\n" in text else ""
    added = [" " * (indent + 2 * n) + f"{name}:" + end for n, name in enumerate(tail)]
    added[-1] = added[-1].removesuffix("\r") + f" {value}{end}"
    rows = [row for row in text.split("\n") if lines or _without_comment(row).strip() != _EMPTY_MAP]
    place = family[-1].number if family else len(rows)
    if rows[-1] and place == len(rows):
        rows.append("")
    place = place if family else len(rows) - 1
    return "\n".join([*rows[:place], *added, *rows[place:]])


def render(text: str) -> str:
    """Write a string as a scalar that reads back as itself, with quotes only where they are needed."""
    plain = text and set(text) <= _PLAIN and text[0] not in "-:~,=@" and not text.endswith(":")
    if plain and text.lower() not in _WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _rows(text: str) -> Iterator[str]:
    for number, row in enumerate(text.split("\n"), 1):
        stripped = row.removesuffix("\r")
        if bad := next((c for c in stripped if ord(c) < 32 and c != "\t"), ""):
            raise SubsetError(number, f"the control character {ord(bad):#04x}")
        if stripped.lstrip(" ").startswith("\t"):
            raise SubsetError(number, "a tab; use spaces")
        yield stripped


def _without_comment(text: str) -> str:
    """Cut off a comment: it begins with a `#` that stands first or after white space."""
    return f" {text}".replace("\t#", " #").partition(" #")[0][1:]


def _parent(number: int, indent: int, open_maps: list[tuple[int, str]], last: Line | None) -> str:
    """Find the map a line belongs to by its indentation, opening or closing maps on the way."""
    if last and indent > last.indent:
        if last.value or last.quoted:
            raise SubsetError(number, f"it is indented below {last.path}, which has a value of its own")
        open_maps.append((indent, f"{last.path}."))
    while open_maps and open_maps[-1][0] > indent:
        open_maps.pop()
    if not open_maps or open_maps[-1][0] != indent:
        raise SubsetError(number, "its indentation is that of no map above")
    return open_maps[-1][1]


def _line(number: int, indent: int, raw: str, parent: str) -> Line:
    content = raw[indent:]
    if content.startswith(("---", "...")):
        raise SubsetError(number, "a document marker is not supported")
    if content[0] in _CONSTRUCTS:
        raise SubsetError(number, f"{_CONSTRUCTS[content[0]]} is not supported")
    key, colon, rest = content.partition(":")
    start = indent + len(key) + 1
    key = key.rstrip(" ")
    if not colon or rest[:1] not in ("", " ", "\t"):
        raise SubsetError(number, "expected `key: value` (a value cannot continue on the next line)")
    if key.startswith("<<") or not set(key) <= _KEY or not key:
        raise SubsetError(number, f"{key.strip()!r} is no key")
    start += len(rest) - len(rest.lstrip(" ")) if _without_comment(rest).strip(" \t") else 0
    value, quoted, end = _scalar(number, raw, start)
    bare = not quoted and value in ("", _EMPTY_MAP)
    if "\t" in (raw.partition("#")[0] if bare else raw[:end]):
        raise SubsetError(number, "a tab; use spaces")
    return Line(number, indent, parent + key, value, quoted, start, end)


def _scalar(number: int, raw: str, start: int) -> tuple[str, bool, int]:
    """Read the value at `start`: its text, whether it was quoted, and where it ends."""
    first = raw[start : start + 1]
    if first in ('"', "'"):
        value, end = _quoted(number, raw, start, first)
        after = raw[end:]
        if _without_comment(after).strip(" \t") or after[:1] not in ("", " ", "\t"):
            raise SubsetError(number, "something follows the closing quote")
        return value, True, end
    plain = _without_comment(raw[start:]).strip(" \t")
    if plain == _EMPTY_MAP:
        return plain, False, start + len(plain)
    if first == "-" and plain != "-" and plain[1] != " ":
        first = ""  # -1 is a scalar, `- 1` a list
    if first and first in _CONSTRUCTS:
        raise SubsetError(number, f"{_CONSTRUCTS[first]} is not supported as a value (quote the text if it is one)")
    if ": " in plain or plain.endswith(":"):
        raise SubsetError(number, "a second colon in the value (quote the text if it is one)")
    return plain, False, start + len(plain)


def _quoted(number: int, raw: str, start: int, quote: str) -> tuple[str, int]:
    text, at = "", start + 1
    while at < len(raw):
        char = raw[at]
        if char == quote == "'" and raw[at + 1 : at + 2] == "'":
            text, at = text + "'", at + 2
        elif char == quote:
            return text, at + 1
        elif char == "\\" and quote == '"':
            escaped = raw[at + 1 : at + 2]
            if escaped not in _ESCAPES:
                raise SubsetError(number, f"the escape \\{escaped} is not supported")
            text, at = text + _ESCAPES[escaped], at + 2
        else:
            text, at = text + char, at + 1
    raise SubsetError(number, "a quote that is not closed")


def _find(lines: Sequence[Line], path: str) -> Line | None:
    return next((line for line in lines if line.path == path), None)
