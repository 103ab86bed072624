"""What doctor's looks share."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stigmer_launcher.config import Config
from stigmer_launcher.inventory import Keg
from stigmer_launcher.places import Places


class Scene(NamedTuple):
    """What the looks share: where things are, what could be read of them, and how hard to look.

    `state` is what the last supervisor wrote, `supervisor` the pid of the living one or 0.
    """

    places: Places
    environ: Mapping[str, str]
    keg: Keg | None
    config: Config
    state: Mapping[str, Any]
    supervisor: int
    deep: bool
