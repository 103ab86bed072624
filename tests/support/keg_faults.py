"""Kegs with one fault and consistent otherwise: index and checksums are made anew, so that only the fault can be found."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from stigmer_launcher.install.payload import Payload, parse_payload, render_payload
from stigmer_packaging.bottle.assemble import render_checksums
from stigmer_packaging.lib import digest
from stigmer_packaging.records.model import FileRecord, ReleaseFile
from support.keg_standin import StandIn, repacked
from support.launcher_payloads import build_libexec, part
from support.launcher_services import LAUNCHER, fake_stack

OWN_VERSION = "0.0.0+checkout"
"""What a launcher that is not frozen answers."""

AGENT = "agent-runner"
FOREIGN_PROGRAM = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(1000)
"""The head of an ELF file for arm64 (elf(5): e_machine 183 at byte 18), for targets that are not."""


def without_agent(standin: StandIn) -> ReleaseFile:
    """Pack a bottle in which nothing speaks of agent-runner."""

    def leave_out(payload: Payload, components: Path) -> Payload:
        for entry in payload.components[-1].files:
            (components / entry.path).unlink()
        return payload._replace(components=payload.components[:-1])

    return _changed(standin, leave_out)


def with_agent_for_arm64(standin: StandIn) -> ReleaseFile:
    """Pack a bottle whose agent-runner is made for another architecture."""

    def exchange(payload: Payload, components: Path) -> Payload:
        (components / AGENT).unlink()
        (components / AGENT).write_bytes(FOREIGN_PROGRAM)
        (components / AGENT).chmod(0o755)
        agent = payload.components[-1]
        files = tuple(
            entry._replace(size=len(FOREIGN_PROGRAM), sha256=digest.sha256_of(components / AGENT))
            if entry.path == AGENT
            else entry
            for entry in agent.files
        )
        return payload._replace(components=(*payload.components[:-1], agent._replace(files=files)))

    return _changed(standin, exchange)


def said_to_be_for_arm64(standin: StandIn) -> ReleaseFile:
    """Pack a bottle that is another target's by its index, and this one's by its record."""
    return _changed(standin, lambda payload, _: payload._replace(target="linux-arm64"))


def installed_launcher(prefix: Path, *, seconds: float = 20, broken_import: bool = False, agent: str = "") -> Path:
    """Lay a keg into `prefix` whose launcher is ours, not frozen, over fake services; `agent` is what the last one does wrong."""
    keg = prefix / "Cellar/stigmer/1.0.0"
    stack = fake_stack(seconds=seconds, agent_runner=agent)
    if broken_import:
        known = {key: value for key, value in stack[-1].component._asdict().items() if key not in ("name", "files")}
        stack = (*stack[:-1], part(AGENT, program="import a_module_that_was_not_frozen", **{**known, "entry": AGENT}))
    libexec = build_libexec(keg, stack)
    words = f'STIGMER_PAYLOAD="{libexec}" PYTHONPATH="{LAUNCHER}" PYTHONDONTWRITEBYTECODE=1'
    (libexec / "launcher").mkdir()
    start = f'#!/bin/sh\n{words} exec "{sys.executable}" -S -m stigmer_launcher "$@"\n'
    (libexec / "launcher/stigmer").write_text(start, encoding="utf-8")
    (libexec / "launcher/stigmer").chmod(0o755)
    for link, goal in (
        (keg / "bin/stigmer", libexec / "launcher/stigmer"),
        (prefix / "bin/stigmer", keg / "bin/stigmer"),
    ):
        link.parent.mkdir()
        link.symlink_to(os.path.relpath(goal, link.parent))
    _write_checksums(keg, [path.relative_to(keg).as_posix() for path in keg.rglob("*") if path.is_file()])
    return prefix


def _changed(standin: StandIn, change: Callable[[Payload, Path], Payload]) -> ReleaseFile:
    keg = standin.workspace.path(standin.keg.root)
    listed = [line[66:] for line in (keg / "libexec/SHA256SUMS").read_text(encoding="utf-8").splitlines()]
    index = keg / "libexec/payload.json"
    payload = change(parse_payload(index.read_text(encoding="utf-8")), keg / "libexec/components")
    index.unlink()
    index.write_text(render_payload(payload), encoding="utf-8")
    _write_checksums(keg, [path for path in listed if (keg / path).exists()])
    return replace(repacked(standin), target=standin.bottle.target)


def _write_checksums(keg: Path, paths: list[str]) -> None:
    records = [
        FileRecord(path, 0, digest.sha256_of(keg / path), 0o644) for path in paths if not (keg / path).is_symlink()
    ]
    (keg / "libexec/SHA256SUMS").unlink(missing_ok=True)
    (keg / "libexec/SHA256SUMS").write_text(render_checksums(records), encoding="utf-8")
