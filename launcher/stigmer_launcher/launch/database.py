"""Looks into a service's SQLite database before the service does, and judges whether it is whole.

Temporal makes its schema statement by statement, and takes whatever file it finds for a whole one. One in which no
workflow has ever run is set aside by a rename; one that may hold history is never touched. A database is judged as SQLite
would find it: with what an interrupted transaction replaced put back. Source: SQLite's file format.
"""

import os
import re
import shlex
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from itertools import count, islice, pairwise

from stigmer_launcher.errors import HomeError, LauncherError
from stigmer_launcher.system.places import explain

_OPTION = "--db-filename"
_SIDE_FILES = ("-shm", "-wal", "-journal", "")
_LONGEST_PATH = 512 - len("-journal")  # bytes
_SHORTER = "set STIGMER_HOME to a directory with a shorter path: `export STIGMER_HOME=/path/to/directory`"
_MAGIC = b"SQLite format 3\0"
_PAGE_HEADER = ">BxxH"  # its kind, and how many cells it has
_INNER_TABLE, _LEAF_TABLE, _LEAF_INDEX = 0x05, 0x0D, 0x0A
_HEADER_SIZES = {_INNER_TABLE: 12, _LEAF_TABLE: 8}  # bytes, by the kinds of pages that a schema has
_MOST_PAGES = 1000  # of a schema; a damaged one may refer to itself
# A row of the schema: its size, its number, the size of its header, the kinds of its five values, all of variable length;
# then type, name, table, first page and SQL. The kind of the page's number is its length. The tables of history are named.
_ROW = re.compile(
    rb"(?:[\x80-\xff]*[\x00-\x7f]){6}(.)[\x80-\xff]*[\x00-\x7f]"
    rb"(?:table(?:(history_node|executions)\2)?|index|view|trigger)",
    re.DOTALL,
)
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_SIZES = range(32, 65537)  # bytes of a sector or a page that SQLite accepts in a journal
_LONGEST_JOURNAL = 64 << 20  # bytes; those of a schema are a thousand times shorter


class Content(Enum):
    """What a database's file was found to be."""

    MISSING = "does not exist yet"
    WHOLE = "holds workflow history"
    UNFINISHED = "is unfinished and holds no workflow history"
    DAMAGED = "is damaged and may hold workflow history"


def named_database(arguments: tuple[str, ...], directory: str) -> str:
    """Return the database that a service is told to keep, as seen from the directory it runs in; empty when there is none."""
    named = dict(pairwise(arguments)).get(_OPTION)
    return os.path.normpath(os.path.join(directory, named)) if named else ""


def require_usable(path: str, report: Callable[[str], None]) -> None:
    """Set an unfinished database aside, saying so; LauncherError for a damaged one. No service may be using it.

    The folder of a missing one is made, unless the home is missing too. An empty path means that there is no database.
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
    """Say how to go on with a damaged database: with its folder, since the journal beside it belongs to it."""
    folder = os.path.dirname(path)
    command = shlex.join(("mv", folder, _free_name(f"{folder}.damaged")))
    return f"restore it from a backup, or set it aside and start with an empty history: `{command}`"


def examine(path: str) -> Content:
    """Judge a database by its header, schema, and rows in the tables of history; HomeError if it cannot be used."""
    try:
        with open(path, "r+b") as stream:  # as the service does
            length, replaced = _interrupted_transaction(path)
            length = min(length, os.fstat(stream.fileno()).st_size)
            if not length:
                return Content.UNFINISHED
            pages = _Pages(stream.fileno(), length, replaced)
            tables = tuple(pages.history())
            is_logged = os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 0
            if not is_logged and not any(map(pages.has_rows, tables)):
                return Content.UNFINISHED
            return Content.DAMAGED if pages.is_short else Content.WHOLE
    except (FileNotFoundError, NotADirectoryError):
        return Content.MISSING
    except (IsADirectoryError, ValueError, LookupError, struct.error):
        return Content.DAMAGED
    except OSError as error:
        raise explain(error, str(error.filename or path)) from error


class _Pages:
    """The pages of a database of so many bytes, read one at a time; ValueError when the file is not a database.

    `replaced` has the former content of pages that the file holds in a newer one.
    """

    def __init__(self, descriptor: int, length: int, replaced: dict[int, bytes]) -> None:
        header = replaced.get(1) or os.pread(descriptor, 100, 0)
        magic, short, changed, pages, valid_for = struct.unpack_from(">16sH6xII60xI", header)
        if magic != _MAGIC:
            raise ValueError("not a database")
        self.descriptor, self.length, self.replaced = descriptor, length, replaced
        self.size = 65536 if short == 1 else short
        self.is_short = changed == valid_for and length < pages * self.size

    def read(self, number: int) -> bytes:
        """Read a page, counted from 1."""
        if not 0 < number * self.size <= self.length:
            raise ValueError(f"there is no page {number}")
        return self.replaced.get(number) or os.pread(self.descriptor, self.size, (number - 1) * self.size)

    def history(self) -> Iterator[int]:
        """Yield the first page of each table of history, as the schema has it that begins on page 1."""
        numbers = [1]
        for number in islice(numbers, _MOST_PAGES):
            page, start = self.read(number), 100 if number == 1 else 0
            kind, rows = struct.unpack_from(_PAGE_HEADER, page, start)
            cells = struct.unpack_from(f">{rows}H", page, start + _HEADER_SIZES[kind])
            if kind == _INNER_TABLE:
                numbers += [struct.unpack_from(">I", page, cell)[0] for cell in (*cells, start + 8)]
                continue
            for cell in cells:
                if not (row := _ROW.match(page, cell)):
                    raise ValueError("no row of a schema")
                if row[2]:
                    yield int.from_bytes(page[row.end() : row.end() + row[1][0]])

    def has_rows(self, number: int) -> bool:
        """Return whether the table that begins on a page has rows; one of several pages has."""
        kind, rows = struct.unpack_from(_PAGE_HEADER, self.read(number))
        return kind not in (_LEAF_TABLE, _LEAF_INDEX) or rows > 0


def _interrupted_transaction(path: str) -> tuple[int, dict[int, bytes]]:
    """Read the journal: the bytes that the database had before, and the pages that it takes back; those of no journal."""
    journal = b""
    with suppress(FileNotFoundError), open(f"{path}-journal", "rb") as stream:
        journal = stream.read(_LONGEST_JOURNAL)
    magic, pages, sector, size = struct.unpack(">8s8xIII", journal[:28].ljust(28, b"\0"))
    if magic != _JOURNAL_MAGIC or sector not in _SIZES or size not in _SIZES:
        return sys.maxsize, {}  # as SQLite does with a header that makes no sense
    return pages * size, dict(_replaced_pages(journal, sector, size))


def _replaced_pages(journal: bytes, sector: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and former content of a journal's pages, segment by segment; a page is in it once."""
    at = 0
    while journal.startswith(_JOURNAL_MAGIC, at):
        (pages,) = struct.unpack_from(">8xI", journal, at)
        record = size + 8  # a page with its number and its checksum
        places = range(at + sector, len(journal) - record + 1, record)[:pages]
        for place in places:
            yield int.from_bytes(journal[place : place + 4]), journal[place + 4 : place + 4 + size]
        end = at + sector + len(places) * record
        at = -(-end // sector) * sector


def _set_aside(path: str) -> str:
    """Rename a database and what SQLite keeps beside it; give its new name."""
    kept = _free_name(f"{path}.unfinished")
    try:
        for side in _SIDE_FILES:
            if os.path.lexists(path + side):
                os.rename(path + side, kept + side)
    except OSError as error:
        raise explain(error, os.path.dirname(path)) from error
    return kept


def _free_name(wanted: str) -> str:
    return next(name for number in count(1) if not os.path.lexists(name := f"{wanted}-{number}"))
