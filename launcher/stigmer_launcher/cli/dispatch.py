"""From a command's name to the function that carries it out, importing that function's module and no other.

The imports are written out one by one so that freezing finds them all.
"""

from collections.abc import Callable

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context

Door = Callable[[Invocation, Context], int]


def open_door(name: str) -> Door:  # noqa: C901, PLR0912 - one case for each command
    """Give the function of a command of the table; KeyError for a name that is none."""
    door: Door
    match name:
        case "start":
            from stigmer_launcher.cli.commands.start import start as door
        case "restart":
            from stigmer_launcher.cli.commands.start import restart as door
        case "stop":
            from stigmer_launcher.cli.commands.stop import stop as door
        case "status":
            from stigmer_launcher.cli.commands.status import status as door
        case "logs":
            from stigmer_launcher.cli.commands.logs import logs as door
        case "smoke":
            from stigmer_launcher.cli.commands.smoke import smoke as door
        case "doctor":
            from stigmer_launcher.cli.commands.doctor import doctor as door
        case "config get":
            from stigmer_launcher.cli.commands.config import get as door
        case "config set":
            from stigmer_launcher.cli.commands.config import change as door
        case "config list":
            from stigmer_launcher.cli.commands.config import show_all as door
        case "config path":
            from stigmer_launcher.cli.commands.config import path as door
        case "version":
            from stigmer_launcher.cli.commands.version import version as door
        case "completion":
            from stigmer_launcher.cli.completion import completion as door
        case _:
            raise KeyError(name)
    return door
