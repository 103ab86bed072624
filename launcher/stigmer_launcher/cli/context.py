"""What a command may use of the process it runs in."""

from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.cli.terminal import Terminal


class Context(NamedTuple):
    """The environment's variables, and the two streams people read."""

    environ: Mapping[str, str]
    out: Terminal
    err: Terminal
