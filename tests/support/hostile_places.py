"""Two starts in a hostile place: both work, nothing comes to lie outside the home, nothing prints a traceback."""

from pathlib import Path

from stigmer_launcher.install.payload import Proof, Readiness
from support.launcher_payloads import Part, part
from support.launcher_services import PROGRAM, Stigmer, free_ports


def lone_temporal() -> tuple[Part, ...]:
    """Make a stack of a fake Temporal alone, which opens its database as the real one does."""
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


def starts_twice(launcher: Stigmer, around: Path) -> None:
    """Start and stop two times; the database is in the home, and nothing has come to lie outside of it."""
    before = outside(around, launcher.home)
    for _ in range(2):
        said = [launcher("server"), launcher("server", "status"), launcher("server", "stop")]
        shown = "\n".join(f"{done.out}\n{done.err}" for done in said)
        assert [done.code for done in said] == [0, 0, 0], f"{shown}\n{launcher.log('supervisor')}"
        assert "Traceback" not in shown
    assert (launcher.home / "temporal-data" / "temporal.db").stat().st_size > 0
    assert outside(around, launcher.home) == before
    for log in (launcher.home / "logs").iterdir():
        assert "Traceback" not in log.read_text(encoding="utf-8", errors="replace")


def outside(around: Path, home: Path) -> list[str]:
    """List what is in a folder and not in the home."""
    return sorted(str(path) for path in around.rglob("*") if not path.is_relative_to(home) and path not in home.parents)
