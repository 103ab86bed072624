"""Examines a service's SQLite database before the service opens it: whether it is whole, unfinished or damaged.

Temporal creates its schema statement by statement, and takes any existing file for a complete one. A database in which no
workflow has ever run is set aside by a rename; one that may hold history is never touched. It is read as SQLite would
read it: a hot journal, which an interrupted transaction leaves, is applied, in memory. Source: SQLite's file format.
"""

import os
import re
import shlex
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from itertools import islice, pairwise

from stigmer_launcher.errors import HomeError, LauncherError
from stigmer_launcher.system.places import explain, free_name

_LONGEST_PATH = 512 - len("-journal")  # bytes; MAX_PATHNAME in SQLite's os_unix.c
_SHORTER = "set STIGMER_HOME to a directory with a shorter path: `export STIGMER_HOME=/path/to/directory`"
_MAGIC = b"SQLite format 3\0"
_FILE_HEADER = 100  # bytes, at the beginning of page 1
_PAGE_HEADER = ">BxxH"  # its kind, and the number of its cells
_INNER_TABLE, _LEAF_TABLE, _LEAF_INDEX = 0x05, 0x0D, 0x0A
_HEADER_SIZES = {_INNER_TABLE: 12, _LEAF_TABLE: 8}  # bytes, by the kinds of pages in a schema
_MOST_PAGES = 1000  # of a schema; a damaged one may refer to itself
# A row of the schema: size, number, header size and the kinds of five values, all of variable length; then type, name,
# table, first page and SQL. Group 1 is the kind, and so the length, of the first page's number; group 2 a history table.
_ROW = re.compile(
    rb"(?:[\x80-\xff]*[\x00-\x7f]){6}(.)[\x80-\xff]*[\x00-\x7f]"
    rb"(?:table(?:(history_node|executions)\2)?|index|view|trigger)",
    re.DOTALL,
)
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_SIZES = range(32, 65537)  # bytes of a sector or a page that SQLite accepts in a journal
_LONGEST_JOURNAL = 64 << 20  # bytes; that of a schema is a thousand times shorter


class Content(Enum):
    """State of a database file; the value is its description in messages."""

    MISSING = "does not exist yet"
    INTACT = "holds workflow history"
    UNFINISHED = "is unfinished and holds no workflow history"
    DAMAGED = "is damaged and may hold workflow history"


def named_database(arguments: tuple[str, ...], directory: str) -> str:
    """Return the path of the database that a service's arguments name, relative to `directory`; empty when they name none."""
    named = dict(pairwise(arguments)).get("--db-filename")
    return os.path.normpath(os.path.join(directory, named)) if named else ""


def require_usable(path: str, report: Callable[[str], None]) -> None:
    """Set an unfinished database aside and report it; LauncherError for a damaged one. No service may be using it.

    The directory of a missing database is created, unless the home is missing too. An empty path means no database.
    """
    if (size := len(os.fsencode(path))) > _LONGEST_PATH:
        text = f"the path of a database is too long: {size} of at most {_LONGEST_PATH} bytes: {path}"
        raise HomeError(text, _SHORTER)
    content = examine(path)
    if content is Content.MISSING:
        with suppress(OSError):
            os.mkdir(os.path.dirname(path), 0o700)
    if content is Content.DAMAGED:
        raise LauncherError(f"{path} {content.value}; it is left as it is", remedy_for(path))
    if content is Content.UNFINISHED:
        report(f"{path} {content.value}; it is kept as {_set_aside(path)}")


def remedy_for(path: str) -> str:
    """Return the remedy for a damaged database; it moves the whole directory, since the journal belongs to the database."""
    folder = os.path.dirname(path)
    command = shlex.join(("mv", folder, free_name(f"{folder}.damaged")))
    return f"restore it from a backup, or set it aside and start with an empty history: `{command}`"


def examine(path: str) -> Content:
    """Judge a database by its header, schema, and rows in its history tables; HomeError if it cannot be used."""
    try:
        with open(path, "r+b") as stream:  # as the service does
            former_size, originals = _read_hot_journal(path)
            size = min(former_size, os.fstat(stream.fileno()).st_size)
            if not size:
                return Content.UNFINISHED
            pages = _Pages(stream.fileno(), size, originals)
            tables = tuple(pages.history_tables())
            is_logged = os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 0
            if not is_logged and not any(map(pages.has_rows, tables)):
                return Content.UNFINISHED
            return Content.DAMAGED if pages.is_short else Content.INTACT
    except (FileNotFoundError, NotADirectoryError):
        return Content.MISSING
    except (IsADirectoryError, ValueError, LookupError, struct.error):
        return Content.DAMAGED
    except OSError as error:
        paths = (str(error.filename or path), os.path.dirname(path))  # a file is hidden in a directory of another user
        raise explain(error, next(filter(os.path.exists, paths), path)) from error


class _Pages:
    """The pages of a database of `length` bytes, read one at a time; ValueError when the file is not a database.

    `originals` are the pages, by number, that a hot journal restores.
    """

    def __init__(self, descriptor: int, length: int, originals: dict[int, bytes]) -> None:
        header = originals.get(1) or os.pread(descriptor, _FILE_HEADER, 0)
        magic, short, changed, pages, valid_for = struct.unpack_from(">16sH6xII60xI", header)
        if magic != _MAGIC:
            raise ValueError("not a database")
        self.descriptor, self.length, self.originals = descriptor, length, originals
        self.size = 65536 if short == 1 else short
        self.is_short = changed == valid_for and length < pages * self.size  # else `pages` is not valid

    def read(self, number: int) -> bytes:
        """Read a page, counted from 1."""
        if not 0 < number * self.size <= self.length:
            raise ValueError(f"there is no page {number}")
        return self.originals.get(number) or os.pread(self.descriptor, self.size, (number - 1) * self.size)

    def history_tables(self) -> Iterator[int]:
        """Yield the number of the first page of each history table, from the schema, which begins on page 1."""
        numbers = [1]
        for number in islice(numbers, _MOST_PAGES):
            page, start = self.read(number), _FILE_HEADER if number == 1 else 0
            kind, rows = struct.unpack_from(_PAGE_HEADER, page, start)
            cells = struct.unpack_from(f">{rows}H", page, start + _HEADER_SIZES[kind])
            if kind == _INNER_TABLE:
                numbers += [struct.unpack_from(">I", page, cell)[0] for cell in (*cells, start + 8)]
                continue
            for cell in cells:
                if not (row := _ROW.match(page, cell)):
                    raise ValueError("not a row of a schema")
                if row[2]:
                    yield int.from_bytes(page[row.end() : row.end() + row[1][0]])

    def has_rows(self, number: int) -> bool:
        """Return whether the table that begins on this page has rows; a table of several pages always has."""
        kind, rows = struct.unpack_from(_PAGE_HEADER, self.read(number))
        return kind not in (_LEAF_TABLE, _LEAF_INDEX) or rows > 0


def _read_hot_journal(path: str) -> tuple[int, dict[int, bytes]]:
    """Return the database's size in bytes before an interrupted transaction, if any, and the pages its journal restores."""
    journal = b""
    with suppress(FileNotFoundError), open(f"{path}-journal", "rb") as stream:
        journal = stream.read(_LONGEST_JOURNAL)
    magic, pages, sector, size = struct.unpack(">8s8xIII", journal[:28].ljust(28, b"\0"))
    if magic != _JOURNAL_MAGIC or sector not in _SIZES or size not in _SIZES:
        return sys.maxsize, {}  # SQLite ignores a journal with an invalid header
    return pages * size, dict(_journal_pages(journal, sector, size))


def _journal_pages(journal: bytes, sector: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of a journal's pages, segment by segment; it holds each page once."""
    segment = 0
    while journal.startswith(_JOURNAL_MAGIC, segment):
        (pages,) = struct.unpack_from(">8xI", journal, segment)
        record_size = size + 8  # a page with its number and its checksum
        records = range(segment + sector, len(journal) - record_size + 1, record_size)[:pages]
        for start in records:
            yield int.from_bytes(journal[start : start + 4]), journal[start + 4 : start + 4 + size]
        end = segment + sector + len(records) * record_size
        segment = -(-end // sector) * sector  # rounded up to a whole sector


def _set_aside(path: str) -> str:
    """Rename a database and the files SQLite keeps beside it; return its new path."""
    kept = free_name(f"{path}.unfinished")
    try:
        for side in ("-shm", "-wal", "-journal", ""):
            if os.path.lexists(path + side):
                os.rename(path + side, kept + side)
    except OSError as error:
        raise explain(error, os.path.dirname(path)) from error
    return kept
