"""What every kind of guest has in common: a bottle put to the trial on a machine, and what came of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError
from stigmer_packaging.records.model import Check

PREFIX = "/home/linuxbrew/.linuxbrew"
"""Where brew installs on Linux, for every user."""

DEMANDS = ("--python-free", "--deep", "--offline")
"""What the script demands of a machine of ours."""


class Task(NamedTuple):
    """What a guest is asked: to run `script`, which reports with `nonce`, within `seconds`."""

    script: Path
    nonce: str
    seconds: float = 300

    @property
    def scripts(self) -> tuple[Path, ...]:
        """The script, and the one that must lie beside it for --bottle and --trials."""
        return (self.script, self.script.with_name("verify-trials"))


class Trial(NamedTuple):
    """A file of NAME VERSION, a bottle or a single file that `unpacks_itself`, and what the guest is asked of it."""

    bottle: Path
    name: str
    version: str
    task: Task
    unpacks_itself: bool = False

    def words(self, script: str, bottle: str, prefix: str = PREFIX, demands: Sequence[str] = DEMANDS) -> list[str]:
        """Give the command that runs the script where it lies in the guest, on the product's file there.

        The script pours a bottle (tar or tar.gz) into `prefix`, and goes through all trials: kill, damage, upgrade,
        removal. A single file unpacks itself first, into the user's home; then its tree stands where a keg would.
        """
        asked = ["--name", self.name, "--expect-version", self.version, "--nonce", self.task.nonce]
        if not self.unpacks_itself:
            return ["sh", script, *demands, "--trials", "--bottle", bottle, "--prefix", prefix, *asked]
        first = 'file=$1 script=$2 && shift 2 && chmod 755 "$file" && { "$file" version >/dev/null || :; }'
        run = f'{first} && exec sh "$script" --stigmer "$file" --keg "$(echo "$HOME"/.{self.name}/dist/*)" "$@"'
        return ["sh", "-c", run, "sh", bottle, script, *demands, *asked]


class GuestRun(NamedTuple):
    """What a guest printed, and the script's exit code; none when it did not end within its time and was killed.

    `steps` are what the machine itself did before and after the script, such as to boot; `emulated`, whether its
    processor was emulated.
    """

    code: int | None
    output: str
    errors: str
    steps: tuple[Check, ...] = ()
    emulated: bool = False


def run_guest(words: Sequence[str], *, seconds: float) -> GuestRun:
    """Run the command that runs a guest, or the script in it; after `seconds` all of it is killed."""
    try:
        ended = command.run(words, seconds=seconds, check=False)
    except CommandError as error:
        return GuestRun(None, error.output, "")
    return GuestRun(ended.code, ended.stdout, ended.stderr)


class Machine(NamedTuple):
    """A place where a bottle can be put to the trial.

    `level` is its kind, such as `sandbox`; `name` is for people, such as `debian trixie`; `target` is the platform whose
    bottles it can run; `recipe` is the hash of how it was made. `run` carries out a trial, with an empty folder for
    whatever it takes.
    """

    level: str
    name: str
    target: str
    recipe: str
    run: Callable[[Trial, Path], GuestRun]
