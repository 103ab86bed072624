"""`stigmer smoke` by a command: a component's executable, run as the service is, judged by exit code and output."""

import json
import os
import re
import select
import time
from collections.abc import Mapping
from signal import SIGKILL
from typing import NamedTuple

from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config.file import Config, read_config
from stigmer_launcher.config.llm import Llm, find_llm
from stigmer_launcher.errors import SmokeError
from stigmer_launcher.install import versions
from stigmer_launcher.install.payload import Payload, Smoke
from stigmer_launcher.launch.endpoints import external_address, namespace_of, ports_of
from stigmer_launcher.launch.environment import Command, command_of, variables
from stigmer_launcher.supervise.child import spawn
from stigmer_launcher.supervise.state import Snapshot
from stigmer_launcher.system.places import Places, find_places
from stigmer_launcher.system.process import describe_exit, signal_group

_PAUSE = 50  # milliseconds between two looks at whether the program has ended
_CHUNK = 65536
_LARGEST = 1024 * 1024  # bytes of output that are kept, its end


class Ended(NamedTuple):
    """How a program ended: the status that `waitpid` gave, and what it printed."""

    status: int
    output: str


def run_smoke_command(payload: Payload, state: Snapshot, context: Context, *, as_json: bool) -> int:
    """Run the payload's smoke command, and print the last line of its output; SmokeError when it is not as expected."""
    asked, places = payload.smoke, find_places(context.environ)
    config = read_config(places.config)
    llm = find_llm(context.environ, config)
    command = _command(payload, state, places, context.environ, config, llm)
    os.chdir(places.home)  # where the services run
    shown = " ".join((asked.component, *asked.arguments))
    began = time.monotonic()
    try:
        ended = run(command, asked.seconds)
    except OSError as error:
        raise SmokeError(f"{shown} {_reason(error)}") from error
    seconds = round(time.monotonic() - began, 3)
    output = ended.output.replace(llm.api_key, "[redacted]") if llm.api_key else ended.output
    last = output.rpartition("\n")[2]
    if problem := judge(asked, Ended(ended.status, output)):
        raise SmokeError(f"{shown} {problem}; its last line: {last}")
    if as_json:
        report = {"smoke": "command", "command": shown, "exit_code": asked.exit_code, "output": last}
        context.out.line(json.dumps({**report, "seconds": seconds}))
        return 0
    context.out.line(f"{context.out.paint(context.out.mark('done'), 'green')} {shown} in {seconds:g} s")
    context.out.line(f"  {last}")
    return 0


def judge(asked: Smoke, ended: Ended) -> str:
    """Say what was not as the payload asks for, nothing when all was."""
    if os.waitstatus_to_exitcode(ended.status) != asked.exit_code:
        return f"{describe_exit(ended.status)}, not with status {asked.exit_code}"
    return "" if re.search(asked.output, ended.output) else f"printed nothing that matches {asked.output!r}"


def run(command: Command, seconds: float) -> Ended:
    """Run a program to its end, and kill what it leaves in its process group; TimeoutError when it takes too long."""
    deadline = time.monotonic() + seconds
    child = spawn(command.argv, command.env)
    output = bytearray()
    waiting = select.poll()
    waiting.register(child.output, select.POLLIN)
    try:
        # WNOWAIT: the process keeps its pid, and so its group, until the group has been killed.
        while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() > deadline:
                raise TimeoutError(f"did not end within {seconds:g} s")
            if waiting.poll(_PAUSE) and not _read(child.output, output):
                waiting.unregister(child.output)
    finally:
        signal_group(child.pid, SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        _read(child.output, output)
        os.close(child.output)
    return Ended(status, output.decode(errors="replace").strip())


def _reason(error: OSError) -> str:
    return str(error) if isinstance(error, TimeoutError) else f"could not be run: {error.strerror}"


def _read(descriptor: int, output: bytearray) -> bool:
    """Read what has been printed; False at the end of the output."""
    try:
        while data := os.read(descriptor, _CHUNK):
            output += data
            del output[:-_LARGEST]
    except BlockingIOError:
        return True
    return False


def _command(
    payload: Payload, state: Snapshot, places: Places, environ: Mapping[str, str], config: Config, llm: Llm
) -> Command:
    """Return the command with the environment that the component gets as a service; a key typed in at the start is not known."""
    asked = payload.smoke
    component = next(part for part in payload.components if part.name == asked.component)
    numbers = {**ports_of(payload, config, {}), **state.ports}
    external = (external_address(part, config, environ) for part in payload.components)
    namespace = namespace_of(environ, next(filter(None, external), ""))
    values = variables(places.home, numbers, state.temporal, namespace, llm, config)
    directory = versions.directory_of(places, state.installed)
    return command_of(component._replace(arguments=asked.arguments), directory, values, payload.inherit, environ)
