"""The payload of a keg: its components, their files, and how each is run, as its index `libexec/payload.json` lists them.

Packaging writes the index (`bottle.index`) from the types of this module.
"""

import hashlib
import json
import os
from typing import Any, NamedTuple

from stigmer_launcher.errors import KegError

FORMAT = 3


class FileEntry(NamedTuple):
    """One file below the components directory: relative path, size in bytes, sha256 in hex, permission bits."""

    path: str
    size: int
    sha256: str
    mode: int


class Proof(NamedTuple):
    """One condition for a component to count as ready, checked at a named port.

    `port`: a TCP connection is accepted; `grpc`: an HTTP/2 handshake; `temporal`: `grpc.health.v1` answers SERVING and the
    namespace can be used; `pollers`: every queue has a poller of ours.
    """

    kind: str
    port: str
    queues: tuple[str, ...] = ()


class Readiness(NamedTuple):
    """The proofs of a component's readiness, in order, and the seconds it may take for all of them."""

    seconds: float
    proofs: tuple[Proof, ...]


class Liveness(NamedTuple):
    """Liveness of a ready component: its first proof is checked again after `every` seconds, and must hold within `timeout`.

    After one failure the component is degraded; after `failures` in a row it is restarted.
    """

    every: float = 30.0
    timeout: float = 5.0
    failures: int = 3


class Restart(NamedTuple):
    """Backoff: the pause in seconds before a component is started again doubles with each crash in the `window`.

    While the stack starts, more than `limit` crashes in the window end the start; once it runs, there is no limit.
    """

    first_pause: float = 0.5
    longest_pause: float = 30.0
    window: float = 600.0
    limit: int = 5


class Component(NamedTuple):
    """One service: its files, and how it is started, judged ready and stopped.

    `entry` is the executable's path in the components directory. `ports` maps a port's name to its default number.
    `arguments` and `environment` may hold variables such as `{home}`, which `launch.environment.variables` lists; an
    environment variable with an empty value is not set. `needs` names the components that must be ready before this one
    starts, also those that it needs through others. `override` is the environment variable that names another executable;
    `external`, the one with the address of an external service, for which this component is not started. Components stop
    from the highest `stop_order` down; `grace` is in seconds.
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
    """The smoke test of the whole stack, by `kind`; the fields of the other kinds are empty.

    `grpc`: a unary call of `method` at the named `port`, one protobuf string in and one out; `command`: a component's
    executable with `arguments`, which may hold variables, must exit with `exit_code` and print a match of the regular
    expression `output`; `none`: the proofs of readiness suffice. `seconds` is the timeout of the first two.
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
    """The content of one keg. `inherit` names the variables of the user's environment that services inherit."""

    name: str
    version: str
    target: str
    inherit: tuple[str, ...]
    smoke: Smoke
    components: tuple[Component, ...]
    restart: Restart = Restart()


class Keg(NamedTuple):
    """One installed version: its libexec, its id (version and 12 hex digits of the index), its payload."""

    libexec: str
    id: str
    payload: Payload

    def source(self, path: str) -> str:
        """Return the path of a component's file in the keg."""
        return f"{self.libexec}/components/{path}"


def read_keg(libexec: str) -> Keg:
    """Read the keg's index; KegError when it is missing or damaged."""
    path = os.path.join(libexec, "payload.json")
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        payload = parse_payload(content.decode())
    except OSError as error:
        raise KegError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise KegError(f"{path} is damaged: {error}") from error
    return Keg(libexec, f"{payload.version}-{hashlib.sha256(content).hexdigest()[:12]}", payload)


def files_of(payload: Payload) -> tuple[FileEntry, ...]:
    """Return every file of every component, once."""
    return tuple({entry.path: entry for component in payload.components for entry in component.files}.values())


def parse_payload(text: str) -> Payload:
    """Parse the index; ValueError when it has another format or is incomplete."""
    plain = json.loads(text)
    if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
        raise ValueError(f"not a payload index of format {FORMAT}")
    try:
        payload: Payload = _from_plain(Payload, plain)
    except (TypeError, KeyError) as error:
        raise ValueError(f"the payload index is incomplete: {error}") from error
    return payload


def _from_plain(kind: Any, plain: Any) -> Any:
    """Convert plain JSON to the annotated type `kind`: an object to a record, an array to a tuple, a row to a FileEntry."""
    if kind is FileEntry:
        return FileEntry._make(plain)
    if kind in (str, int, float):
        return plain
    if isinstance(kind, type):
        return kind(**plain | {name: _from_plain(field, plain[name]) for name, field in kind.__annotations__.items()})
    item = kind.__args__[0]
    return tuple(plain if item is str else [_from_plain(item, each) for each in plain])
