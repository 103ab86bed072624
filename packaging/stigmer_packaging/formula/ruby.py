"""Ruby source text made from data: a string can never become code.

Escapes are those of Ruby's double-quoted literals (https://docs.ruby-lang.org/en/master/syntax/literals_rdoc.html).
"""

_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = 4  # what `Style/WordArray` of Homebrew calls long


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
