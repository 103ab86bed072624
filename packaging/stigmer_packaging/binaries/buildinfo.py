"""What Go writes into each program: its own version and every module that is linked in.

Source: the format that Go's debug/buildinfo reads, as Go writes it since 1.18.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\xff Go buildinf:"
_FLAGS, _STRINGS = 15, 32  # offsets from the magic: of the flags, and of the two strings
_INLINE = 2  # the flag that the strings follow
_FENCE = 16  # bytes before and after the text about modules


@dataclass(frozen=True)
class GoModule:
    """One module: `sum` is Go's own checksum of its source, empty where the source was a local folder."""

    path: str
    version: str
    sum: str


@dataclass(frozen=True)
class BuildInfo:
    """Go's version such as `1.26.8`, the module that has the main package, and all others, in their order."""

    go: str
    main: GoModule
    modules: tuple[GoModule, ...]


def read_build_info(content: bytes) -> BuildInfo | None:
    """Read what Go wrote into a program for any platform; None when it is no such program, or was stripped of that."""
    place = content.find(_MAGIC)
    while place >= 0:
        if content[place + _FLAGS : place + _FLAGS + 1] == bytes([_INLINE]):
            version, end = _string(content, place + _STRINGS)
            text, _ = _string(content, end)
            if version.startswith(b"go"):
                return _parse(version.decode(errors="replace"), text[_FENCE:-_FENCE].decode(errors="replace"))
        place = content.find(_MAGIC, place + 1)
    return None


def _parse(version: str, text: str) -> BuildInfo:
    lines = [line.split("\t") for line in text.splitlines()]
    main = next((_module(words) for words in lines if words[0] == "mod"), GoModule("", "", ""))
    return BuildInfo(version.removeprefix("go").partition(" ")[0], main, tuple(_dependencies(lines)))


def _dependencies(lines: list[list[str]]) -> Iterator[GoModule]:
    """Give each module that is linked in; one replaced by another module is the other one."""
    for words, following in zip(lines, [*lines[1:], [""]], strict=True):
        if words[0] == "dep":
            replaced = _module(following) if following[0] == "=>" else None
            own = _module(words)
            local = replaced is not None and not replaced.sum
            yield GoModule(own.path, own.version, "") if local else replaced or own


def _module(words: list[str]) -> GoModule:
    _, path, version, checksum = (*words, "", "", "")[:4]
    return GoModule(path, version, checksum)


def _string(content: bytes, place: int) -> tuple[bytes, int]:
    """Read a string with its length before it, seven bits a byte, and say where it ends."""
    length = shift = 0
    while place < len(content):
        byte = content[place]
        length |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    return content[place : place + length], place + length
