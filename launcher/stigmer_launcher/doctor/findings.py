"""What doctor's checks look at, and what they yield."""

from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install.payload import Keg
from stigmer_launcher.supervise.state import Snapshot
from stigmer_launcher.system.places import Places

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"


class DoctorContext(NamedTuple):
    """The instance to check."""

    places: Places
    environ: Mapping[str, str]
    keg: Keg | None
    config: Config
    snapshot: Snapshot
    supervisor: int  # the pid of the running one, or 0
    watchdog: int  # the pid of one that stops a killed supervisor's services, or 0
    deep: bool  # whether the content of files is compared


class Finding(NamedTuple):
    """One thing looked at: how it is (`level`), in words, and what to do about it if anything."""

    name: str
    level: str
    text: str
    remedy: str = ""


def problem(name: str, error: LauncherError) -> Finding:
    """Make a finding of a failure."""
    return Finding(name, PROBLEM, str(error), error.remedy)
