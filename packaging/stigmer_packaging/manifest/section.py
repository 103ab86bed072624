"""Checked reading of a parsed document: every problem becomes a finding with its path, and reading goes on.

What could not be read comes back as an empty value, so one mistake never hides the next.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

Path = tuple[str | int, ...]
Rule = Callable[[str], str]


class Finding(NamedTuple):
    """One problem: where in the document (keys and indexes from the root), and what is wrong there."""

    path: Path
    text: str


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

    def text(self, key: str, rule: Rule = anything, default: str | None = None) -> str:
        """Read a text that satisfies the rule; a missing one is a finding unless there is a default."""
        if default is not None and not self.has(key):
            return default
        return self._text(self._value(key), rule, key) if self.has(key) else self._missing(key)

    def choice(self, key: str, known: Iterable[str]) -> str:
        """Read one of the known words."""
        known = tuple(known)
        return self.text(key, lambda word: "" if word in known else unknown(key, word, known))

    def number(self, key: str, low: int, high: int) -> int:
        """Read a whole number from low to high."""
        if not self.has(key):
            self._missing(key)
            return low
        return self._number(self._value(key), low, high, key)

    def decimal(self, key: str, low: float, high: float, default: float) -> float:
        """Read a number from low to high, which need not be whole; a missing one is the default."""
        value = self._value(key) if self.has(key) else default
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.complain(f"must be a number from {low:g} to {high:g}, and {value!r} is not", key)
        return default

    def texts(self, key: str, rule: Rule = anything) -> tuple[str, ...]:
        """Read a list of texts, each satisfying the rule; empty when the key is missing."""
        values = self._value(key) if self.has(key) else []
        if not isinstance(values, list):
            self.complain("must be a list", key)
            return ()
        return tuple(self._text(value, rule, key, index) for index, value in enumerate(values))

    def section(self, key: str) -> "Section":
        """Enter a mapping below this one."""
        if not self.has(key):
            self._missing(key)
            return Section({}, (*self.path, key), [])  # one finding is enough for a section that is not there
        return Section(self._value(key), (*self.path, key), self._findings)

    def sections(self, key: str) -> tuple["Section", ...]:
        """Enter each mapping of a list."""
        values = self._value(key) if self.has(key) else self._missing(key) or []
        if not isinstance(values, list):
            self.complain("must be a list", key)
            return ()
        return tuple(Section(value, (*self.path, key, index), self._findings) for index, value in enumerate(values))

    def keys(self, rule: Rule = anything) -> tuple[str, ...]:
        """List the keys of a mapping whose keys are names of our own, each satisfying the rule."""
        self._asked |= {str(key) for key in self._values}
        return tuple(self._text(key, rule, key) for key in self._values)

    def mapping(self, key: str, keys: Rule, values: Rule = anything) -> dict[str, str]:
        """Read a mapping of names to texts; empty when the key is missing."""
        if not self.has(key):
            return {}
        section = self.section(key)
        return {name: section.text(name, values) for name in section.keys(keys) if name}

    def numbers(self, key: str, keys: Rule, low: int, high: int) -> dict[str, int]:
        """Read a mapping of names to whole numbers; empty when the key is missing."""
        if not self.has(key):
            return {}
        section = self.section(key)
        return {name: section.number(name, low, high) for name in section.keys(keys) if name}

    def _value(self, key: str) -> Any:
        return self._values[key]

    def _missing(self, key: str) -> str:
        self.complain(f"the key {key!r} is missing")
        return ""

    def _text(self, value: object, rule: Rule, *keys: str | int) -> str:
        if not isinstance(value, str):
            self.complain(f"must be text, and {value!r} is not: put it in quotes", *keys)
            return ""
        problem = rule(value)
        if problem:
            self.complain(problem, *keys)
            return ""
        return str(value)

    def _number(self, value: object, low: int, high: int, *keys: str | int) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return int(value)
        self.complain(f"must be a whole number from {low} to {high}, and {value!r} is not", *keys)
        return low
