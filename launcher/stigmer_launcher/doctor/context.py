"""What doctor's looks share: where things are, what could be read of them, and what a supervisor has written down."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.schema import address
from stigmer_launcher.install.manifest import Keg
from stigmer_launcher.system.places import Places


class WrittenService(NamedTuple):
    """One service as the supervisor wrote it down last."""

    name: str
    state: str
    pid: int
    identity: str
    restarts: int
    version: str
    last_error: str


class Written(NamedTuple):
    """The state file, with nothing in it that is not of its kind: doctor is run when things are broken."""

    supervisor_pid: int
    state: str
    version: str
    installed: str
    temporal: str
    ports: Mapping[str, int]
    services: tuple[WrittenService, ...]


class DoctorContext(NamedTuple):
    """The instance that is looked at; `supervisor` is the pid of the living one or 0, `deep` how hard to look."""

    places: Places
    environ: Mapping[str, str]
    keg: Keg | None
    config: Config
    written: Written
    supervisor: int
    deep: bool


def understand(state: Mapping[str, Any]) -> Written:
    """Take from a state what makes sense; the rest is empty or zero."""
    ports, services = state.get("ports"), state.get("services")
    return Written(
        _number(state, "supervisor_pid"),
        _text(state, "state"),
        _text(state, "version"),
        _text(state, "installed"),
        _address(state, "temporal"),
        {name: _number(ports, name) for name in ports if _number(ports, name)} if isinstance(ports, dict) else {},
        tuple(_service(each) for each in services if isinstance(each, dict)) if isinstance(services, list) else (),
    )


def _service(plain: Mapping[str, Any]) -> WrittenService:
    return WrittenService(
        _text(plain, "name"),
        _text(plain, "state"),
        _number(plain, "pid"),
        _text(plain, "identity"),
        _number(plain, "restarts"),
        _text(plain, "version"),
        _text(plain, "last_error"),
    )


def _text(plain: Mapping[str, Any], key: str) -> str:
    value = plain.get(key)
    return value if isinstance(value, str) else ""


def _address(plain: Mapping[str, Any], key: str) -> str:
    try:
        return address(_text(plain, key))
    except ValueError:
        return ""


def _number(plain: Mapping[str, Any], key: str) -> int:
    value = plain.get(key)
    return value if isinstance(value, int) and value > 0 else 0
