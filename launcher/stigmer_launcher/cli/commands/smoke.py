"""`stigmer smoke`: try the running stack as its payload says, by a gRPC call, a command, or not at all."""

import json
import os
import re
import select
import time
from collections.abc import Mapping
from signal import SIGKILL
from typing import Any, NamedTuple

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config.file import read_config
from stigmer_launcher.config.llm import Llm, find_llm
from stigmer_launcher.errors import DegradedError, SmokeError, StoppedError, UsageError
from stigmer_launcher.install import versions
from stigmer_launcher.install.manifest import read_keg
from stigmer_launcher.install.payload import Payload, Proof, Smoke
from stigmer_launcher.launch import environment
from stigmer_launcher.launch.environment import Command
from stigmer_launcher.readiness import protowire
from stigmer_launcher.readiness.channel import ask
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.child import spawn
from stigmer_launcher.supervise.state import Instance, Snapshot, living_snapshot
from stigmer_launcher.system.places import find_places, installed_libexec
from stigmer_launcher.system.process import describe_exit, signal_group

_MESSAGE = "hello"
_SHOWN = (("answer", "message"), ("execution", "execution"))
_PAUSE = 50  # milliseconds between two looks at whether the program has ended
_CHUNK = 65536
_LARGEST = 1024 * 1024  # bytes of output that are kept, its end


class Ended(NamedTuple):
    """How a program ended: the status that `waitpid` gave, and what it printed."""

    status: int
    output: str


def smoke(invocation: Invocation, context: Context) -> int:
    """Try the stack that runs; StoppedError when none does."""
    payload = read_keg(installed_libexec(context.environ)).payload
    kind = payload.smoke.kind
    if kind != "grpc" and invocation.value("message", ""):
        raise UsageError("--message is for a stack with a smoke call, and this one has none")
    state = living_snapshot(Instance(find_places(context.environ).run))
    if not state.supervisor_pid:
        raise StoppedError("the server does not run")
    began = time.monotonic()
    if kind == "none":
        report, lines = _tell_proven(payload, state)
    elif kind == "command":
        report, lines = _run_command(payload, state, context.environ)
    else:
        report, lines = _call(payload.smoke, state, invocation.value("message", _MESSAGE))
    if kind != "none":
        report["seconds"] = seconds = round(time.monotonic() - began, 3)
        lines[0] = f"{context.out.paint(context.out.mark('done'), 'green')} {lines[0]} in {seconds:g} s"
    for line in [json.dumps(report)] if invocation.has("json") else lines:
        context.out.line(line)
    return 0


def _tell_proven(payload: Payload, state: Snapshot) -> tuple[dict[str, Any], list[str]]:
    """Tell what every service has proved instead; DegradedError when that does not hold for all of them."""
    if state.state != phases.RUNNING:
        missing = [each.name for each in state.services if each.state != phases.RUNNING]
        raise DegradedError(f"the server is {state.state}" + (f", without {', '.join(missing)}" if missing else ""))
    proven = {part.name: [_describe(proof) for proof in part.readiness.proofs] for part in payload.components}
    said = "; ".join(f"{name}: {', '.join(proofs)}" for name, proofs in proven.items())
    line = f"smoke: none for this stack; every service has proved that it is ready ({said})"
    return {"smoke": "none", "proven": proven}, [line]


def _describe(proof: Proof) -> str:
    return f"pollers on {' '.join(proof.queues)}" if proof.kind == "pollers" else f"{proof.kind} on port {proof.port}"


def _call(asked: Smoke, state: Snapshot, message: str) -> tuple[dict[str, Any], list[str]]:
    """Send a request, a JSON text in a protobuf string, and tell its way and what came back."""
    if asked.port not in state.ports:
        raise SmokeError(f"the server that runs has no port {asked.port}", "run `stigmer server restart`")
    request = protowire.encode({1: json.dumps({"message": message})})
    try:
        (reply,) = ask(f"127.0.0.1:{state.ports[asked.port]}", [(asked.method, request)], asked.seconds)
    except OSError as error:
        raise SmokeError(f"the server did not answer: {error.strerror or error}") from error
    answer = read_answer(reply)
    way = " -> ".join(map(str, answer.get("path", ())))
    return answer, [way, *(f"  {name}: {answer.get(key, '')}" for name, key in _SHOWN)]


def read_answer(reply: bytes | None) -> dict[str, Any]:
    """Take the JSON out of a reply; SmokeError when it was refused or holds none."""
    if reply is None:
        raise SmokeError("the server refused the request")
    try:
        answer = json.loads(b"".join(protowire.strings(reply, 1)))
    except (ValueError, protowire.ProtocolError) as error:
        raise SmokeError(f"the server's answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise SmokeError("the server's answer is not a JSON object")
    return answer


def _run_command(payload: Payload, state: Snapshot, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Run the payload's smoke command, and tell the last line of its output; SmokeError when it is not as expected."""
    asked, home = payload.smoke, find_places(environ).home
    command, llm = _command(payload, state, environ)
    os.chdir(home)  # where the services run
    shown = " ".join((asked.component, *asked.arguments))
    try:
        ended = run(command, asked.seconds)
    except TimeoutError as error:
        raise SmokeError(f"{shown} {error}") from error
    except OSError as error:
        raise SmokeError(f"{shown} could not be run: {error.strerror}") from error
    output = ended.output.replace(llm.api_key, "[redacted]") if llm.api_key else ended.output
    last = output.rpartition("\n")[2]
    if problem := judge(asked, Ended(ended.status, output)):
        raise SmokeError(f"{shown} {problem}; its last line: {last}")
    report = {"smoke": "command", "command": shown, "exit_code": asked.exit_code, "output": last}
    return report, [shown, f"  {last}"]


def _command(payload: Payload, state: Snapshot, environ: Mapping[str, str]) -> tuple[Command, Llm]:
    """Return the command as the component is run as a service; a key typed in at the start is not known."""
    asked, places = payload.smoke, find_places(environ)
    config = read_config(places.config)
    llm = find_llm(environ, config)
    component = next(part for part in payload.components if part.name == asked.component)
    numbers = {**environment.ports_of(payload, config, {}), **state.ports}
    namespace = environment.namespace_of(environ, environment.external_address(payload.components, config, environ))
    values = environment.variables(places.home, numbers, state.temporal, namespace, llm, config)
    directory = versions.directory_of(places, state.installed)
    component = component._replace(arguments=asked.arguments)
    return environment.command_of(component, directory, values, payload.inherit, environ), llm


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


def _read(descriptor: int, output: bytearray) -> bool:
    """Read what has been printed; False at the end of the output."""
    try:
        while data := os.read(descriptor, _CHUNK):
            output += data
            del output[:-_LARGEST]
    except BlockingIOError:
        return True
    return False
