"""`stigmer config get|set|unset|edit|list|path`."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, columns
from stigmer_launcher.config import file as config_file
from stigmer_launcher.config.file import Config
from stigmer_launcher.config.llm import find_llm, redacted_url
from stigmer_launcher.config.schema import SCHEMA
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.supervise import state
from stigmer_launcher.system.places import find_places
from stigmer_launcher.system.process import describe_exit
from stigmer_launcher.system.service_manager import command_for

_LLM = "backend.local.llm"
_MANAGED, _ADDRESS = "backend.local.temporal.managed", "backend.local.temporal.address"
_VARIABLE = "TEMPORAL_SERVICE_ADDRESS"


class Row(NamedTuple):
    """One line of `config list`; `origin` is `file`, `default`, or the variable that decided."""

    key: str
    value: str
    origin: str


def get(invocation: Invocation, context: Context) -> int:
    """Print the value in effect of one setting; of a secret only that it is set."""
    key = config_file.require_known(invocation.arguments[0])
    read = config_file.read_config(find_places(context.environ).config)
    context.out.line(next(row.value for row in effective_values(read, context.environ) if row.key == key))
    return 0


def change(invocation: Invocation, context: Context) -> int:
    """Write one setting."""
    key, value = invocation.arguments
    config_file.set_value(find_places(context.environ), key, value)
    _mention_restart(context)
    return 0


def unset(invocation: Invocation, context: Context) -> int:
    """Remove one setting from the file, so that its default is used."""
    if config_file.unset_value(find_places(context.environ), invocation.arguments[0]):
        _mention_restart(context)
    return 0


def edit(_: Invocation, context: Context) -> int:
    """Open the file in the user's editor, and check what was saved."""
    places = find_places(context.environ)
    config_file.write_first(places)
    editor = next((named for name in ("VISUAL", "EDITOR") if (named := context.environ.get(name, "").strip())), "vi")
    status = _run_editor(editor, places.config, context)
    if status:
        raise LauncherError(
            f"the editor `{editor}` {describe_exit(status)}",
            f"set EDITOR to an editor, or change {places.config} yourself",
        )
    try:
        config_file.read_config(places.config)
    except LauncherError as error:
        error.remedy = "run `stigmer config edit` and correct the lines named"
        raise
    _mention_restart(context)
    return 0


def show_all(invocation: Invocation, context: Context) -> int:
    """Print every setting, its value in effect, and whether that comes from a variable, the file or the default."""
    read = config_file.read_config(find_places(context.environ).config)
    rows = effective_values(read, context.environ)
    if invocation.has("json"):
        context.out.line(json.dumps({row.key: {"value": row.value, "origin": row.origin} for row in rows}, indent=2))
        return 0
    for line in columns((row.key, f"{row.value}  ({row.origin})") for row in rows):
        context.out.line(line.removeprefix("  "))
    for hint in config_file.unused(read):
        context.err.line(hint)
    return 0


def path(_: Invocation, context: Context) -> int:
    """Print where the file is, whether or not there is one."""
    context.out.line(find_places(context.environ).config)
    return 0


def effective_values(config: Config, environ: Mapping[str, str]) -> tuple[Row, ...]:
    """List every key with its value as a start would use it; of a secret only that it is set."""
    rows = {key: Row(key, config.text(key), "file" if config.find(key) else "default") for key in SCHEMA}
    rows |= {row.key: row for row in (*_llm(config, environ), *_temporal(config, environ))}
    return tuple(
        row._replace(value="(set, not shown)") if row.value and SCHEMA[row.key].secret else row for row in rows.values()
    )


def _llm(config: Config, environ: Mapping[str, str]) -> Iterator[Row]:
    llm = find_llm(environ, config)
    for name, value in (("provider", llm.provider), ("model", llm.model), ("base_url", llm.base_url)):
        key, variable = f"{_LLM}.{name}", f"STIGMER_LLM_{name.upper()}"
        filed = config.find(key) and config.text(key) == value
        shown = redacted_url(value) if name == "base_url" else value
        yield Row(key, shown, variable if environ.get(variable, "").strip() else "file" if filed else "default")
    if llm.key_from in environ:
        yield Row(f"{_LLM}.api_key", llm.api_key, llm.key_from)


def _temporal(config: Config, environ: Mapping[str, str]) -> Iterator[Row]:
    if named := environ.get(_VARIABLE, ""):
        yield Row(_ADDRESS, named, _VARIABLE)
        yield Row(_MANAGED, "false", _VARIABLE)
    elif config.find(_ADDRESS) and not config.find(_MANAGED):
        yield Row(_MANAGED, "false", "file")


def _run_editor(editor: str, file: str, context: Context) -> int:
    """Run the editor by the shell, since it may come with options, and wait for it; Ctrl-C is for the editor alone."""
    command = ["sh", "-c", f'{editor} "$@"', editor, file]
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pid = os.posix_spawn("/bin/sh", command, context.environ, setsigdef=[signal.SIGINT])
        return os.waitpid(pid, 0)[1]
    finally:
        signal.signal(signal.SIGINT, previous)


def _mention_restart(context: Context) -> None:
    instance = state.Instance(find_places(context.environ).run)
    if pid := state.supervisor_pid(instance):
        command = command_for("restart", pid, state.living_snapshot(instance).job)
        context.err.line(f"The running server keeps its settings until `{command}`")
