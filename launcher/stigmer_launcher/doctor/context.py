"""What doctor's checks share: where things are, and what could be read of them."""

from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.install.manifest import Keg
from stigmer_launcher.supervise.state import Snapshot
from stigmer_launcher.system.places import Places


class DoctorContext(NamedTuple):
    """The instance that is looked at; `supervisor` is the pid of the living one or 0, `deep` how hard to look."""

    places: Places
    environ: Mapping[str, str]
    keg: Keg | None
    config: Config
    snapshot: Snapshot
    supervisor: int
    deep: bool
