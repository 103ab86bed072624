"""`stigmer smoke`: try the running stack as its payload says, by a gRPC call, a command, or not at all."""

import json
import os
import re
import time
from collections import deque
from collections.abc import Mapping
from signal import SIGKILL
from typing import Any

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config import file, llm
from stigmer_launcher.errors import DegradedError, SmokeError, StoppedError, UsageError
from stigmer_launcher.install import manifest, versions
from stigmer_launcher.install.payload import Payload, Proof, Smoke
from stigmer_launcher.launch import environment
from stigmer_launcher.readiness import channel, grpc
from stigmer_launcher.supervise import child, phases, state
from stigmer_launcher.system import process
from stigmer_launcher.system.places import find_places, installed_libexec

_PAUSE = 0.01  # seconds between two looks at whether the program has ended
_CHUNK = 65536
_LARGEST = 1024 * 1024  # bytes of output that are kept, its end

Told = tuple[dict[str, Any], list[str]]
"""The report for programs, and its lines for people."""


def smoke(invocation: Invocation, context: Context) -> int:
    """Try the stack that runs; StoppedError when none does."""
    payload = manifest.read_keg(installed_libexec(context.environ)).payload
    asked, message = payload.smoke, invocation.value("message", "hello")
    if asked.kind != "grpc" and invocation.value("message"):
        raise UsageError("--message is for a stack with a smoke call, and this one has none")
    snapshot = state.living_snapshot(state.Instance(find_places(context.environ).run))
    if not snapshot.supervisor_pid:
        raise StoppedError("the server does not run")
    began = time.monotonic()
    if asked.kind == "none":
        report, lines = _tell_proven(payload, snapshot)
    else:
        if asked.kind == "command":
            report, lines = _run_command(payload, snapshot, context.environ)
        else:
            report, lines = call(asked, snapshot, message)
        report["seconds"] = seconds = round(time.monotonic() - began, 3)
        lines[0] = f"{context.out.paint(context.out.mark('done'), 'green')} {lines[0]} in {seconds:g} s"
    for line in [json.dumps(report)] if invocation.has("json") else lines:
        context.out.line(line)
    return 0


def _tell_proven(payload: Payload, snapshot: state.Snapshot) -> Told:
    """Tell what every service has proved instead; DegradedError when that does not hold for all of them."""
    if snapshot.state != phases.RUNNING:
        missing = [each.name for each in snapshot.services if each.state != phases.RUNNING]
        raise DegradedError(f"the server is {snapshot.state}" + (f", without {', '.join(missing)}" if missing else ""))
    proven = {part.name: [_describe(proof) for proof in part.readiness.proofs] for part in payload.components}
    said = "; ".join(f"{name}: {', '.join(proofs)}" for name, proofs in proven.items())
    line = f"smoke: none for this stack; every service has proved that it is ready ({said})"
    return {"smoke": "none", "proven": proven}, [line]


def _describe(proof: Proof) -> str:
    return f"pollers on {' '.join(proof.queues)}" if proof.kind == "pollers" else f"{proof.kind} on port {proof.port}"


def call(asked: Smoke, snapshot: state.Snapshot, message: str) -> Told:
    """Send a request, a JSON text in a protobuf string, and tell its way and what came back."""
    if asked.port not in snapshot.ports:
        raise SmokeError(f"the server that runs has no port {asked.port}", "run `stigmer server restart`")
    request = grpc.encode({1: json.dumps({"message": message})})
    try:
        (reply,) = channel.ask(f"127.0.0.1:{snapshot.ports[asked.port]}", [(asked.method, request)], asked.seconds)
    except OSError as error:
        raise SmokeError(f"the server did not answer: {error.strerror or error}") from error
    if reply is None:
        raise SmokeError("the server refused the request")
    try:
        answer = json.loads(b"".join(grpc.byte_strings(reply, 1)).decode())
    except (ValueError, grpc.ProtocolError) as error:
        raise SmokeError(f"the server's answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise SmokeError("the server's answer is not a JSON object")
    path = answer.get("path")
    way = " -> ".join(map(str, path)) if isinstance(path, list) else ""
    return answer, [way, f"  answer: {answer.get('message', '')}", f"  execution: {answer.get('execution', '')}"]


def _run_command(payload: Payload, snapshot: state.Snapshot, environ: Mapping[str, str]) -> Told:
    """Run the payload's smoke command, and tell the last line of its output; SmokeError when it is not as expected."""
    asked = payload.smoke
    command, secret = _command(payload, snapshot, environ)
    os.chdir(find_places(environ).home)  # where the services run
    shown = " ".join((asked.component, *asked.arguments))
    try:
        status, output = run(command, asked.seconds)
    except OSError as error:
        raise SmokeError(f"{shown} failed: {error.strerror or error}") from error
    if secret:
        output = output.replace(secret, "[redacted]")
    last = output.rpartition("\n")[2]
    if problem := judge(asked, status, output):
        raise SmokeError(f"{shown} {problem}; its last line: {last}")
    report = {"smoke": "command", "command": shown, "exit_code": asked.exit_code, "output": last}
    return report, [shown, f"  {last}"]


def _command(payload: Payload, snapshot: state.Snapshot, environ: Mapping[str, str]) -> tuple[environment.Command, str]:
    """Return the command as the component is run as a service, and the secret in it; one typed in at the start is not known."""
    asked, places = payload.smoke, find_places(environ)
    config = file.read_config(places.config)
    model = llm.find_llm(environ, config)
    named = next(part for part in payload.components if part.name == asked.component)
    component = named._replace(arguments=asked.arguments)
    numbers = {**environment.ports_of(payload, config, {}), **snapshot.ports}
    external = "" if all(service.managed for service in snapshot.services) else snapshot.temporal
    values = environment.variables(places.home, numbers, external, model, config, environ)
    directory = versions.directory_of(places, snapshot.installed)
    return environment.command_of(component, directory, values, payload.inherit, environ), model.api_key


def judge(asked: Smoke, status: int, output: str) -> str:
    """Say what was not as the payload asks for, nothing when all was; `status` is what `waitpid` gave."""
    if os.waitstatus_to_exitcode(status) != asked.exit_code:
        return f"{process.describe_exit(status)}, not with status {asked.exit_code}"
    return "" if re.search(asked.output, output) else f"printed nothing that matches {asked.output!r}"


def run(command: environment.Command, seconds: float) -> tuple[int, str]:
    """Run a program, kill what it leaves in its group, give `waitpid`'s status and the output; TimeoutError if too slow."""
    deadline = time.monotonic() + seconds
    pid, pipe = child.spawn(command.argv, command.env)
    output: deque[int] = deque(maxlen=_LARGEST)
    with open(pipe, "rb", buffering=0) as stream:  # it reads None when nothing is there yet
        try:
            # WNOWAIT: the process keeps its pid, and so its group, until the group has been killed.
            while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"did not end within {seconds:g} s")
                if data := stream.read(_CHUNK):
                    output.extend(data)
                else:
                    time.sleep(_PAUSE)
        finally:
            process.signal_group(pid, SIGKILL)
            _, status = os.waitpid(pid, 0)
        output.extend(stream.read(_LARGEST) or b"")  # not to its end: one that escaped may go on printing
    return status, bytes(output).decode(errors="replace").strip()
