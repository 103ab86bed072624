"""What a command may use of the process it runs in."""

from collections.abc import Mapping

from stigmer_launcher.output import Terminal
from stigmer_launcher.typed import NamedTuple


class Context(NamedTuple):
    """The environment's variables, and the two streams people read."""

    environ: Mapping[str, str]
    out: Terminal
    err: Terminal
