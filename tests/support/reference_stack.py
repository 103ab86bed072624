"""The reference stack as a small keg: the manifest's components, on free ports, with the programs built for tests."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stigmer_launcher.install.payload import FileEntry, Liveness, Proof, Readiness, Smoke
from stigmer_packaging.lib import digest
from stigmer_packaging.manifest import model as manifest_records
from stigmer_packaging.manifest import reader
from support import reference_programs
from support.launcher_payloads import Part, build_libexec, part
from support.launcher_services import Stigmer, free_ports

MANIFEST = Path(__file__).parents[2] / "packaging" / "manifest.yaml"


def reference_keg(keg: Path, *only: str) -> Path:
    """Write a libexec directory for the reference stack, or for `only` these of its components; return it."""
    read = reader.load_manifest(MANIFEST, reference=True)
    names = [name for component in read.components for name in component.run.ports]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    parts = tuple(_part(component, ports) for component in read.components if not only or component.name in only)
    smoke = Smoke(**asdict(read.smoke))
    libexec = build_libexec(keg, parts, version=read.product.version, inherit=read.inherit, smoke=smoke)
    for each in parts:
        if not each.contents:
            _link(reference_programs.executable(each.component.name), libexec / "components" / each.component.entry)
    return libexec


def reference_launcher(tmp_path: Path) -> Stigmer:
    return Stigmer(reference_keg(tmp_path / "keg"), tmp_path / "home")


def _part(component: manifest_records.Component, ports: dict[str, int]) -> Part:
    """Return a component as the manifest describes it; the file of a large program is linked later."""
    run, ready = component.run, component.run.readiness
    fields: dict[str, Any] = {
        "arguments": run.arguments,
        "environment": tuple(run.environment.items()),
        "ports": tuple((name, ports[name]) for name in run.ports),
        "needs": run.needs,
        "readiness": Readiness(ready.seconds, tuple(Proof(each.kind, each.port, each.queues) for each in ready.proofs)),
        "stop_order": run.stop_order,
        "grace": run.grace,
        "override": run.override,
        "external": run.external,
        "liveness": Liveness(**asdict(run.liveness)),
    }
    if component.name == "agent-runner":  # from the source tree; the freeze stage tests the frozen one
        return part(component.name, script=f"exec {shlex.join(reference_programs.words(component.name))}", **fields)
    program = reference_programs.executable(component.name)
    described = FileEntry(component.name, program.stat().st_size, digest.sha256_of(program), 0o755)
    return part(component.name, files=(described,), **fields)._replace(contents={})


def _link(source: Path, target: Path) -> None:
    """Hard-link a large program into the keg, or copy it where that is impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
        target.chmod(0o755)
