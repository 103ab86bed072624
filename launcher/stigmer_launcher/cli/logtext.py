"""Makes a line of a service's log safe to print on a terminal, and removes the service's own time stamp.

Sources: ECMA-48 for control sequences; SGR ("select graphic rendition") is the one that colours text.
"""

import re

_COLOUR = r"\x1b\[[0-9;:]*m"
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erasing
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"  # titles, links, other strings
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)
# `11:00PM` (zerolog), `2026-01-21T11:00:00Z`, `2026-01-21 11:00:00,123 - ` (Python), `2026/01/21 11:00:00` (Go, Temporal's SDK),
# `time=2026-01-21T11:00:00.123` (Go's slog, Temporal's server).
_STAMP = re.compile(
    rf"\A(?P<before>(?:{_COLOUR})*)"
    r'(?:time=|\[)?"?'
    r"(?:\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?|\d{1,2}:\d\d(?::\d\d)?[AP]M)"
    r'"?\]?'
    rf"(?P<after>(?:{_COLOUR})*)(?: -)?\s+"
)
_RESET = "\033[0m"


def readable(line: bytes | str, *, colours: bool = False, stamp: bool = True) -> str:
    """Return a line without control sequences; of a progress line (with carriage returns), its last state.

    Bytes that are not UTF-8 become escapes. `colours` keeps the service's own colours, `stamp` its own leading time stamp.
    """
    text = line if isinstance(line, str) else line.decode(errors="backslashreplace")
    text = text.rstrip("\r").rpartition("\r")[2]
    text = _CONTROL.sub(lambda match: match[0] if colours and re.fullmatch(_COLOUR, match[0]) else "", text)
    if not stamp:
        text = _STAMP.sub(r"\g<before>\g<after>", text)
    return text + _RESET if "\033" in text and not text.endswith(_RESET) else text
