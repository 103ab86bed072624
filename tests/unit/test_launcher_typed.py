"""The launcher's own NamedTuple: whatever is used of it is as `typing` has it."""

import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.system import typed

LAUNCHER = Path(__file__).parents[2] / "launcher"


class Ours(typed.NamedTuple):
    """A record."""

    name: str
    size: int = 3
    tags: tuple[str, ...] = ()

    @property
    def double(self) -> int:
        """Give twice the size."""
        return 2 * self.size


class Theirs(typing.NamedTuple):
    """The same by `typing`."""

    name: str
    size: int = 3
    tags: tuple[str, ...] = ()

    @property
    def double(self) -> int:
        """Give twice the size."""
        return 2 * self.size


USES = [
    lambda kind: kind("a"),
    lambda kind: kind("a", 4),
    lambda kind: kind("a", tags=("x",)),
    lambda kind: kind(name="a", size=5, tags=()),
    lambda kind: kind("a", 1, ("y", "z")),
    lambda kind: kind("a")._replace(size=9),
]
REFUSED = [
    lambda kind: kind(),
    lambda kind: kind("a", 1, (), 4),
    lambda kind: kind("a", colour="red"),
    lambda kind: kind("a", name="b"),
    lambda kind: kind(size=1),
    lambda kind: kind("a")._replace(colour="red"),
]


@pytest.mark.parametrize("use", USES)
def test_a_record_is_the_tuple_that_typing_would_make(use: Any) -> None:
    """By position and by name, compared, hashed, unpacked, printed, and as a map."""
    ours, theirs = use(Ours), use(Theirs)
    assert ours == theirs == tuple(theirs)
    assert hash(ours) == hash(theirs)
    assert ours._asdict() == theirs._asdict()
    assert repr(ours).removeprefix("Ours") == repr(theirs).removeprefix("Theirs")
    assert (ours.name, ours.size, ours.tags, ours.double) == (theirs.name, theirs.size, theirs.tags, theirs.double)
    assert type(ours) is Ours


@pytest.mark.parametrize("use", REFUSED)
def test_what_typing_refuses_is_refused(use: Any) -> None:
    """A field that is missing, unknown, too many or given twice."""
    for kind in (Ours, Theirs):
        with pytest.raises((TypeError, ValueError)):
            use(kind)


def test_a_record_cannot_be_changed() -> None:
    """Neither a field, nor by a new attribute."""
    ours: Any = Ours("a")
    with pytest.raises(AttributeError):
        ours.size = 4
    with pytest.raises(AttributeError):
        ours.colour = "red"


def test_a_record_is_matched_by_position() -> None:
    """As a tuple with names is."""
    match Ours("a", 7):
        case Ours(name, size):
            assert (name, size) == ("a", 7)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="from CPython 3.14 on, it is that of `typing`")
@pytest.mark.parametrize("command", ["starting", "stopping", "status"])  # the view of logs needs regular expressions
@pytest.mark.parametrize("avoided", ["typing", "collections", "contextlib", "functools"])
def test_what_ours_stand_for_is_not_loaded(command: str, avoided: str) -> None:
    """One module that does makes every start pay for it."""
    program = (
        f"import sys; sys.modules[{avoided!r}] = None\n"
        f"import stigmer_launcher.cli.commands.{command}\n"
        "print(len([name for name in sys.modules if name.startswith('stigmer_launcher.')]))"
    )
    words = [sys.executable, "-S", "-c", program]
    done = subprocess.run(words, env={"PYTHONPATH": str(LAUNCHER)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
