"""Checks of the server: its state, leftovers of a killed one, its databases, its ports, and Temporal."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address

from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, DoctorContext, Finding, problem
from stigmer_launcher.errors import EXTERNAL_REMEDY, PortError
from stigmer_launcher.launch import database, environment
from stigmer_launcher.readiness import channel, checks
from stigmer_launcher.supervise import leftovers, logfile, phases, state
from stigmer_launcher.system import ports, service_manager

_TIMEOUT = 2.0  # seconds for Temporal to answer
_POLL_INTERVAL = 0.1  # seconds
_ENDS_LEFTOVERS = "run `stigmer server`: it ends the leftover processes"
_LISTENERS = "/proc/net/tcp"
# Files of earlier versions of Stigmer, relative to the home.
_FORMER = ("data/daemon.pid", "data/workflow-runner.pid", "data/agent-runner.pid", "temporal.pid", "temporal.lock")


def check_server(context: DoctorContext) -> Iterator[Finding]:
    """Check the supervisor, its services, and files of earlier versions."""
    yield from _supervisor(context)
    for service in context.snapshot.services:
        yield from _service(context, service)
    for path in filter(os.path.lexists, (os.path.join(context.places.home, name) for name in _FORMER)):
        yield Finding("stale file", NOTE, f"{path}: of an earlier Stigmer, not used; it may be removed")


def check_databases(context: DoctorContext) -> Iterator[Finding]:
    """Examine the services' databases, unless the server runs and uses them."""
    if context.supervisor_pid or not context.keg:
        return
    for part in context.keg.payload.components:
        arguments = tuple(text.replace("{home.relative}", environment.HOME_RELATIVE) for text in part.arguments)
        path = database.named_database(arguments, context.places.home)
        content = database.examine(path) if path else database.Content.MISSING
        name, text = f"{part.name}, database", f"{path} {content.value}"
        if content is database.Content.INTACT:
            yield Finding(name, OK, text)
        elif content is database.Content.UNFINISHED:
            remedy = "run `stigmer server`: it keeps the file under another name and starts with a new one"
            yield Finding(name, WARNING, text, remedy)
        elif content is database.Content.DAMAGED:
            yield Finding(name, PROBLEM, text, database.remedy_for(path))


def check_ports(context: DoctorContext) -> Iterator[Finding]:
    """Check every port: free, ours, or taken by another program."""
    if context.keg:
        running = context.snapshot.ports if context.supervisor_pid else {}
        used = running or environment.ports_of(context.keg.payload, context.config, {})
        yield from (_port(context, name, number) for name, number in used.items())


def check_exposure(context: DoctorContext) -> Iterator[Finding]:
    """Warn of every port of our services that other machines can reach."""
    if not context.supervisor_pid:
        return
    if sys.platform != "darwin" and not os.access(_LISTENERS, os.R_OK):
        yield Finding("exposure", NOTE, f"not checked: {_LISTENERS} cannot be read")
        return
    for pid, port, address, *_ in ports.exposed_listeners(lambda pid: bool(_service_of(context, pid))):
        where = str(ip_address(address)) if any(address) else "all interfaces"
        settings = "turn the firewall on in System Settings, Network"
        block = settings if sys.platform == "darwin" else f"`sudo ufw deny {port}/tcp`"
        text = f"port {port} (pid {pid}) listens on {where}, not on localhost alone: other machines can reach it"
        yield Finding(_service_of(context, pid), WARNING, text, f"block it where you do not trust the network: {block}")


def check_loopback(_: DoctorContext) -> Iterator[Finding]:
    """Check that processes of this machine can connect to each other."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), _TIMEOUT):
            yield Finding("loopback", OK, "127.0.0.1 can be connected to")
    except OSError as error:
        remedy = "turn it on (Linux: `sudo ip link set lo up`), or let the firewall accept connections from 127.0.0.1"
        yield Finding("loopback", PROBLEM, f"cannot connect to 127.0.0.1: {error.strerror or error}", remedy)


def check_temporal(context: DoctorContext) -> Iterator[Finding]:
    """Check that Temporal serves: that of the running server, or the external one that a start would use."""
    components = context.keg.payload.components if context.keg else ()
    if context.supervisor_pid:
        address, namespace = context.snapshot.temporal, ""  # the namespace of its start is not known
        is_ours = "temporal" in context.snapshot.ports
    else:
        address = environment.external_address(components, context.config, context.environ)
        namespace = context.environ.get("TEMPORAL_NAMESPACE") or "default"
        is_ours = not address
    whose = f"at {address}" + ("" if is_ours else ", not ours")
    if not address:
        if any(part.external for part in components):
            yield Finding("server", OK, "ours, started with the server")
    elif reason := _why_not_serving(address, namespace):
        remedy = "run `stigmer server restart temporal`" if is_ours else EXTERNAL_REMEDY
        yield Finding("server", PROBLEM, f"{whose}: {reason}", remedy)
    else:
        yield Finding("server", OK, f"{whose}, serves")


def _supervisor(context: DoctorContext) -> Iterator[Finding]:
    snapshot = context.snapshot
    if context.supervisor_pid:
        level = {phases.RUNNING: OK, phases.STARTING: NOTE, phases.STOPPING: NOTE}.get(snapshot.state, PROBLEM)
        text = f"{snapshot.state or 'unknown'}, pid {context.supervisor_pid}, version {snapshot.version or 'unknown'}"
        yield Finding("supervisor", level, text)
        if context.keg and snapshot.installed not in ("", context.keg.id):
            text = f"{snapshot.installed} is running, {context.keg.id} is installed"
            remedy = f"run `{service_manager.command_for('restart', context.supervisor_pid, snapshot.job)}`"
            yield Finding("version", WARNING, text, remedy)
    elif context.watchdog_pid:
        yield Finding("supervisor", NOTE, f"killed; its watchdog (pid {context.watchdog_pid}) is stopping the services")
    elif snapshot.is_clean:
        yield Finding("supervisor", OK, "stopped")
    elif any(map(leftovers.is_alive, snapshot.processes)) or any(leftovers.find_escaped(snapshot.token)):
        text = f"stopped; the last one (pid {snapshot.supervisor_pid}) was killed and could not clean up"
        yield Finding("supervisor", WARNING, text, _ENDS_LEFTOVERS)
    else:
        yield Finding("supervisor", NOTE, f"stopped; the last one (pid {snapshot.supervisor_pid}) was killed")


def _service(context: DoctorContext, service: state.ServiceSnapshot) -> Iterator[Finding]:
    if context.supervisor_pid:
        level = {phases.RUNNING: OK, phases.FAILED: PROBLEM, phases.DEGRADED: PROBLEM}.get(service.state, NOTE)
        text = f"{service.state}, pid {service.pid}, {service.restarts} restarts, version {service.version}"
        yield Finding(service.name, level, text + (f": {service.not_ready_reason}" if service.not_ready_reason else ""))
    elif leftovers.is_alive(service):
        how = "" if context.watchdog_pid else " without its supervisor"
        level, remedy = (PROBLEM, _ENDS_LEFTOVERS) if how else (NOTE, "")
        yield Finding(service.name, level, f"pid {service.pid} still runs{how}", remedy)
    if service.managed and service.last_error:
        log = logfile.log_path(context.places.logs, service.name)
        yield Finding(f"{service.name}, last end", NOTE, f"{service.last_error}; its log is {log}")


def _port(context: DoctorContext, name: str, number: int) -> Finding:
    if (owner := ports.port_owner(number)) and _service_of(context, owner.pid):
        whose = "ours" if context.supervisor_pid else "ours, left by a killed server"
        return Finding(name, OK, f"{number}: {owner.name} (pid {owner.pid}), {whose}")
    try:
        ports.require_free({name: number})
    except PortError as error:
        return problem(name, error)
    if context.supervisor_pid and context.snapshot.state == phases.RUNNING:
        return Finding(name, WARNING, f"{number}: no listener, although the server runs")
    return Finding(name, OK, f"{number}: free")


def _service_of(context: DoctorContext, pid: int) -> str:
    """Return the name of the living service that a process belongs to, by its process group; empty when there is none."""
    try:
        group = os.getpgid(pid) if pid else 0
    except OSError:
        group = 0
    candidates = (each for each in context.snapshot.processes if context.supervisor_pid or leftovers.is_alive(each))
    return next((each.name for each in candidates if each.pid in (pid, group)), "")


def _why_not_serving(address: str, namespace: str) -> str:
    """Say why Temporal does not serve, empty when it does; it is asked repeatedly, since it may be starting."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            check = checks.temporal(namespace, "doctor")
            reason = check.judge(channel.ask(address, check.questions, _TIMEOUT))
        except (OSError, ValueError) as error:  # the state file or the variable may hold any text
            reason = getattr(error, "strerror", None) or str(error)
        if not reason or time.monotonic() > deadline:
            return reason
        time.sleep(_POLL_INTERVAL)
