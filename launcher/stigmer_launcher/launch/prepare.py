"""Prepares a launch: reads settings and key, checks ports, installs components.

What can fail fails here, before anything runs and while the user may still be at the terminal.
"""

import os
from collections.abc import Callable, Iterable, Mapping

from stigmer_launcher.config.file import read_config, write_first
from stigmer_launcher.config.llm import ask_terminal, find_llm, require_key
from stigmer_launcher.install import payload
from stigmer_launcher.install.install import Installation, install
from stigmer_launcher.install.manifest import read_keg
from stigmer_launcher.install.payload import Component, Payload
from stigmer_launcher.install.preflight import require_room
from stigmer_launcher.launch.endpoints import external_address, namespace_of, ports_of
from stigmer_launcher.launch.environment import HERE, command_of, executable_of, variables
from stigmer_launcher.launch.plan import Launch, Plan, ServiceLaunch
from stigmer_launcher.readiness.address import LOOPBACK, Address, parse_address
from stigmer_launcher.readiness.checks import Proof
from stigmer_launcher.system.places import Places, explain, installed_libexec
from stigmer_launcher.system.ports import require_free
from stigmer_launcher.system.process import RUN_TOKEN

Report = Callable[[str], None]


def prepare(
    environ: Mapping[str, str],
    places: Places,
    ports: Mapping[str, int],
    report: Report,
    *,
    in_use: Callable[[], Iterable[str]] = tuple,
    installing: Callable[[], None] = lambda: None,
    leftovers: bool = False,
) -> tuple[Launch, bool]:
    """Check everything; give what is to run, and whether components were made. Any LauncherError: nothing runs then.

    `in_use` gives the versions that must stay; `installing` is called once every question is answered. With `leftovers`
    of a killed server the ports are checked later, when those have ended.
    """
    config = read_config(places.config)
    llm = require_key(find_llm(environ, config), ask_terminal)
    keg = read_keg(installed_libexec(environ))
    components = keg.payload.components
    external = {part.name: external_address(part, config, environ) for part in components}
    for part in components:
        executable_of(part, "", environ)
    numbers = ports_of(keg.payload, config, ports)
    if not leftovers:
        require_free(managed_ports(components, numbers, external))
    installing()
    installed = install(keg, places, report, in_use=in_use)
    if write_first(places):
        report(f"Created {places.config}")
    temporal = next(filter(None, external.values()), "")
    namespace = namespace_of(environ, temporal)
    values = variables(places.home, numbers, temporal, namespace, llm, config)
    token = os.urandom(16).hex()
    services = tuple(
        _service(component, installed, values, environ, external[component.name])
        for component in installed.payload.components
    )
    _make_directories(places, services)
    require_room(places.home)
    launch = Launch(
        version=installed.payload.version,
        installed=installed.id,
        components=installed.directory,
        directory=places.home,
        run=places.run,
        logs=places.logs,
        token=token,
        ports=managed_ports(installed.payload.components, numbers, external),
        temporal=values["temporal.address"],
        secrets=tuple(filter(None, (llm.api_key,))),
        services=tuple(each._replace(environment={**each.environment, RUN_TOKEN: token}) for each in services),
        restart=installed.payload.restart,
    )
    return launch, installed.made


def managed_ports(
    components: Iterable[Component], numbers: Mapping[str, int], external: Mapping[str, str]
) -> dict[str, int]:
    """Return the ports that services of ours will listen on."""
    managed = [component for component in components if not external[component.name]]
    return {name: numbers[name] for component in managed for name, _ in component.ports}


def _service(
    component: Component,
    installed: Installation,
    values: Mapping[str, str],
    environ: Mapping[str, str],
    external: str,
) -> ServiceLaunch:
    names = installed.payload.inherit
    command = command_of(component, installed.directory, values, names, environ)
    plan = Plan(
        component.name,
        component.needs,
        component.stop_order,
        component.grace,
        component.readiness.seconds,
        managed=not external,
        liveness=component.liveness,
    )
    port = int(values[f"port.{component.ports[0][0]}"]) if component.ports else 0
    proofs = tuple(
        _proof(asked, installed.payload, values, external=bool(external)) for asked in component.readiness.proofs
    )
    return ServiceLaunch(plan, component.version, command.argv, command.env, port, proofs)


def _proof(asked: payload.Proof, keg: Payload, values: Mapping[str, str], *, external: bool) -> Proof:
    """Say where a proof is asked for: at a port of ours, or where Temporal is."""
    address = Address(LOOPBACK, int(values[f"port.{asked.port}"]))
    if external or asked.kind == "pollers":
        address = parse_address(values["temporal.address"])
    return Proof(asked.kind, address, values["temporal.namespace"], asked.queues or _some_queue(keg))


def _some_queue(keg: Payload) -> tuple[str, ...]:
    """Return a queue to ask Temporal for: it can be described in every namespace that can be used."""
    polled = (queue for part in keg.components for proof in part.readiness.proofs for queue in proof.queues)
    return (next(polled, "stigmer"),)


def _make_directories(places: Places, services: Iterable[ServiceLaunch]) -> None:
    """Make the directories for logs, and for every file below the home that a service is told of."""
    told = (text for service in services for text in (*service.command[1:], *service.environment.values()))
    paths = (os.path.join(places.home, text) if text.startswith(HERE + os.sep) else text for text in told)
    inside = {os.path.dirname(path) for path in paths if path.startswith(places.home + os.sep)}
    for directory in (places.logs, *sorted(inside)):
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, directory) from error
