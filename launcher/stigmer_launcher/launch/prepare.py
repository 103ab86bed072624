"""Prepares a launch: reads settings and key, checks ports, installs components.

All that can be checked is checked here, before anything runs and while the user may still be at the terminal.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from stigmer_launcher.config.file import Config, create_config, read_config
from stigmer_launcher.config.llm import Llm, ask_terminal, find_llm, require_key
from stigmer_launcher.install import versions
from stigmer_launcher.install.install import install
from stigmer_launcher.install.payload import Component, Keg, Payload, Proof, read_keg
from stigmer_launcher.install.preflight import START_SPACE, require_space
from stigmer_launcher.launch import environment
from stigmer_launcher.launch.database import named_database
from stigmer_launcher.launch.environment import ServiceCommand
from stigmer_launcher.launch.plan import Launch, ServiceLaunch, ServicePlan
from stigmer_launcher.readiness.checks import ResolvedProof
from stigmer_launcher.system.places import Places, find_places, installed_libexec, prepare_home, user_name
from stigmer_launcher.system.ports import require_free
from stigmer_launcher.system.process import RUN_TOKEN


def prepare(
    environ: Mapping[str, str],
    asked_ports: Mapping[str, int],
    kept_ports: Mapping[str, int],
    report: Callable[[str], None],
    *,
    in_use: Callable[[], Iterable[str]] = tuple,
    installing: Callable[[], None] = lambda: None,
    held_ports: Collection[int] = (),
) -> tuple[Launch, bool]:
    """Check everything; return the launch, and whether components were installed. LauncherError when it cannot start.

    `in_use` returns the versions to keep; `installing` is called before the installation, after the last prompt. The
    `held_ports` of a running or killed server are checked later, when it has ended. The `asked_ports` of the command line
    override the `kept_ports` of an earlier one; those of `kept_ports` that the keg does not have are ignored.
    """
    places = find_places(environ)
    config = read_config(places.config)
    llm = require_key(find_llm(environ, config), ask_terminal)
    keg = read_keg(installed_libexec(environ))
    known = {name for part in keg.payload.components for name, _ in part.ports}
    kept = {name: port for name, port in kept_ports.items() if name in known}
    launch = _compose(keg, config, llm, {**kept, **asked_ports}, places, environ)
    require_free({name: port for name, port in launch.ports.items() if port not in held_ports})
    installing()
    installed = install(keg, places, report, in_use=in_use)
    if create_config(places):
        report(f"Created {places.config}")
    directories = (directory for service in launch.services.values() for directory in service.directories)
    prepare_home(places.home, places.logs, *directories)
    require_space(places.home, START_SPACE, "databases and logs")
    return launch, installed


def _compose(
    keg: Keg, config: Config, llm: Llm, asked_ports: Mapping[str, int], places: Places, environ: Mapping[str, str]
) -> Launch:
    """Compose the launch of a keg's components, with the values of every variable filled in."""
    user = environ.get("USER") or user_name(os.geteuid())  # /etc/passwd, where Temporal looks, may not have the user
    home = environ.get("HOME") or os.path.expanduser(f"~{user}")
    environ = {**environ, "USER": user, "HOME": home if os.path.isabs(home) else places.home}
    payload, token = keg.payload, os.urandom(16).hex()
    external = environment.external_address(payload.components, config, environ)
    ports = environment.ports_of(payload, config, asked_ports)
    values = environment.variables(places.home, ports, external, llm, config, environ)
    directory = versions.directory_of(places, keg.id)
    services: dict[str, ServiceLaunch] = {}
    for part in payload.components:
        command = environment.command_of(part, directory, values, payload.inherit, environ)
        command.env[RUN_TOKEN] = token
        services[part.name] = _service(part, command, payload, values, managed=not (external and part.external))
    managed = (part for part in payload.components if services[part.name].plan.managed)
    return Launch(
        version=payload.version, version_id=keg.id, directory=directory, places=places, token=token,
        ports={name: ports[name] for part in managed for name, _ in part.ports}, asked_ports=asked_ports,
        temporal=values["temporal.address"], secrets=tuple(filter(None, (llm.api_key,))),
        services=services, restart=payload.restart,
    )  # fmt: skip


def _service(
    part: Component, command: ServiceCommand, payload: Payload, values: Mapping[str, str], *, managed: bool
) -> ServiceLaunch:
    needs = part.needs if managed else ()  # an external service may run without ours, and is never restarted
    plan = ServicePlan(part.name, needs, part.stop_order, part.grace, part.readiness.seconds, managed, part.liveness)
    port = int(values[f"port.{part.ports[0][0]}"]) if part.ports else 0
    proofs = tuple(_resolve(proof, payload, values, managed=managed) for proof in part.readiness.proofs)
    database = named_database(command.argv, values["home"]) if managed else ""
    directories = tuple(_directories(part, values))
    return ServiceLaunch(plan, part.version, command.argv, command.env, port, proofs, database, directories)


def _resolve(proof: Proof, payload: Payload, values: Mapping[str, str], *, managed: bool) -> ResolvedProof:
    """Return the proof with its address, on our port or Temporal's, and with its namespace and queues."""
    at_temporal = not managed or proof.kind == "pollers"
    address = values["temporal.address"] if at_temporal else f"127.0.0.1:{values[f'port.{proof.port}']}"
    # Any queue that is polled, where the proof has none: Temporal can describe it in every usable namespace.
    polled = (queue for part in payload.components for each in part.readiness.proofs for queue in each.queues)
    return ResolvedProof(proof.kind, address, values["temporal.namespace"], proof.queues or (next(polled, "stigmer"),))


def _directories(part: Component, values: Mapping[str, str]) -> Iterator[str]:
    """Yield the directory of every file below the home that the arguments or environment of a component name."""
    for text in (*part.arguments, *(value for _, value in part.environment)):
        if text.startswith(("{home}/", "{home.relative}/")):
            yield os.path.dirname(os.path.join(values["home"], environment.fill(text, values, part)))
