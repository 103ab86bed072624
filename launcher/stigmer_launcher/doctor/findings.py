"""The input of doctor's checks, and the findings that they yield."""

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
    supervisor_pid: int  # 0 when none runs
    watchdog_pid: int  # 0 unless it stops the services of a killed supervisor
    deep: bool  # whether the content of files is compared


class Finding(NamedTuple):
    """The result of one check: its level, a text, and a remedy if there is something to do."""

    name: str
    level: str
    text: str
    remedy: str = ""


def problem(name: str, error: LauncherError) -> Finding:
    """Return the finding for an error."""
    return Finding(name, PROBLEM, str(error), error.remedy)
