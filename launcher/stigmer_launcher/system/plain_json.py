"""JSON by the C functions behind `json`: that package's regular expressions take 4 ms of every start.

Source: CPython's `json.scanner.c_make_scanner` and `json.encoder.c_make_encoder`, called here as `json` itself calls them.
"""

import _json
from typing import Any, NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


class _Rules:
    """What the scanner asks of its context: `json`'s own defaults, but for NaN and the infinities."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, _refuse


def _unknown(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is no JSON")


_scan = _json.make_scanner(_Rules)  # type: ignore[arg-type]  # typeshed takes the context for the scanner
_encode = _json.make_encoder(None, _unknown, _json.encode_basestring_ascii, None, ": ", ", ", True, False, False)


def loads(text: str) -> Any:
    """Give the value of a JSON text; ValueError when it is none."""
    text = text.strip()
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):  # the latter where the scanner has no `json` to take its error from
        import json

        return json.loads(text)  # says what is wrong, and where
    if end != len(text):
        raise ValueError(f"there is more after the value, from character {end} on")
    return value


def dumps(value: object) -> str:
    """Give a value as one line of JSON, keys sorted; TypeError or ValueError for what JSON has no words for."""
    return "".join(_encode(value, 0))
