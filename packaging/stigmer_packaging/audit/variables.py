"""Check of environment variables: those that the launcher passes to a component against the words in its files.

It is a warning, never an error: the variables that a build reads change every week, and an extra one is harmless.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from stigmer_packaging.audit.check import WARNING, Subject, Violation, check
from stigmer_packaging.audit.index import COMPONENTS, read_components

_WORD = re.compile(rb"[A-Z][A-Z0-9_]{2,65535}")
"""A word that may be a variable's name. Names with lowercase letters are not considered: too many words match."""

_CLOSE, _CLOSE_RELATED = 0.85, 0.7
"""The minimum difflib ratios for suggesting a word: for any word, and for one with the variable's prefix, such as
STIGMER_BACKEND_ENDPOINT for STIGMER_BACKEND_URL."""

_MOST_WORDS = 250_000  # in one file; the most in a file that we ship is 24,000

_MOST_JOINED = 6  # adjacent strings that are split


def find_words(pieces: Iterable[tuple[str, bytes]]) -> frozenset[str]:
    """Return the words in a file's pieces, packed ones included, that may be names of variables.

    At most `_MOST_WORDS` are kept, which is more than any program has.
    """
    words: set[bytes] = set()
    for match in (match for _, content in pieces for match in _WORD.finditer(content)):
        words.add(match[0])
        if len(words) == _MOST_WORDS:
            break
    return frozenset(map(bytes.decode, words))


def find_unread(names: Iterable[str], words: AbstractSet[str]) -> list[str]:
    """Return the names that are not in any word: linkers join strings, so a name may be only part of a word."""
    candidates = (name for name in names if _WORD.fullmatch(name.encode()))
    return [name for name in candidates if name not in words and not any(name in word for word in words)]


@check(
    "unread-variable",
    "a variable that the component does not read has no effect, and no error at run time reports that",
    "correct its name in the component's `environment` in the manifest, or list it in `optional` there",
    severity=WARNING,
)
def _unread(subject: Subject) -> Iterator[Violation]:
    components = read_components(subject)
    everything = {name for part in components for name in part.variables}
    for part in components:
        contents = (subject.contents.files.get(COMPONENTS + path) for path in part.files)
        words = frozenset[str]().union(*(content.words for content in contents if content is not None))
        optional = subject.policy.optional.get(part.name, ())
        for name in find_unread((name for name in part.variables if name not in optional), words):
            observation = f"{part.name} is passed {name}, but none of its files contains that name"
            yield Violation(f"{COMPONENTS}{part.entry}", observation + _suggest(name, words, everything))


def _suggest(name: str, words: AbstractSet[str], everything: AbstractSet[str]) -> str:
    """Suggest the nearest word, or else the nearest part of a word that is split into parts of equal length.

    Go's linker sorts strings by length and joins them without separators.
    """
    known = words | (everything - {*find_unread(everything, words)})
    for count in range(1, _MOST_JOINED + 1):
        parts = sorted({part for word in known if len(word) % count == 0 for part in _cut(word, len(word) // count)})
        related = [part for part in parts if part.partition("_")[0] == name.partition("_")[0]]
        close = difflib.get_close_matches
        if near := close(name, related, 1, _CLOSE_RELATED) or close(name, parts, 1, _CLOSE):
            return f"; did you mean {near[0]}?"
    return ""


def _cut(word: str, size: int) -> Iterator[str]:
    yield from (word[start : start + size] for start in range(0, len(word), size))
