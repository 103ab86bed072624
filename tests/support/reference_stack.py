"""The reference stack as a small keg: the manifest's own components, on free ports, with programs built for tests."""

import hashlib
import os
import shlex
from dataclasses import asdict
from pathlib import Path

from stigmer_launcher.install.payload import Component, FileEntry, Liveness, Proof, Readiness, Smoke
from stigmer_packaging.manifest import model as manifest_records
from stigmer_packaging.manifest import reader
from support import reference_programs
from support.launcher_payloads import Part, build_libexec
from support.launcher_services import Stigmer, free_ports

MANIFEST = Path(__file__).parents[2] / "packaging" / "manifest.yaml"


def reference_keg(keg: Path, *only: str) -> Path:
    """Write a libexec directory for the reference stack, or for `only` these components of it, and give it."""
    read = reader.load_manifest(MANIFEST, reference=True)
    names = [name for component in read.components for name in component.run.ports]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    parts = tuple(_part(component, ports) for component in read.components if not only or component.name in only)
    smoke = Smoke(**asdict(read.smoke))
    libexec = build_libexec(keg, parts, version=read.product.version, inherit=read.inherit, smoke=smoke)
    for part in parts:
        if part.component.name != "agent-runner":
            _link(_program(part.component.name), libexec / "components" / part.component.entry)
    return libexec


def reference_launcher(tmp_path: Path) -> Stigmer:
    """Give a launcher over the reference stack, with a home of its own."""
    return Stigmer(reference_keg(tmp_path / "keg"), tmp_path / "home")


def _part(component: manifest_records.Component, ports: dict[str, int]) -> Part:
    run, ready = component.run, component.run.readiness
    entry = component.name
    if component.name == "agent-runner":
        content = _agent_runner()
        described = FileEntry(entry, len(content), hashlib.sha256(content).hexdigest(), 0o755)
        contents = {entry: (content, 0o755)}
    else:
        program = _program(component.name)
        described = FileEntry(entry, program.stat().st_size, _sha256(program), 0o755)
        contents = {}
    known = Component(
        name=component.name,
        version="0.0.1",
        entry=entry,
        arguments=run.arguments,
        environment=tuple(run.environment.items()),
        ports=tuple((name, ports[name]) for name in run.ports),
        needs=run.needs,
        readiness=Readiness(ready.seconds, tuple(Proof(each.kind, each.port, each.queues) for each in ready.proofs)),
        stop_order=run.stop_order,
        grace=run.grace,
        override=run.override,
        external=run.external,
        liveness=Liveness(**asdict(run.liveness)),
        files=(described,),
    )
    return Part(known, contents)


def _agent_runner() -> bytes:
    """Give a program that becomes the runner of the source tree; the frozen one is tried by the stage that makes it."""
    words = (str(reference_programs.agent_python()), str(reference_programs.AGENT_RUNNER / "main.py"))
    return f"#!/bin/sh\nexec {shlex.join(words)}\n".encode()


def _program(name: str) -> Path:
    return reference_programs.temporal_program() if name == "temporal" else reference_programs.go_program(name)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    """Put a large program into the keg without copying it, where that is possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
        target.chmod(0o755)
