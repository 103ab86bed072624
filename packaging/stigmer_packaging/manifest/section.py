"""Validating reader of a parsed document: records each problem as a finding with its path, and continues.

A value that cannot be read is returned as an empty one, so that one mistake does not hide the next.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from types import TracebackType
from typing import Any, NamedTuple, Self

Path = tuple[str | int, ...]
Rule = Callable[[str], str]


class Finding(NamedTuple):
    """One problem: its place in the document (keys and indexes from the root), and its description."""

    path: Path
    text: str


class Range(NamedTuple):
    """The minimum and the maximum of a number."""

    low: float
    high: float


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Return the message that `word` is not a known `kind`, with the closest known one, or all if none is close."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {kind} {word!r}; {hint}"


def anything(_text: str) -> str:
    """Accept any text."""
    return ""


class Section:
    """One mapping of the document. As a context manager: on exit, each key that was not read becomes a finding."""

    def __init__(self, values: object, path: Path, findings: list[Finding]) -> None:
        self.path = path
        self._findings = findings
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        self._known: set[str] = set()
        if not isinstance(values, Mapping):
            self.complain("must be a mapping of keys to values")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for key in self._values:
            if str(key) not in self._known and kind is None:
                self.complain(unknown("key", str(key), self._known), key)

    def complain(self, text: str, *keys: str | int) -> None:
        """Record a problem with this section, or with the value at `keys` in it."""
        self._findings.append(Finding((*self.path, *keys), text))

    def has(self, key: str) -> bool:
        """Return whether the section has this key, and mark the key as known."""
        self._known.add(key)
        return key in self._values

    def peek(self, key: str) -> Any:
        """Return the value of a key unchecked, None if it is missing."""
        return self._values.get(key)

    def text(self, key: str, rule: Rule = anything) -> str:
        """Read a text that satisfies the rule."""
        return self._text(self._values[key], rule, key) if self.has(key) else self._missing(key)

    def number(self, key: str, within: Range, *, kind: type, default: Any) -> Any:
        """Read a number within a range; if it cannot be read, return the default, or else the minimum."""
        fallback = within.low if default is MISSING else default
        if not self.has(key):
            self._missing(key)
            return fallback
        value = self._values[key]
        numeric = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if numeric and within.low <= value <= within.high:
            return kind(value)
        kind_name = "a whole number" if kind is int else "a number"
        self.complain(f"must be {kind_name} from {within.low:g} to {within.high:g}, and {value!r} is not", key)
        return fallback

    def texts(self, key: str, rule: Rule = anything) -> tuple[str, ...]:
        """Read a list of texts that each satisfy the rule; empty if the key is missing."""
        listed = self._list(key) if self.has(key) else []
        return tuple(self._text(value, rule, key, index) for index, value in enumerate(listed))

    def section(self, key: str) -> "Section":
        """Return the section of a mapping below this one."""
        if not self.has(key):
            self._missing(key)
            return Section({}, (*self.path, key), [])  # a missing section is one finding, not one for each of its keys
        return Section(self._values[key], (*self.path, key), self._findings)

    def sections(self, key: str) -> tuple["Section", ...]:
        """Return a section for each mapping of a list."""
        listed = self._list(key) if self.has(key) else self._missing(key)
        return tuple(Section(value, (*self.path, key, index), self._findings) for index, value in enumerate(listed))

    def keys(self, rule: Rule = anything) -> tuple[str, ...]:
        """Return the keys of a mapping whose keys are chosen by its author; each must satisfy the rule."""
        self._known |= {str(key) for key in self._values}
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
