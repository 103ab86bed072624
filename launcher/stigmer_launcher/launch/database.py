"""Looks into a service's SQLite database before the service does, and judges whether it is whole.

Temporal makes its schema statement by statement, and takes whatever file it finds for a whole one. One in which no
workflow has ever run is set aside by a rename; one that may hold history is never touched. A database is judged as SQLite
would find it: with what an interrupted transaction replaced put back. Source: SQLite's file format.
"""

import os
import shlex
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum

from stigmer_launcher.errors import DatabaseError, HomeError
from stigmer_launcher.system.places import explain

_MAGIC = b"SQLite format 3\0"
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_SMALLEST, _LARGEST = 32, 65536  # bytes of a sector or a page that SQLite accepts in a journal
_LONGEST_JOURNAL = 64 << 20  # bytes; those of a schema are a thousand times shorter
_OPTION = "--db-filename"
_HISTORY = ("history_node", "executions")
_SIDE_FILES = ("", "-journal", "-wal", "-shm")
_LONGEST_PATH = 512 - len("-journal")  # bytes
_SHORTER = "set STIGMER_HOME to a directory with a shorter path: `export STIGMER_HOME=/path/to/directory`"
_LEAF_TABLE, _INNER_TABLE, _LEAVES = 0x0D, 0x05, (0x0D, 0x0A)
_MOST_PAGES = 1000  # of a schema; a damaged one may refer to itself


class Content(Enum):
    """What a database's file was found to be."""

    MISSING = "does not exist yet"
    WHOLE = "holds workflow history"
    UNFINISHED = "is unfinished and holds no workflow history"
    DAMAGED = "is damaged and may hold workflow history"


def named_database(arguments: tuple[str, ...], directory: str) -> str:
    """Return the database that a service is told to keep, as seen from the directory it runs in; empty when there is none."""
    if _OPTION not in arguments[:-1]:
        return ""
    return os.path.normpath(os.path.join(directory, arguments[arguments.index(_OPTION) + 1]))


def require_usable(path: str, report: Callable[[str], None]) -> None:
    """Set an unfinished database aside, saying so; DatabaseError for a damaged one. No service may be using it.

    The folder of a missing one is made, unless the home is missing too. An empty path means that there is no database.
    """
    if (size := len(os.fsencode(path))) > _LONGEST_PATH:
        raise HomeError(
            f"the path of a database is too long: {size} of at most {_LONGEST_PATH} bytes: {path}", _SHORTER
        )
    content = examine(path)
    if content is Content.MISSING:
        with suppress(OSError):
            os.mkdir(os.path.dirname(path), 0o700)
    if content is Content.DAMAGED:
        raise DatabaseError(f"{path} {content.value}; it is left as it is", remedy_for(path))
    if content is Content.UNFINISHED:
        report(f"{path} {content.value}; it is kept as {_set_aside(path)}")


def remedy_for(path: str) -> str:
    """Say how to go on with a damaged database: with its folder, since the journal beside it belongs to it."""
    folder = os.path.dirname(path)
    command = shlex.join(("mv", folder, _free_name(f"{folder}.damaged")))
    return f"restore it from a backup, or set it aside and start with an empty history: `{command}`"


def examine(path: str) -> Content:
    """Judge a database by its header, its schema, and whether the tables of history have rows."""
    try:
        with open(path, "rb") as stream:
            length, replaced = _interrupted_transaction(path)
            length = min(length, os.fstat(stream.fileno()).st_size)
            return _judge(_Pages(stream.fileno(), length, replaced), path) if length else Content.UNFINISHED
    except FileNotFoundError:
        return Content.MISSING
    except (OSError, ValueError, IndexError, struct.error):
        return Content.DAMAGED


class _Pages:
    """The pages of a database of so many bytes, read one at a time; ValueError when the file is not a database.

    `replaced` has the former content of pages that the file holds in a newer one.
    """

    def __init__(self, descriptor: int, length: int, replaced: dict[int, bytes]) -> None:
        header = replaced.get(1) or os.pread(descriptor, 100, 0)
        if not header.startswith(_MAGIC) or len(header) < 100:
            raise ValueError("not a database")
        short: int = struct.unpack_from(">H", header, 16)[0]
        self.descriptor, self.length, self.replaced = descriptor, length, replaced
        self.size = 65536 if short == 1 else short
        changed, count, valid_for = struct.unpack_from(">24xII60xI", header)
        self.is_short = changed == valid_for and length < count * self.size

    def read(self, number: int) -> bytes:
        """Read a page, counted from 1."""
        if not 0 < number * self.size <= self.length:
            raise ValueError(f"there is no page {number}")
        return self.replaced.get(number) or os.pread(self.descriptor, self.size, (number - 1) * self.size)

    def rows(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the first page of each table and index, from the schema that begins on page 1."""
        waiting, seen = [1], 0
        while waiting and (seen := seen + 1) <= _MOST_PAGES:
            number = waiting.pop()
            page, start = self.read(number), 100 if number == 1 else 0
            inner = page[start] == _INNER_TABLE
            if not inner and page[start] != _LEAF_TABLE:
                raise ValueError(f"page {number} is not part of a schema")
            cells = struct.unpack_from(f">{_cells(page, start)}H", page, start + (12 if inner else 8))
            if inner:
                waiting += [struct.unpack_from(">I", page, cell)[0] for cell in (*cells, start + 8)]
            else:
                yield from (_schema_row(page, cell) for cell in cells)


def _judge(pages: _Pages, path: str) -> Content:
    roots = dict(pages.rows())
    if _size(f"{path}-wal") or not all(_is_empty(pages, roots.get(table, 0)) for table in _HISTORY):
        return Content.DAMAGED if pages.is_short else Content.WHOLE
    return Content.UNFINISHED


def _is_empty(pages: _Pages, root: int) -> bool:
    """Return whether a table has no rows, or does not exist; one of several pages has rows."""
    if not root:
        return True
    page = pages.read(root)
    return page[0] in _LEAVES and _cells(page, 0) == 0


def _interrupted_transaction(path: str) -> tuple[int, dict[int, bytes]]:
    """Read the journal: the bytes that the database had before, and the pages that it takes back; those of no journal."""
    try:
        with open(f"{path}-journal", "rb") as stream:
            journal = stream.read(_LONGEST_JOURNAL)
    except FileNotFoundError:
        journal = b""
    if len(journal) < 28 or not journal.startswith(_JOURNAL_MAGIC):
        return sys.maxsize, {}
    pages, sector, size = struct.unpack_from(">16xIII", journal)
    if not (_SMALLEST <= sector <= _LARGEST and _SMALLEST <= size <= _LARGEST):
        return sys.maxsize, {}  # as SQLite does with a header that makes no sense
    return pages * size, dict(_replaced_pages(journal, sector, size))


def _replaced_pages(journal: bytes, sector: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and former content of the pages of a journal, segment by segment; a page is in it once."""
    at = 0
    while journal.startswith(_JOURNAL_MAGIC, at):
        (count,) = struct.unpack_from(">8xI", journal, at)
        first, record = at + sector, size + 8  # a page with its number and its checksum
        end = first + max(0, min(count, (len(journal) - first) // record)) * record
        for at in range(first, end, record):
            yield int.from_bytes(journal[at : at + 4]), journal[at + 4 : at + 4 + size]
        at = -(-end // sector) * sector


def _cells(page: bytes, start: int) -> int:
    number: int = struct.unpack_from(">H", page, start + 3)[0]
    return number


def _schema_row(page: bytes, at: int) -> tuple[str, int]:
    """Read type, name, table and first page of a row of the schema; the rest may lie elsewhere."""
    _, at = _varint(page, at)
    _, at = _varint(page, at)
    start, (length, at) = at, _varint(page, at)
    kinds: list[int] = []
    while at < start + length:
        kind, at = _varint(page, at)
        kinds.append(kind)
    widths = [(kind - 13) // 2 if kind > 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] for kind in kinds[:4]]
    name = at + widths[0]
    number = name + widths[1] + widths[2]
    return page[name : name + widths[1]].decode(), int.from_bytes(page[number : number + widths[3]])


def _varint(page: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return value, place + 1
    return value << 8 | page[at + 8], at + 9


def _set_aside(path: str) -> str:
    """Rename a database and what SQLite keeps beside it; give its new name."""
    kept = _free_name(f"{path}.unfinished")
    try:
        for side in reversed(_SIDE_FILES):
            if os.path.lexists(path + side):
                os.rename(path + side, kept + side)
    except OSError as error:
        raise explain(error, os.path.dirname(path)) from error
    return kept


def _free_name(wanted: str) -> str:
    number = 1
    while os.path.lexists(f"{wanted}-{number}"):
        number += 1
    return f"{wanted}-{number}"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
