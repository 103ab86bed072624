"""`stigmer smoke`: one request through all services. The message is a JSON text in a protobuf string, both ways."""

import json
import sys
import time

from stigmer_launcher import protowire
from stigmer_launcher.channel import call
from stigmer_launcher.context import Context
from stigmer_launcher.errors import LauncherError, StoppedError
from stigmer_launcher.grpc import Reply
from stigmer_launcher.instance import Instance, living_state
from stigmer_launcher.inventory import read_keg
from stigmer_launcher.launch import Address
from stigmer_launcher.parse import Invocation
from stigmer_launcher.places import find_libexec, find_places
from stigmer_launcher.prepare import LOOPBACK
from stigmer_launcher.typed import Any

_MESSAGE = "hello"
# Source: gRPC's status codes.
_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


class SmokeError(LauncherError):
    """The request did not come back as it should."""

    remedy = "run `stigmer server status` and `stigmer server logs`"


def smoke(invocation: Invocation, context: Context) -> int:
    """Send a request, and print its way and what came back."""
    frozen = bool(getattr(sys, "frozen", False))
    asked = read_keg(find_libexec(context.environ, sys.executable, frozen=frozen)).payload.smoke
    state = living_state(Instance(find_places(context.environ).run))
    if asked.port not in state.get("ports", {}):
        raise StoppedError("the server does not run")
    message = invocation.value("message", _MESSAGE)
    request = protowire.text(1, json.dumps({"message": message}))
    began = time.monotonic()
    try:
        reply = call(Address(LOOPBACK, state["ports"][asked.port]), asked.method, request, asked.seconds)
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
        raise SmokeError(f"the server refused the request{_reason(reply.headers)}")
    try:
        answer = json.loads(b"".join(protowire.strings(reply.message, 1)))
    except ValueError as error:
        raise SmokeError(f"the server's answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise SmokeError("the server's answer is not a JSON object")
    return answer


def _reason(headers: bytes) -> str:
    """Give `: CODE: message` out of a refusal's header block, as far as it can be read."""
    from urllib.parse import unquote

    from stigmer_launcher.hpack import literal_fields

    try:
        fields = literal_fields(headers)
    except ValueError:
        return ""
    code = fields.get("grpc-status", "")
    name = _CODES[int(code)] if code.isdigit() and int(code) < len(_CODES) else code
    return "".join(f": {text}" for text in (name, unquote(fields.get("grpc-message", ""))) if text)
