"""The build information that Go writes into each program: Go's version and every module that is linked in.

Source: the format that Go's debug/buildinfo reads, as Go has written it since 1.18.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\xff Go buildinf:"
_FLAGS, _STRINGS = 15, 32  # offsets of the flags and of the two strings from the magic
_INLINE = 2  # flag: the strings follow inline
_SENTINEL = 16  # bytes before and after the module text


@dataclass(frozen=True)
class GoModule:
    """One module: `sum` is Go's checksum of its source, empty if the source was a local directory."""

    path: str
    version: str
    sum: str


@dataclass(frozen=True)
class BuildInfo:
    """Go's version such as `1.26.8`, the module of the main package, and all other modules in their order."""

    go: str
    main: GoModule
    modules: tuple[GoModule, ...]


def read_build_info(content: bytes) -> BuildInfo | None:
    """Read the build information of a Go program for any platform, or None if the file has none, as when stripped."""
    offset = content.find(_MAGIC)
    while offset >= 0:
        if content[offset + _FLAGS : offset + _FLAGS + 1] == bytes([_INLINE]):
            version, end = _string(content, offset + _STRINGS)
            text, _ = _string(content, end)
            if version.startswith(b"go"):
                return _parse(version.decode(errors="replace"), text[_SENTINEL:-_SENTINEL].decode(errors="replace"))
        offset = content.find(_MAGIC, offset + 1)
    return None


def _parse(version: str, text: str) -> BuildInfo:
    lines = [line.split("\t") for line in text.splitlines()]
    main = next((_module(words) for words in lines if words[0] == "mod"), GoModule("", "", ""))
    return BuildInfo(version.removeprefix("go").partition(" ")[0], main, tuple(_dependencies(lines)))


def _dependencies(lines: list[list[str]]) -> Iterator[GoModule]:
    """Yield each module that is linked in; for a module replaced by another one, yield the replacement."""
    for words, following in zip(lines, [*lines[1:], [""]], strict=True):
        if words[0] == "dep":
            replaced = _module(following) if following[0] == "=>" else None
            own = _module(words)
            local = replaced is not None and not replaced.sum
            yield GoModule(own.path, own.version, "") if local else replaced or own


def _module(words: list[str]) -> GoModule:
    _, path, version, checksum = (*words, "", "", "")[:4]
    return GoModule(path, version, checksum)


def _string(content: bytes, offset: int) -> tuple[bytes, int]:
    """Return the string after a varint length at `offset`, and the offset of its end."""
    length = shift = 0
    while offset < len(content):
        byte = content[offset]
        length |= (byte & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 0x80:
            break
    return content[offset : offset + length], offset + length
