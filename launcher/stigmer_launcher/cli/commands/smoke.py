"""`stigmer smoke`: runs the payload's smoke test against the running stack: a gRPC call, a command, or none."""

import json
import os
import re
import time
from collections.abc import Mapping
from signal import SIG_DFL, SIGCHLD, SIGKILL, signal
from typing import Any

from stigmer_launcher.cli.commands.services import require_running
from stigmer_launcher.cli.logtext import readable
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config import file, llm
from stigmer_launcher.errors import SmokeError, StoppedError, UsageError
from stigmer_launcher.install import versions
from stigmer_launcher.install.payload import Payload, Proof, Smoke, read_keg
from stigmer_launcher.launch import environment
from stigmer_launcher.launch.environment import ServiceCommand
from stigmer_launcher.readiness import channel, grpc
from stigmer_launcher.supervise import child, logfile, state
from stigmer_launcher.system import process
from stigmer_launcher.system.places import find_places, installed_libexec

_POLL_INTERVAL = 0.01  # seconds
_LARGEST = 1024 * 1024  # bytes kept of the output's end

Outcome = tuple[dict[str, Any], list[str]]  # the report for programs, and the lines for people


def smoke(invocation: Invocation, context: Context) -> int:
    """Run the smoke test, and print its outcome; StoppedError or DegradedError when not all services run."""
    payload = read_keg(installed_libexec(context.environ)).payload
    test, message = payload.smoke, invocation.value("message", "hello")
    if test.kind != "grpc" and invocation.value("message"):
        raise UsageError("--message is for a stack with a smoke call, and this one has none", "run `stigmer smoke`")
    snapshot = state.living_snapshot(state.Instance(find_places(context.environ).run))
    if not snapshot.supervisor_pid:
        raise StoppedError("the server is stopped")
    require_running(snapshot.services)  # a request that needs one of them would wait for it until its time is over
    began = time.monotonic()
    match test.kind:
        case "none":
            report, lines = _report_readiness(payload)
        case "command":
            report, lines = _run_command(payload, snapshot, context.environ)
        case _:
            report, lines = send_request(test, snapshot, message)
    if test.kind != "none":
        report["seconds"] = seconds = round(time.monotonic() - began, 3)
        lines[0] = f"{context.out.paint(context.out.mark('done'), 'green')} {lines[0]} in {seconds:g} s"
    for line in [json.dumps(report)] if invocation.has("json") else lines:
        context.out.line("\n".join(readable(part, colours=context.out.colour) for part in line.split("\n")))
    return 0


def _report_readiness(payload: Payload) -> Outcome:
    """Return the proofs of readiness of every service."""
    proven = {part.name: [_describe_proof(proof) for proof in part.readiness.proofs] for part in payload.components}
    said = "; ".join(f"{name}: {', '.join(proofs)}" for name, proofs in proven.items())
    line = f"smoke: none for this stack; every service has proved that it is ready ({said})"
    return {"smoke": "none", "proven": proven}, [line]


def _describe_proof(proof: Proof) -> str:
    return f"pollers on {' '.join(proof.queues)}" if proof.kind == "pollers" else f"{proof.kind} on port {proof.port}"


def send_request(test: Smoke, snapshot: state.Snapshot, message: str) -> Outcome:
    """Send a request, a JSON text in a protobuf string; return its path through the services and the answer."""
    if test.port not in snapshot.ports:
        raise SmokeError(f"the running server has no port {test.port}", "run `stigmer server restart`")
    request = grpc.encode({1: json.dumps({"message": message})})
    try:
        (reply,) = channel.ask(f"127.0.0.1:{snapshot.ports[test.port]}", [(test.method, request)], test.seconds)
    except OSError as error:
        raise SmokeError(f"the server did not answer: {error.strerror or error}") from error
    if reply is None:
        raise SmokeError("the server refused the request")
    try:
        answer = json.loads(b"".join(grpc.byte_strings(reply, 1)).decode())
    except (ValueError, RecursionError, grpc.ProtocolError) as error:
        raise SmokeError(f"the server's answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise SmokeError("the server's answer is not a JSON object")
    path = answer.get("path")
    route = " -> ".join(map(str, path)) if isinstance(path, list) else ""
    return answer, [route, f"  answer: {answer.get('message', '')}", f"  execution: {answer.get('execution', '')}"]


def _run_command(payload: Payload, snapshot: state.Snapshot, environ: Mapping[str, str]) -> Outcome:
    """Run the payload's smoke command, and return the last line of its output; SmokeError when it is not as expected."""
    test = payload.smoke
    command, secret = _command(payload, snapshot, environ)
    os.chdir(find_places(environ).home)  # where the services run
    shown = " ".join((test.component, *test.arguments))
    try:
        status, output = run(command, test.seconds)
    except OSError as error:
        raise SmokeError(f"{shown} failed: {error.strerror or error}") from error
    if secret:
        output = output.replace(secret, logfile.REDACTED)
    last = output.rpartition("\n")[2]
    if problem := judge(test, status, output):
        raise SmokeError(f"{shown} {problem}; its last line: {readable(last)}")
    return {"smoke": "command", "command": shown, "exit_code": test.exit_code, "output": last}, [shown, f"  {last}"]


def _command(payload: Payload, snapshot: state.Snapshot, environ: Mapping[str, str]) -> tuple[ServiceCommand, str]:
    """Return the smoke command with the component's environment, and its API key, unless that was typed at the start."""
    test, places = payload.smoke, find_places(environ)
    config = file.read_config(places.config)
    model = llm.find_llm(environ, config)
    named = next(part for part in payload.components if part.name == test.component)
    component = named._replace(arguments=test.arguments)
    ports = {**environment.ports_of(payload, config, {}), **snapshot.ports}
    external = "" if all(service.managed for service in snapshot.services) else snapshot.temporal
    values = environment.variables(places.home, ports, external, model, config, environ)
    directory = versions.directory_of(places, snapshot.installed)
    return environment.command_of(component, directory, values, payload.inherit, environ), model.api_key


def judge(test: Smoke, status: int, output: str) -> str:
    """Say how exit or output differ from the expected ones, empty when they do not; `status` is that of `waitpid`."""
    if os.waitstatus_to_exitcode(status) != test.exit_code:
        return f"{process.describe_exit(status)}, not with status {test.exit_code}"
    return "" if re.search(test.output, output) else f"printed nothing that matches {test.output!r}"


def run(command: ServiceCommand, seconds: float) -> tuple[int, str]:
    """Run a program and kill the rest of its group; return `waitpid`'s status and the output. TimeoutError after `seconds`."""
    signal(SIGCHLD, SIG_DFL)  # if ignored, as after `trap '' CHLD`, there is no status to wait for
    deadline = time.monotonic() + seconds
    pid, pipe = child.spawn(command.argv, command.env)
    output = b""
    with open(pipe, "rb", buffering=0) as stream:  # a read returns None while there is nothing yet
        try:
            # WNOWAIT: the process keeps its pid, and so its group, until the group has been killed.
            while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"did not end within {seconds:g} s")
                if data := stream.read(_LARGEST):
                    output = (output + data)[-_LARGEST:]
                else:
                    time.sleep(_POLL_INTERVAL)
        finally:
            process.signal_group(pid, SIGKILL)
            _, status = os.waitpid(pid, 0)
        output += stream.read(_LARGEST) or b""  # not to the end: a process that left the group may go on printing
    return status, output[-_LARGEST:].decode(errors="replace").strip()
