"""Starts in homes with hostile names: they must work, write nothing outside the home, and print no traceback."""

from pathlib import Path

from stigmer_launcher.install.payload import Proof, Readiness
from support.launcher_payloads import Part, part
from support.launcher_services import PROGRAM, Stigmer, free_ports


def temporal_only() -> tuple[Part, ...]:
    """Return a stack of just a fake Temporal, which opens its database as the real one does."""
    (port,) = free_ports(1)
    one = part(
        "temporal",
        program=PROGRAM,
        arguments=("FakeTemporal", "port={port.temporal}"),
        environment=(("DATABASE", "{home.relative}/temporal-data/temporal.db"),),
        ports=(("temporal", port),),
        readiness=Readiness(20.0, (Proof("temporal", "temporal"),)),
        external="TEMPORAL_SERVICE_ADDRESS",
    )
    return (one,)


HOSTILE_NAMES = (
    "c#",
    "p #1",
    "a?mode=memory",
    "a?vfs=none#b",
    "100%",
    "%41b%00",
    "file:x",
    ":memory:",
    "a b&c;d=e",
    "q'\"$HOME`id`",
    "two\nlines",
    "größe-日本語",
)


def assert_starts_twice(launcher: Stigmer, around: Path) -> None:
    """Start and stop twice; check that the database is in the home and that nothing was written outside it."""
    before = outside(around, launcher.home)
    for _ in range(2):
        commands = [launcher("server"), launcher("server", "status"), launcher("server", "stop")]
        output = "\n".join(f"{done.out}\n{done.err}" for done in commands)
        assert [done.code for done in commands] == [0, 0, 0], f"{output}\n{launcher.log('supervisor')}"
        assert "Traceback" not in output
    assert (launcher.home / "temporal-data" / "temporal.db").stat().st_size > 0
    assert outside(around, launcher.home) == before
    for log in (launcher.home / "logs").iterdir():
        assert "Traceback" not in log.read_text(encoding="utf-8", errors="replace")


def outside(around: Path, home: Path) -> list[str]:
    """Return all paths in a directory that are not in the home or above it."""
    return sorted(str(path) for path in around.rglob("*") if not path.is_relative_to(home) and path not in home.parents)
