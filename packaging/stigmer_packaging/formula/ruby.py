"""Ruby source text from data: strings are escaped, so that they cannot become code.

Escapes are those of Ruby's double-quoted literals (https://docs.ruby-lang.org/en/master/syntax/literals_rdoc.html).
"""

_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = 4  # number of words from which on Homebrew's `Style/WordArray` demands `%w`


def quote(text: str) -> str:
    r"""Return a double-quoted Ruby literal for `text`.

    `#` is escaped where it would start an interpolation (before `{`, `$` and `@`); unprintable characters become
    `\u{…}`. Raise ValueError for half a surrogate pair, which a Ruby string in UTF-8 cannot contain.
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
    """Return an array literal of strings: `%w[…]` for four or more plain words, as brew's style demands, or quoted."""
    plain = all(word.replace("-", "").replace("_", "").isalnum() and word.isascii() for word in words)
    if len(words) >= _LONG and plain:
        return f"%w[{' '.join(words)}]"
    return f"[{', '.join(quote(word) for word in words)}]"
