"""`stigmer config get|set|list|path`."""

import json

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config import file as config_file
from stigmer_launcher.supervise.state import Instance, supervisor_pid
from stigmer_launcher.system.places import find_places


def get(invocation: Invocation, context: Context) -> int:
    """Print one setting's value."""
    read = config_file.read_config(find_places(context.environ).config)
    context.out.line(config_file.get_value(read, invocation.arguments[0]))
    return 0


def change(invocation: Invocation, context: Context) -> int:
    """Write one setting; a running server keeps what it was started with, which is said."""
    places = find_places(context.environ)
    key, value = invocation.arguments
    config_file.set_value(places, key, value)
    if supervisor_pid(Instance(places.run)):
        context.err.line("The running server keeps its settings until `stigmer server restart`")
    return 0


def show_all(invocation: Invocation, context: Context) -> int:
    """Print every setting, its value, and whether it comes from the file."""
    read = config_file.read_config(find_places(context.environ).config)
    rows = config_file.list_values(read)
    if invocation.has("json"):
        context.out.line(json.dumps({row.key: {"value": row.value, "origin": row.origin} for row in rows}, indent=2))
        return 0
    width = max(len(row.key) for row in rows)
    for row in rows:
        context.out.line(f"{row.key:<{width}}  {row.value}  ({row.origin})")
    for hint in config_file.unused(read):
        context.err.line(hint)
    return 0


def path(invocation: Invocation, context: Context) -> int:
    """Print where the file is, whether or not there is one."""
    del invocation
    context.out.line(find_places(context.environ).config)
    return 0
