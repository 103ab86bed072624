"""What all kinds of guests share: the trial of a bottle on a machine, and its result."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError
from stigmer_packaging.records.model import Check

PREFIX = "/home/linuxbrew/.linuxbrew"
"""The prefix of every brew installation on Linux."""

REQUIREMENT_FLAGS = ("--python-free", "--deep", "--offline")
"""Options that make the script check that a machine of ours has no Python and no network."""


class Task(NamedTuple):
    """The task of a guest: to run `script`, which reports with `nonce`, within `seconds`."""

    script: Path
    nonce: str
    seconds: float = 300

    @property
    def scripts(self) -> tuple[Path, ...]:
        """The script, and the one that must be beside it for --bottle and --trials."""
        return (self.script, self.script.with_name("verify-trials"))


class Trial(NamedTuple):
    """A file of NAME VERSION, a bottle or a single file that `unpacks_itself`, and the guest's task."""

    bottle: Path
    name: str
    version: str
    task: Task
    unpacks_itself: bool = False

    def command(
        self, script: str, bottle: str, prefix: str = PREFIX, flags: Sequence[str] = REQUIREMENT_FLAGS
    ) -> list[str]:
        """Return the command that runs the script on the product's file; both are paths in the guest.

        For a bottle (tar or tar.gz), the script pours it into `prefix` and runs all trials: kill, damage, upgrade,
        removal. A single file first unpacks itself into the user's home; the script then uses that tree instead of a
        keg.
        """
        options = ["--name", self.name, "--expect-version", self.version, "--nonce", self.task.nonce]
        if not self.unpacks_itself:
            return ["sh", script, *flags, "--trials", "--bottle", bottle, "--prefix", prefix, *options]
        first = 'file=$1 script=$2 && shift 2 && chmod 755 "$file" && { "$file" version >/dev/null || :; }'
        run = f'{first} && exec sh "$script" --stigmer "$file" --keg "$(echo "$HOME"/.{self.name}/dist/*)" "$@"'
        return ["sh", "-c", run, "sh", bottle, script, *flags, *options]


class GuestRun(NamedTuple):
    """The output of a guest and the exit code of the script, None if it was killed because it ran out of time.

    `steps` are what the machine itself did before and after the script, such as booting; `emulated`, whether its
    processor was emulated.
    """

    code: int | None
    output: str
    errors: str
    steps: tuple[Check, ...] = ()
    emulated: bool = False


def run_guest(argv: Sequence[str], *, seconds: float) -> GuestRun:
    """Run the command of a guest, or of the script in it; kill all its processes after `seconds`."""
    try:
        ended = command.run(argv, seconds=seconds, check=False)
    except CommandError as error:
        return GuestRun(None, error.output, "")
    return GuestRun(ended.code, ended.stdout, ended.stderr)


class Machine(NamedTuple):
    """A place where a bottle can be tried.

    `level` is its kind, such as `sandbox`; `name` is a display name, such as `debian trixie`; `target` is the platform
    whose bottles it can run; `recipe` is the hash of how it was made. `run` carries out a trial, with an empty folder
    for temporary files.
    """

    level: str
    name: str
    target: str
    recipe: str
    run: Callable[[Trial, Path], GuestRun]
