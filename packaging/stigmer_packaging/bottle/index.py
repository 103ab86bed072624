"""The index of a keg, `libexec/payload.json`. The launcher, which reads it, defines its types."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stigmer_launcher.install import payload
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Component, Manifest
from stigmer_packaging.records.model import BuiltPart, FileRecord


def make_index(manifest: Manifest, target: Target, services: Sequence[BuiltPart]) -> payload.Payload:
    """Return the index of a keg: how the launcher runs these services, and their files."""
    return payload.Payload(
        name=manifest.product.name,
        version=manifest.product.version,
        target=str(target),
        inherit=manifest.inherit,
        smoke=payload.Smoke(**asdict(manifest.smoke)),
        components=tuple(
            _indexed(part, service, _all_needs(part.name, manifest))
            for part, service in zip(manifest.components, services, strict=True)
        ),
        restart=payload.Restart(**asdict(manifest.restart)),
    )


def _all_needs(name: str, manifest: Manifest) -> tuple[str, ...]:
    """Return what a component needs, directly and indirectly: it is not blamed while one of these is down."""
    direct = {part.name: part.run.needs for part in manifest.components}
    names = list(direct[name])
    for each in names:  # grows during the loop
        names += [need for need in direct[each] if need not in names]
    return tuple(names)


def _indexed(component: Component, service: BuiltPart, needs: tuple[str, ...]) -> payload.Component:
    run, ready = component.run, component.run.readiness
    proofs = tuple(payload.Proof(each.kind, each.port, each.queues) for each in ready.proofs)
    return payload.Component(
        name=component.name,
        version=service.version,
        entry=service.entry,
        arguments=run.arguments,
        environment=tuple(run.environment.items()),
        ports=tuple(run.ports.items()),
        needs=needs,
        readiness=payload.Readiness(ready.seconds, proofs),
        stop_order=run.stop_order,
        grace=run.grace,
        override=run.override,
        external=run.external,
        liveness=payload.Liveness(**asdict(run.liveness)),
        files=tuple(map(_entry, service.files)),
    )


def _entry(file: FileRecord) -> payload.FileEntry:
    return payload.FileEntry(file.path, file.size, file.sha256, 0o755 if file.mode & 0o100 else 0o644)


def render_index(index: payload.Payload) -> str:
    """Return the index as JSON text; equal indexes give equal text."""
    return json.dumps({"format": payload.FORMAT, **_to_plain(index)}, indent=1, sort_keys=True) + "\n"


def _to_plain(value: Any) -> Any:
    """Convert records to plain JSON values: a FileEntry to a list, because there are many, other records to objects."""
    if isinstance(value, tuple) and not isinstance(value, payload.FileEntry):
        if hasattr(value, "_asdict"):
            return {name: _to_plain(each) for name, each in value._asdict().items()}
        return [_to_plain(each) for each in value]
    return value
