"""Checked reading of a parsed document: every problem becomes a finding with its path, and reading goes on.

What could not be read comes back as an empty value, so one mistake never hides the next.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from types import TracebackType
from typing import Any, NamedTuple, Self

Path = tuple[str | int, ...]
Rule = Callable[[str], str]


class Finding(NamedTuple):
    """One problem: where in the document (keys and indexes from the root), and what is wrong there."""

    path: Path
    text: str


class Range(NamedTuple):
    """The least and the greatest number that a value may be."""

    low: float
    high: float


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """Say that `word` is no known `what`, with the nearest known one if there is one."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {what} {word!r}; {hint}"


def anything(_text: str) -> str:
    """Accept every text."""
    return ""


class Section:
    """One mapping of the document. Used as a context: on leaving it, the keys nobody asked for are findings."""

    def __init__(self, values: object, path: Path, findings: list[Finding]) -> None:
        self.path = path
        self._findings = findings
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        self._asked: set[str] = set()
        if not isinstance(values, Mapping):
            self.complain("must be a mapping of keys to values")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for key in self._values:
            if str(key) not in self._asked and kind is None:
                self.complain(unknown("key", str(key), self._asked), key)

    def complain(self, text: str, *keys: str | int) -> None:
        """Note a problem with this section, or with what `keys` lead to in it."""
        self._findings.append(Finding((*self.path, *keys), text))

    def has(self, key: str) -> bool:
        """Whether the section has a value for this key."""
        self._asked.add(key)
        return key in self._values

    def peek(self, key: str) -> Any:
        """Give what a key holds, as it is."""
        return self._values.get(key)

    def text(self, key: str, rule: Rule = anything) -> str:
        """Read a text that satisfies the rule."""
        return self._text(self._values[key], rule, key) if self.has(key) else self._missing(key)

    def number(self, key: str, within: Range, *, kind: type, default: Any) -> Any:
        """Read a number that is within a range; where it cannot be read, give the default or the least one."""
        fallback = within.low if default is MISSING else default
        if not self.has(key):
            self._missing(key)
            return fallback
        value = self._values[key]
        numeric = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if numeric and within.low <= value <= within.high:
            return kind(value)
        what = "a whole number" if kind is int else "a number"
        self.complain(f"must be {what} from {within.low:g} to {within.high:g}, and {value!r} is not", key)
        return fallback

    def texts(self, key: str, rule: Rule = anything) -> tuple[str, ...]:
        """Read a list of texts, each satisfying the rule; empty when the key is missing."""
        listed = self._list(key) if self.has(key) else []
        return tuple(self._text(value, rule, key, index) for index, value in enumerate(listed))

    def section(self, key: str) -> "Section":
        """Enter a mapping below this one."""
        if not self.has(key):
            self._missing(key)
            return Section({}, (*self.path, key), [])  # one finding is enough for a section that is not there
        return Section(self._values[key], (*self.path, key), self._findings)

    def sections(self, key: str) -> tuple["Section", ...]:
        """Enter each mapping of a list."""
        listed = self._list(key) if self.has(key) else self._missing(key)
        return tuple(Section(value, (*self.path, key, index), self._findings) for index, value in enumerate(listed))

    def keys(self, rule: Rule = anything) -> tuple[str, ...]:
        """List the keys of a mapping whose keys are names of our own, each satisfying the rule."""
        self._asked |= {str(key) for key in self._values}
        return tuple(self._text(key, rule, key) for key in self._values)

    def _list(self, key: str) -> list[Any]:
        if isinstance(values := self._values[key], list):
            return values
        self.complain("must be a list", key)
        return []

    def _missing(self, key: str) -> str:
        self.complain(f"the key {key!r} is missing")
        return ""

    def _text(self, value: object, rule: Rule, *keys: str | int) -> str:
        if not isinstance(value, str):
            self.complain(f"must be text, and {value!r} is not: put it in quotes", *keys)
        elif problem := rule(value):
            self.complain(problem, *keys)
        else:
            return str(value)
        return ""
