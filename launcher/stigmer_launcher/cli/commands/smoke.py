"""`stigmer smoke`: try the running stack as its payload says, by a gRPC call, a command, or not at all."""

import json
import time
from typing import Any

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.smoke_command import run_smoke_command
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.errors import DegradedError, SmokeError, StoppedError, UsageError
from stigmer_launcher.install.manifest import read_keg
from stigmer_launcher.install.payload import Payload, Proof
from stigmer_launcher.readiness import protowire
from stigmer_launcher.readiness.address import LOOPBACK, Address
from stigmer_launcher.readiness.channel import call
from stigmer_launcher.readiness.grpc import Reply
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.state import Instance, Snapshot, living_snapshot
from stigmer_launcher.system.places import find_places, installed_libexec

_MESSAGE = "hello"


def smoke(invocation: Invocation, context: Context) -> int:
    """Try the stack that runs; StoppedError when none does."""
    payload = read_keg(installed_libexec(context.environ)).payload
    kind = payload.smoke.kind
    if kind != "grpc" and invocation.value("message", ""):
        raise UsageError("--message is for a stack with a smoke call, and this one has none")
    state = living_snapshot(Instance(find_places(context.environ).run))
    if not state.supervisor_pid:
        raise StoppedError("the server does not run")
    if kind == "none":
        return _say_what_was_proven(payload, state, invocation, context)
    if kind == "command":
        return run_smoke_command(payload, state, context, as_json=invocation.has("json"))
    return _call(payload, state, invocation, context)


def _say_what_was_proven(payload: Payload, state: Snapshot, invocation: Invocation, context: Context) -> int:
    """Print what every service has proved instead; DegradedError when that does not hold for all of them."""
    if state.state != phases.RUNNING:
        missing = [each.name for each in state.services if each.state != phases.RUNNING]
        raise DegradedError(f"the server is {state.state}" + (f", without {', '.join(missing)}" if missing else ""))
    proven = {part.name: [_describe(proof) for proof in part.readiness.proofs] for part in payload.components}
    if invocation.has("json"):
        context.out.line(json.dumps({"smoke": "none", "proven": proven}))
        return 0
    said = "; ".join(f"{name}: {', '.join(proofs)}" for name, proofs in proven.items())
    context.out.line(f"smoke: none for this stack; every service has proved that it is ready ({said})")
    return 0


def _describe(proof: Proof) -> str:
    return f"pollers on {' '.join(proof.queues)}" if proof.kind == "pollers" else f"{proof.kind} on port {proof.port}"


def _call(payload: Payload, state: Snapshot, invocation: Invocation, context: Context) -> int:
    """Send a request, a JSON text in a protobuf string, and print its way and what came back."""
    asked = payload.smoke
    if asked.port not in state.ports:
        raise SmokeError(f"the server that runs has no port {asked.port}", "run `stigmer server restart`")
    message = invocation.value("message", _MESSAGE)
    request = protowire.text(1, json.dumps({"message": message}))
    began = time.monotonic()
    try:
        reply = call(Address(LOOPBACK, state.ports[asked.port]), asked.method, request, asked.seconds)
    except OSError as error:
        raise SmokeError(f"the server did not answer: {error.strerror or error}") from error
    answer = read_answer(reply)
    seconds = round(time.monotonic() - began, 3)
    if invocation.has("json"):
        context.out.line(json.dumps({**answer, "seconds": seconds}))
        return 0
    way = " -> ".join(map(str, answer.get("path", ())))
    context.out.line(f"{context.out.paint(context.out.mark('done'), 'green')} {way} in {seconds:g} s")
    context.out.line(f"  answer: {answer.get('message', '')}")
    context.out.line(f"  execution: {answer.get('execution', '')}")
    return 0


def read_answer(reply: Reply) -> dict[str, Any]:
    """Take the JSON out of a reply; SmokeError when it was refused or holds none."""
    if reply.message is None:
        raise SmokeError("the server refused the request")
    try:
        answer = json.loads(b"".join(protowire.strings(reply.message, 1)))
    except ValueError as error:
        raise SmokeError(f"the server's answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise SmokeError("the server's answer is not a JSON object")
    return answer
