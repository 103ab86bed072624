"""The data that all checks of doctor share."""

from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.install.manifest import Keg
from stigmer_launcher.supervise.state import Snapshot
from stigmer_launcher.system.places import Places


class DoctorContext(NamedTuple):
    """The instance to check; `deep` compares the content of files.

    `supervisor` is the pid of the running one or 0, `watchdog` that of one that stops a killed supervisor's services.
    """

    places: Places
    environ: Mapping[str, str]
    keg: Keg | None
    config: Config
    snapshot: Snapshot
    supervisor: int
    watchdog: int
    deep: bool
