"""What a command may use of the process it runs in."""

from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.system.typed import Mapping, NamedTuple


class Context(NamedTuple):
    """The environment's variables, and the two streams people read."""

    environ: Mapping[str, str]
    out: Terminal
    err: Terminal
