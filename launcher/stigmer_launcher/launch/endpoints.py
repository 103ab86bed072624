"""Ports of the services and the address of Temporal. Command line overrides environment, file, default. Pure."""

from collections.abc import Iterable, Mapping

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.schema import address as read_address
from stigmer_launcher.errors import ConfigError, UsageError
from stigmer_launcher.install.payload import Component, Payload

_MANAGED, _ADDRESS = "backend.local.temporal.managed", "backend.local.temporal.address"


def ports_of(payload: Payload, config: Config, chosen: Mapping[str, int]) -> dict[str, int]:
    """Return the number of every port by its name; `chosen` comes from the command line. ConfigError when two are equal.

    UsageError when the command line names a port that does not exist.
    """
    defaults = {name: default for component in payload.components for name, default in component.ports}
    if unknown := [name for name in chosen if name not in defaults]:
        raise UsageError(f"there is no port {unknown[0]}; there are {', '.join(defaults)}")
    ports: dict[str, int] = {}
    for name, default in defaults.items():
        filed = config.find(f"ports.{name}")
        number = chosen.get(name) or (int(filed.value) if filed else default)
        if taken := next((other for other, used in ports.items() if used == number), ""):
            remedy = f"choose another one: `stigmer config set ports.{name} NUMBER`"
            raise ConfigError(f"the ports {taken} and {name} are both {number}", remedy)
        ports[name] = number
    return ports


def external_address(components: Iterable[Component], config: Config, environ: Mapping[str, str]) -> str:
    """Return the address of somebody else's Temporal when it is to be used instead of a component, else nothing.

    The environment decides first. In the file an address alone means somebody else's; `managed: true` overrules it, and
    a `temporal:` that says neither means ours, to be started and stopped by us.
    """
    variable = next((component.external for component in components if component.external), "")
    if not variable:
        return ""
    if named := environ.get(variable, ""):
        try:
            return read_address(named)
        except ValueError as error:
            text = f"invalid value {named!r} for {variable}: expected {error}"
            raise ConfigError(text, "correct the variable or unset it") from None
    found, said = config.text(_ADDRESS), config.find(_MANAGED)
    managed = said.value if said else not found
    if not managed and not found:
        where, remedy = config.where(_MANAGED), f"run `stigmer config set {_ADDRESS} HOST:PORT`"
        raise ConfigError(f"{where}: managed is false, and there is no address", remedy)
    return "" if managed else found


def namespace_of(environ: Mapping[str, str], external: str) -> str:
    """Return the namespace to use; the user's variable names one of the `external` Temporal, ours has its default alone."""
    return (environ.get("TEMPORAL_NAMESPACE") if external else "") or "default"
