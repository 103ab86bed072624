"""A bottle's trial in a fresh macOS: a clone of a virtual machine's image under tart, thrown away afterwards.

NOT YET RUN ON A MAC: written from tart's documentation and discussions. It needs Apple silicon of one's own, on which at
most two such machines may run (Apple's licence, 2.B.iii); hosted runners cannot. The image's user `admin` must admit the
ssh key that is given, and the image must hold no Python but Apple's stub. Look at tart's own licence before use.
"""

import contextlib
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import CommandError
from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.guest import GuestRun, Trial

SHARE = "/Volumes/My Shared Files/trial"
"""Where macOS mounts a folder that is shared under the name `trial`."""

_BOOT_SECONDS = 180
_OPTIONS = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")


class Tart(NamedTuple):
    """Clones of `image`, whose user `admin` admits `key`; `clone` is a name nobody else uses.

    `env` is what tart may see: it keeps its images below HOME.
    """

    image: str
    target: str
    key: Path
    clone: str
    env: Mapping[str, str]

    @property
    def level(self) -> str:
        """The level's name."""
        return "tart"

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image

    @property
    def recipe(self) -> str:
        """The hash of the image's name: tart keeps images by their digest itself."""
        return digest.sha256_of_value(self.image)

    def run(self, trial: Trial, folder: Path) -> GuestRun:
        """Share bottle and scripts with a fresh clone, and run the script there."""
        share = folder / "share"
        share.mkdir()
        for file in (trial.bottle, *trial.task.scripts):
            shutil.copyfile(file, share / file.name)
        with self._machine(share, folder):
            address = command.run(self.ask_address(), seconds=_BOOT_SECONDS + 10).stdout.strip()
            words = trial.words(f"{SHARE}/{trial.task.script.name}", "/tmp/prefix", (), f"{SHARE}/{trial.bottle.name}")  # noqa: S108 - the guest's, and nobody else is there
            try:
                ended = command.run(self.inside(address, words), seconds=trial.task.seconds, check=False)
            except CommandError as error:
                return GuestRun(None, error.output, "")
        booted = Check("the machine boots", passed=True, seconds=0.0, detail=f"{self.image} at {address}")
        return GuestRun(ended.code, ended.stdout, ended.stderr, (booted,))

    def start(self, share: Path) -> list[str]:
        """Give the command line that runs the clone, with `share` to read."""
        return ["tart", "run", "--no-graphics", f"--dir=trial:{share}:ro", self.clone]

    def ask_address(self) -> list[str]:
        """Give the command line that prints the clone's address once it has one."""
        return ["tart", "ip", "--wait", str(_BOOT_SECONDS), self.clone]

    def inside(self, address: str, words: Sequence[str]) -> list[str]:
        """Give the command line that runs words in the clone; ssh hands them to a shell there, so they are quoted."""
        options = [word for option in _OPTIONS for word in ("-o", option)]
        quoted = shlex.join(words)
        return [
            "ssh",
            *options,
            "-o",
            f"ConnectTimeout={_BOOT_SECONDS}",
            "-i",
            str(self.key),
            f"admin@{address}",
            quoted,
        ]

    @contextlib.contextmanager
    def _machine(self, share: Path, folder: Path) -> Iterator[None]:
        command.run(["tart", "clone", self.image, self.clone], seconds=3600)
        try:
            with command.running(self.start(share), env=self.env, cwd=folder, log=folder / "tart.log"):
                yield
        finally:
            command.run(["tart", "stop", self.clone], seconds=60, check=False)
            command.run(["tart", "delete", self.clone], seconds=60, check=False)
