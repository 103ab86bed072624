"""Reads a bottle once, member by member, and keeps the facts that the checks need instead of the bytes."""

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

from stigmer_packaging.audit import contents
from stigmer_packaging.audit.check import Policy, printable
from stigmer_packaging.audit.contents import Content, Contents, Entry
from stigmer_packaging.audit.index import COMPONENTS
from stigmer_packaging.audit.secrets import find_secrets
from stigmer_packaging.audit.traces import Folders, find_traces, folders_to_find
from stigmer_packaging.audit.variables import find_words
from stigmer_packaging.binaries import nesting
from stigmer_packaging.binaries.bottle_file import is_plain_file, read_gzip_header, read_members
from stigmer_packaging.binaries.buildinfo import read_build_info
from stigmer_packaging.binaries.elf import Elf, is_elf, read_elf
from stigmer_packaging.binaries.macho import MachO, is_macho, read_machos
from stigmer_packaging.lib.errors import ArchiveError

_HEAD = 512
_SMALL = 4 << 20  # bytes: files up to this size are kept whole unless they are native code
_MOST_KEPT = 128 << 20  # bytes of names, texts and words: our bottles have 5 MB
_KINDS = {
    tarfile.REGTYPE: contents.FILE,
    tarfile.AREGTYPE: contents.FILE,
    tarfile.DIRTYPE: contents.FOLDER,
    tarfile.SYMTYPE: contents.LINK,
    tarfile.LNKTYPE: contents.HARD_LINK,
}


def read_contents(bottle: Path, prefix: str, policy: Policy) -> Contents:
    """Read a bottle whose keg is below `prefix`, such as `stigmer/2.0.0`.

    Its files are untrusted: raise ArchiveError if it is damaged, or exceeds the limits that keep memory below 1 GB.
    """
    header, folders = read_gzip_header(bottle), folders_to_find(policy)
    entries, kept = [], 0
    for info, content in read_members(bottle):
        entries.append(_entry(info, content, prefix, folders))
        kept += _size_kept(entries[-1])
        if kept > _MOST_KEPT:
            raise ArchiveError(f"{bottle.name} is refused: it contains more than {_MOST_KEPT} bytes of text")
    return Contents(header, tuple(entries))


def _size_kept(entry: Entry) -> int:
    """Estimate the memory of an entry in bytes."""
    size = len(entry.name) + len(entry.link_target)
    if content := entry.content:
        size += len(content.text or b"") + sum(map(len, content.words))
    return size


def _entry(info: tarfile.TarInfo, content: bytes, prefix: str, folders: Folders) -> Entry:
    name = printable(info.name)
    path = _path(name, prefix)
    of_component = (path or "").startswith(COMPONENTS)
    return Entry(
        name=name,
        path=path,
        kind=contents.OTHER if info.issparse() else _KINDS.get(info.type, contents.OTHER),
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        owner=(printable(info.uname), printable(info.gname)),
        mtime=info.mtime,
        size=info.size,
        link_target=printable(info.linkname),
        content=_content(content, folders, of_component=of_component) if is_plain_file(info) else None,
    )


def _path(name: str, prefix: str) -> str | None:
    """Return a member's path below the keg, empty for the keg itself, or None if it is elsewhere."""
    if name == prefix:
        return ""
    inside = name.startswith(f"{prefix}/") and not {"", ".", ".."} & set(name.split("/"))
    return name.removeprefix(f"{prefix}/") if inside else None


def _content(content: bytes, folders: Folders, *, of_component: bool) -> Content:
    damage: list[str] = []
    elf, machos = _native(content, damage)
    pieces = [("", content), *_nested(content, damage)]
    native = elf is not None or bool(machos)
    return Content(
        sha256=hashlib.sha256(content).hexdigest(),
        head=content[:_HEAD],
        text=content if len(content) <= _SMALL and not native else None,
        elf=elf,
        machos=machos,
        go=read_build_info(content) if native else None,
        bootloader=nesting.read_bootloader(content) if native else None,
        foreign="Windows" if _is_windows(content) else "",
        damage="; ".join(damage),
        traces=find_traces(pieces, folders),
        secrets=find_secrets(pieces),
        words=find_words(pieces) if of_component else frozenset(),
    )


def _native(content: bytes, damage: list[str]) -> tuple[Elf | None, tuple[MachO, ...]]:
    try:
        elf = read_elf(content) if is_elf(content[:_HEAD]) else None
        return elf, read_machos(content) if is_macho(content[:_HEAD]) else ()
    except (ValueError, SystemError) as error:  # lief raises SystemError for an unknown header
        damage.append(str(error))
        return None, ()


def _nested(content: bytes, damage: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the readable files inside a file that is itself an archive; add an error to `damage`."""
    try:
        yield from nesting.read_zip(content)
        if is_elf(content[:_HEAD]) or is_macho(content[:_HEAD]):
            yield from nesting.read_frozen(content)
    except ValueError as error:
        damage.append(str(error))


def _is_windows(content: bytes) -> bool:
    """Return whether a file is a Windows program. Source: the PE format, with its signature's offset at 0x3c."""
    offset = int.from_bytes(content[0x3C:0x40], "little")
    return content[:2] == b"MZ" and content[offset : offset + 4] == b"PE\0\0"
