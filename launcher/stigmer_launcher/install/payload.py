"""The payload's index: which components a keg carries, their files, and how each is run.

`libexec/payload.json` is the one tie between packaging, which writes it, and the launcher, which reads it.
"""

import json
from functools import partial
from typing import Any, NamedTuple

FORMAT = 3


class FileEntry(NamedTuple):
    """One file below the components directory: relative path, size in bytes, sha256 in hex, permission bits."""

    path: str
    size: int
    sha256: str
    mode: int


class Proof(NamedTuple):
    """One thing a component must show before it counts as ready, at a named port.

    `port`: a TCP connection is accepted; `grpc`: an HTTP/2 handshake; `temporal`: `grpc.health.v1` answers SERVING and the
    namespace can be used; `pollers`: every queue has a poller of ours.
    """

    kind: str
    port: str
    queues: tuple[str, ...] = ()


class Readiness(NamedTuple):
    """The proofs a component must pass together, in the order they are asked for, and how many seconds it may take."""

    seconds: float
    proofs: tuple[Proof, ...]


class Liveness(NamedTuple):
    """How a component that is ready is looked after: every so many seconds it must pass its first proof again.

    One that does not within the `timeout` is degraded; after so many `failures` in a row it is restarted.
    """

    every: float = 30.0
    timeout: float = 5.0
    failures: int = 3


class Restart(NamedTuple):
    """The pauses in seconds before a component is started again, doubled for each crash in the `window`.

    While the stack starts, more than `limit` crashes in the window end the start; once it runs, nothing is given up.
    """

    first_pause: float = 0.5
    longest_pause: float = 30.0
    window: float = 600.0
    limit: int = 5


class Component(NamedTuple):
    """One service: its files, and how it is started, judged ready and stopped.

    `entry` is the executable's path in the components directory. `ports` maps a port's name to its default number.
    `arguments` and `environment` may hold `{home}`, `{home.relative}` (the same, from the directory services run in: for
    what a program reads as a URI), `{port.NAME}`, `{temporal.address}`, `{temporal.namespace}`,
    `{llm.provider}`, `{llm.model}`, `{llm.base_url}`, `{llm.api_key}`, and `{execution.mode}`, `{execution.sandbox_image}`,
    `{execution.auto_pull}`, `{execution.cleanup}`, `{execution.ttl}` where config.yaml says so; a variable of the
    environment that comes out empty is not set.
    `needs` names the components that must be ready before this one starts. `override` is the environment variable that
    names another executable to run; `external`, the one that names an address served by somebody else, so that this
    component is not started. Stopping goes from the highest `stop_order` down, `grace` is in seconds.
    """

    name: str
    version: str
    entry: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...]
    needs: tuple[str, ...]
    readiness: Readiness
    stop_order: int
    grace: float
    override: str
    external: str
    files: tuple[FileEntry, ...]
    liveness: Liveness = Liveness()


class Smoke(NamedTuple):
    """How the whole stack is tried, by `kind`; the fields of the other kinds are empty.

    `grpc`: a unary call of `method` at the named `port`, one protobuf string in and one out; `command`: a
    component's executable with `arguments`, which may hold variables, must end with `exit_code` and print what the regular
    expression `output` finds; `none`: the proofs of readiness must do. The first two may take so many `seconds`.
    """

    kind: str
    seconds: float = 0.0
    method: str = ""
    port: str = ""
    component: str = ""
    arguments: tuple[str, ...] = ()
    exit_code: int = 0
    output: str = ""


class Payload(NamedTuple):
    """What one keg carries. `inherit` names the variables of the user's environment that services may see."""

    name: str
    version: str
    target: str
    inherit: tuple[str, ...]
    smoke: Smoke
    components: tuple[Component, ...]
    restart: Restart = Restart()


def render_payload(payload: Payload) -> str:
    """Return the index as JSON text, the same for equal payloads."""
    return json.dumps({"format": FORMAT, **_plain(payload)}, indent=1, sort_keys=True) + "\n"


def parse_payload(text: str) -> Payload:
    """Read the index; raise ValueError when it is of another format or not whole."""
    plain = json.loads(text)
    if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
        raise ValueError(f"not a payload index of format {FORMAT}")
    try:
        payload: Payload = _read(Payload, plain)
    except (TypeError, KeyError) as error:
        raise ValueError(f"the payload index is not whole: {error}") from error
    return payload


def _read(kind: Any, plain: Any) -> Any:
    """Make what an annotation says of what JSON knows: a record of an object, a tuple of an array, a file of a row."""
    if kind in (str, int, float):
        return plain
    if hasattr(kind, "_fields"):
        return kind(**plain | {name: _read(field, plain[name]) for name, field in kind.__annotations__.items()})
    item = kind.__args__[0]
    return tuple(map(FileEntry._make if item is FileEntry else partial(_read, item), plain))


def _plain(value: Any) -> Any:
    """Turn records into what JSON knows: a file into a row, because there are many, others into objects."""
    if isinstance(value, tuple) and not isinstance(value, FileEntry):
        if hasattr(value, "_asdict"):
            return {name: _plain(each) for name, each in value._asdict().items()}
        return [_plain(each) for each in value]
    return value
