"""Prepares a launch: reads settings and key, checks ports, installs components.

What can fail fails here, before anything runs and while the user may still be at the terminal.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from stigmer_launcher.config.file import read_config, write_first
from stigmer_launcher.config.llm import ask_terminal, find_llm, require_key
from stigmer_launcher.install import payload, versions
from stigmer_launcher.install.install import install
from stigmer_launcher.install.manifest import read_keg
from stigmer_launcher.install.payload import Component, Payload
from stigmer_launcher.install.preflight import require_room
from stigmer_launcher.launch import environment
from stigmer_launcher.launch.database import named_database
from stigmer_launcher.launch.environment import Command
from stigmer_launcher.launch.plan import Launch, Plan, ServiceLaunch
from stigmer_launcher.readiness.checks import Proof
from stigmer_launcher.system.places import Places, installed_libexec, prepare_home, user_name
from stigmer_launcher.system.ports import require_free
from stigmer_launcher.system.process import RUN_TOKEN


def prepare(
    environ: Mapping[str, str],
    places: Places,
    ports: Mapping[str, int],
    report: Callable[[str], None],
    *,
    in_use: Callable[[], Iterable[str]] = tuple,
    installing: Callable[[], None] = lambda: None,
    leftovers: bool = False,
) -> tuple[Launch, bool]:
    """Check everything; give what is to run, and whether components were made. Any LauncherError: nothing runs then.

    `in_use` gives the versions that must stay; `installing` is called once every question is answered. With `leftovers`
    of a killed server the ports are checked later, when those have ended.
    """
    environ = {"USER": user_name(os.geteuid()), **environ}  # Temporal needs it where /etc/passwd has not the user
    config = read_config(places.config)
    llm = require_key(find_llm(environ, config), ask_terminal)
    keg = read_keg(installed_libexec(environ))
    components, directory = keg.payload.components, versions.directory_of(places, keg.id)
    external = environment.external_address(components, config, environ)
    ours = [part for part in components if not (external and part.external)]
    numbers = environment.ports_of(keg.payload, config, ports)
    values = environment.variables(places.home, numbers, external, llm, config, environ)
    token = os.urandom(16).hex()
    services: dict[str, ServiceLaunch] = {}
    for part in components:
        command = environment.command_of(part, directory, values, keg.payload.inherit, environ)
        command.env[RUN_TOKEN] = token
        services[part.name] = _service(part, command, keg.payload, values, is_ours=part in ours)
    launch = Launch(
        version=keg.payload.version,
        installed=keg.id,
        components=directory,
        places=places,
        token=token,
        ports={name: numbers[name] for part in ours for name, _ in part.ports},
        temporal=values["temporal.address"],
        secrets=tuple(filter(None, (llm.api_key,))),
        services=services,
        restart=keg.payload.restart,
    )
    if not leftovers:
        require_free(launch.ports)
    installing()
    made = install(keg, places, report, in_use=in_use)
    if write_first(places):
        report(f"Created {places.config}")
    prepare_home(places.home, places.logs, *_directories(components, values))
    require_room(places.home)
    return launch, made


def _service(
    part: Component, command: Command, keg: Payload, values: Mapping[str, str], *, is_ours: bool
) -> ServiceLaunch:
    plan = Plan(part.name, part.needs, part.stop_order, part.grace, part.readiness.seconds, is_ours, part.liveness)
    port = int(values[f"port.{part.ports[0][0]}"]) if part.ports else 0
    proofs = tuple(_proof(asked, keg, values, is_ours=is_ours) for asked in part.readiness.proofs)
    database = named_database(command.argv, values["home"]) if is_ours else ""
    return ServiceLaunch(plan, part.version, command.argv, command.env, port, proofs, database)


def _proof(asked: payload.Proof, keg: Payload, values: Mapping[str, str], *, is_ours: bool) -> Proof:
    """Say where a proof is asked for: at a port of ours, or where Temporal is.

    Without a queue of its own it is any that is polled: each can be described in every namespace that can be used.
    """
    is_temporals = not is_ours or asked.kind == "pollers"
    address = values["temporal.address"] if is_temporals else f"127.0.0.1:{values[f'port.{asked.port}']}"
    polled = (queue for part in keg.components for proof in part.readiness.proofs for queue in proof.queues)
    queues = asked.queues or (next(polled, "stigmer"),)
    return Proof(asked.kind, address, values["temporal.namespace"], queues)


def _directories(components: Iterable[Component], values: Mapping[str, str]) -> Iterator[str]:
    """Yield the directory of every file below the home that a component names; the user's variables do not count."""
    for part in components:
        for text in (*part.arguments, *(value for _, value in part.environment)):
            if text.startswith(("{home}/", "{home.relative}/")):
                yield os.path.dirname(os.path.join(values["home"], environment.fill(text, values, part)))
