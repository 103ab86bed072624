"""`stigmer config get|set|unset|edit|list|path`."""

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, columns
from stigmer_launcher.config import file, llm
from stigmer_launcher.config.schema import ADDRESS, MANAGED, SCHEMA
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.supervise import state
from stigmer_launcher.system import process, service_manager
from stigmer_launcher.system.places import find_places

_ADDRESS_VARIABLE = "TEMPORAL_SERVICE_ADDRESS"


def get(invocation: Invocation, context: Context) -> int:
    """Print the effective value of one setting; of a secret only that it is set."""
    key = file.require_known(invocation.arguments[0])
    read = file.read_config(find_places(context.environ).config)
    context.out.line(effective_values(read, context.environ)[key][0])
    return 0


def change(invocation: Invocation, context: Context) -> int:
    """Write one setting; print what to do instead if it has no effect."""
    for hint in file.set_value(find_places(context.environ), *invocation.arguments):
        context.err.line(hint)
    _mention_restart(context)
    return 0


def unset(invocation: Invocation, context: Context) -> int:
    """Remove one setting from the file, so that its default is used."""
    if file.unset_value(find_places(context.environ), invocation.arguments[0]):
        _mention_restart(context)
    return 0


def edit(_: Invocation, context: Context) -> int:
    """Open the file in the user's editor, and check what was saved."""
    places = find_places(context.environ)
    file.create_config(places)
    editor = next(filter(None, (context.environ.get(name, "").strip() for name in ("VISUAL", "EDITOR"))), "vi")
    if status := _run_editor(editor, places.config, context):
        remedy = f"set EDITOR to an editor, or change {places.config} yourself"
        raise LauncherError(f"the editor `{editor}` {process.describe_exit(status)}", remedy)
    file.read_config(places.config)  # ConfigError if it cannot be read
    _mention_restart(context)
    return 0


def show_all(invocation: Invocation, context: Context) -> int:
    """Print every setting with its effective value, and the variable, file or default that the value comes from."""
    read = file.read_config(find_places(context.environ).config)
    found = effective_values(read, context.environ)
    if invocation.has("json"):
        plain = {key: {"value": value, "origin": origin} for key, (value, origin) in found.items()}
        context.out.line(json.dumps(plain, indent=2))
        return 0
    for line in columns((key, f"{value}  ({origin})") for key, (value, origin) in found.items()):
        context.out.line(line.removeprefix("  "))
    for hint in file.unused(read):
        context.err.line(hint)
    return 0


def path(_: Invocation, context: Context) -> int:
    """Print where the file is, whether or not there is one."""
    context.out.line(find_places(context.environ).config)
    return 0


def effective_values(config: file.Config, environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return each key's value as a start would use it, secrets hidden, and its origin: `file`, `default`, or a variable."""
    found = {key: (config.text(key), "file" if config.find(key) else "default") for key in SCHEMA}
    chosen = llm.find_settings(environ, config)
    found |= {f"backend.local.llm.{name}": decided for name, decided in chosen.items() if decided[0]}
    if named := environ.get(_ADDRESS_VARIABLE, ""):
        found |= {ADDRESS: (named, _ADDRESS_VARIABLE), MANAGED: ("false", _ADDRESS_VARIABLE)}
    elif config.find(ADDRESS) and not config.find(MANAGED):
        found[MANAGED] = ("false", "file")
    return {key: (_shown(key, value), origin) for key, (value, origin) in found.items()}


def _shown(key: str, value: str) -> str:
    if SCHEMA[key].secret and value:
        return "(set, not shown)"
    return llm.redacted_url(value) if key == "backend.local.llm.base_url" else value


def _run_editor(editor: str, target: str, context: Context) -> int:
    """Run the editor by the shell, since it may have options, and return `waitpid`'s status; Ctrl-C is the editor's alone."""
    command = ["sh", "-c", f'{editor} "$@"', editor, target]
    # The bootloader of PyInstaller puts our libraries first, which an editor must not load.
    environ = {**context.environ, "LD_LIBRARY_PATH": context.environ.get("LD_LIBRARY_PATH_ORIG", "")}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, as after `trap '' CHLD`, there is no status to wait for
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return os.waitpid(os.posix_spawn("/bin/sh", command, environ, setsigdef=[signal.SIGINT]), 0)[1]
    finally:
        signal.signal(signal.SIGINT, previous)


def _mention_restart(context: Context) -> None:
    instance = state.Instance(find_places(context.environ).run)
    with suppress(LauncherError):  # the file is written, whether or not it can be told that a server runs
        if pid := state.supervisor_pid(instance):
            command = service_manager.command_for("restart", pid, state.living_snapshot(instance).job)
            context.err.line(f"The running server keeps its settings until `{command}`")
