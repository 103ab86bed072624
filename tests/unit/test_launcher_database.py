"""A database is classified by its files alone, and only one without workflow history is ever renamed."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.launch.database import Content, examine, named_database, require_usable

SCHEMA = tuple(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT, more TEXT)" for number in range(150))


def database(path: Path, *statements: str) -> Path:
    """Create a database with so many tables that its schema takes several pages, and run statements in it."""
    with sqlite3.connect(path) as connection:
        for statement in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY", *SCHEMA, *statements):
            connection.execute(statement)
    connection.close()
    return path


@pytest.fixture
def with_history(tmp_path: Path) -> Path:
    """Return a database in which a workflow has run."""
    table = "CREATE TABLE history_node (id INTEGER, data TEXT, PRIMARY KEY (id))"
    return database(tmp_path / "t.db", table, *["INSERT INTO history_node (data) VALUES ('event')"] * 3)


@pytest.mark.parametrize("rows", [1, 900], ids=["one page", "many pages"])
@pytest.mark.parametrize("kind", ["", "WITHOUT ROWID"], ids=["rowid", "without rowid"])
def test_a_database_with_history_is_intact(tmp_path: Path, rows: int, kind: str) -> None:
    path = database(
        tmp_path / "t.db",
        f"CREATE TABLE executions (id INTEGER, data TEXT, PRIMARY KEY (id)) {kind}",
        *("INSERT INTO executions SELECT coalesce(max(id), 0) + 1, 'event' FROM executions" for _ in range(rows)),
    )
    assert examine(str(path)) is Content.INTACT


@pytest.mark.parametrize("statements", [(), ("CREATE TABLE executions (id INTEGER)",)], ids=["no table", "no rows"])
def test_a_schema_without_history_is_unfinished(tmp_path: Path, statements: tuple[str, ...]) -> None:
    """Temporal writes system history as soon as it serves, so such a database was never used."""
    assert examine(str(database(tmp_path / "t.db", *statements))) is Content.UNFINISHED


@pytest.mark.parametrize("length", [1, 99, 100, 4096, 100_000])
def test_a_truncated_database_is_damaged(with_history: Path, length: int) -> None:
    os.truncate(with_history, length)
    assert examine(str(with_history)) is Content.DAMAGED


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_file_that_is_not_a_database_is_damaged(with_history: Path, content: bytes) -> None:
    with_history.write_bytes(content)
    assert examine(str(with_history)) is Content.DAMAGED


def test_a_database_below_a_file_is_missing(tmp_path: Path) -> None:
    """It used to be reported as damaged, for example if the home is a file."""
    (tmp_path / "home").touch()
    assert examine(str(tmp_path / "home" / "temporal-data" / "t.db")) is Content.MISSING


def test_a_database_with_a_write_ahead_log_counts_as_intact(tmp_path: Path) -> None:
    """The log may contain history that is not in the database file yet."""
    path = database(tmp_path / "t.db")
    (tmp_path / "t.db-wal").write_bytes(b"frames")
    assert examine(str(path)) is Content.INTACT


def killed_in(transaction: Iterable[str], path: Path) -> Iterator[Path]:
    """Yield the files of a database as a kill after each statement of one transaction would leave them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA cache_size = 1", "PRAGMA cache_spill = 1", "BEGIN"):
            connection.execute(statement)
        for number, statement in enumerate(transaction):
            connection.execute(statement)
            copy = path.parent / f"killed-{number}" / path.name
            copy.parent.mkdir()
            for side in ("", "-journal"):
                shutil.copyfile(f"{path}{side}", f"{copy}{side}")
            yield copy


def tables(path: Path) -> int:
    """Count the tables that SQLite finds in a database after it has rolled back an interrupted transaction."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def more_tables(count: int) -> list[str]:
    return [f"CREATE TABLE more{number} (id INTEGER UNIQUE)" for number in range(count)]


def test_an_interrupted_transaction_is_classified_as_rolled_back(tmp_path: Path) -> None:
    """No matter how many of the new tables are in the file already."""
    path = database(tmp_path / "t.db")
    states = {(examine(str(copy)), tables(copy)) for copy in killed_in(more_tables(60), path)}
    assert states == {(Content.UNFINISHED, len(SCHEMA))}


FULL = """
import resource, signal, sqlite3, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in ("BEGIN", *(f"CREATE TABLE more{number} (id INTEGER UNIQUE)" for number in range(40)), "COMMIT"):
    connection.execute(statement)
"""


def test_an_interrupted_commit_is_classified_as_rolled_back(tmp_path: Path) -> None:
    """The schema may list tables whose pages were not written; that used to be reported as damage."""
    path = database(tmp_path / "t.db")
    limit = path.stat().st_size + 8192
    completed = subprocess.run([sys.executable, "-c", FULL, str(path), str(limit)], timeout=30, check=False)
    assert completed.returncode == -signal.SIGXFSZ
    assert path.stat().st_size == limit
    assert examine(str(path)) is Content.UNFINISHED
    assert tables(path) == len(SCHEMA)


def test_history_that_an_interrupted_transaction_was_deleting_still_counts(with_history: Path) -> None:
    """SQLite restores it from the journal; tables of the transaction do not count."""
    statements = ("DELETE FROM history_node", *more_tables(60))
    states = {(examine(str(copy)), tables(copy)) for copy in killed_in(statements, with_history)}
    assert states == {(Content.INTACT, len(SCHEMA) + 1)}


@pytest.mark.parametrize("kept", [8, 27, 28, 600])
def test_a_database_with_a_truncated_journal_never_counts_as_intact(tmp_path: Path, kept: int) -> None:
    """A journal of any length is read without an error; the database is renamed or left to the user."""
    *_, copy = killed_in(more_tables(9), database(tmp_path / "t.db"))
    os.truncate(f"{copy}-journal", kept)
    assert examine(str(copy)) in {Content.UNFINISHED, Content.DAMAGED}


@pytest.mark.parametrize(("sector", "page"), [(0, 4096), (512, 0), (1 << 31, 4096), (512, 1 << 31), (0, 0)])
def test_a_journal_with_an_invalid_header_is_ignored(with_history: Path, sector: int, page: int) -> None:
    """It causes neither a traceback nor an endless loop."""
    magic = bytes.fromhex("d9d505f920a163d7")
    header = magic + b"".join(number.to_bytes(4) for number in (1, 0, 1, sector, page))
    Path(f"{with_history}-journal").write_bytes(header.ljust(9000, b"\0"))
    assert examine(str(with_history)) is Content.INTACT


def test_an_unfinished_database_is_renamed_with_its_journal_and_nothing_is_overwritten(tmp_path: Path) -> None:
    """SQLite would roll a journal that was left behind back into the next database."""
    messages: list[str] = []
    for number in (1, 2):
        (tmp_path / "t.db").write_bytes(b"")
        (tmp_path / "t.db-journal").write_bytes(b"journal %d" % number)
        require_usable(str(tmp_path / "t.db"), messages.append)
        kept = tmp_path / f"t.db.unfinished-{number}"
        assert f"is unfinished and holds no workflow history; it is kept as {kept}" in messages[-1]
        assert Path(f"{kept}-journal").read_bytes() == b"journal %d" % number
    assert examine(str(tmp_path / "t.db")) is Content.MISSING
    require_usable(str(tmp_path / "t.db"), messages.append)
    assert len(messages) == 2


def test_the_directory_of_a_missing_database_is_created_but_not_a_home_that_was_removed(tmp_path: Path) -> None:
    """A removed home would otherwise come back with one service's data."""
    for home, created in (("", True), ("removed", False)):
        directory = tmp_path / home / "data"
        require_usable(str(directory / "t.db"), pytest.fail)
        assert directory.is_dir() is created


def test_a_damaged_database_is_kept_and_the_remedy_is_a_command_that_moves_it(tmp_path: Path) -> None:
    """The command is quoted for a shell, and does not move into a folder that exists already."""
    folder = tmp_path / "my data"
    folder.mkdir()
    (folder / "t.db").write_bytes(b"garbage")
    (tmp_path / "my data.damaged-1").mkdir()
    with pytest.raises(LauncherError, match="is damaged and may hold workflow history") as caught:
        require_usable(str(folder / "t.db"), print)
    assert f"`mv '{folder}' '{folder}.damaged-2'`" in caught.value.remedy
    assert (folder / "t.db").read_bytes() == b"garbage"


def test_the_database_is_named_by_an_option_of_temporal() -> None:
    """A relative path starts in the directory of the service; an option without a value names no database."""
    assert named_database(("--db-filename", "./data/t.db"), "/h ome#") == "/h ome#/data/t.db"
    assert named_database(("--db-filename", "/else/t.db"), "/home") == "/else/t.db"
    assert named_database(("--db-filename",), "/home") == named_database((), "/home") == ""
