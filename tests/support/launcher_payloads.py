"""Small kegs for tests of the launcher: a libexec directory with tiny real executables and its index.

    libexec = build_libexec(tmp_path / "keg")                       # the four components, each sleeping until SIGTERM
    libexec = build_libexec(path, (part("one", script="exit 0"),))  # any other set

An executable is a shell script, or, if given as `program`, Python source run by the tests' interpreter.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stigmer_launcher.install.payload import Component, FileEntry, Payload, Proof, Readiness, Smoke
from stigmer_launcher.system.machine import this_target
from stigmer_packaging.bottle.index import render_index

SLEEP_UNTIL_STOPPED = "trap 'exit 0' TERM INT\nwhile :; do sleep 0.05; done"
INHERIT = ("HOME", "PATH", "USER", "LANG", "TMPDIR")


class Part(NamedTuple):
    """A component, and its files by path below the components directory, each as (bytes, permission bits)."""

    component: Component
    contents: Mapping[str, tuple[bytes, int]]


def part(
    name: str,
    *,
    script: str = SLEEP_UNTIL_STOPPED,
    program: str = "",
    extra: Mapping[str, bytes] | None = None,
    **fields: Any,
) -> Part:
    """Return one component. `fields` override those of `Component` (ports, needs, readiness, grace, …)."""
    text = f"#!{sys.executable} -IS\n{program}\n" if program else f"#!/bin/sh\n{script}\n"
    contents = {name: (text.encode(), 0o755), **{path: (content, 0o644) for path, content in (extra or {}).items()}}
    component = Component(
        name=name,
        version="1.0.0",
        entry=name,
        arguments=(),
        environment=(),
        ports=(),
        needs=(),
        readiness=Readiness(10.0, (Proof("pollers", "", ("queue",)),)),
        stop_order=1,
        grace=5.0,
        override="",
        external="",
        files=tuple(_describe(path, content, mode) for path, (content, mode) in sorted(contents.items())),
    )
    return Part(component._replace(**fields), contents)


def stigmer_parts(*, temporal: str = SLEEP_UNTIL_STOPPED) -> tuple[Part, ...]:
    """Return the four components that Stigmer ships, with their overrides; `temporal` is the script of that one."""

    def shipped(name: str, override: str, **fields: Any) -> Part:
        return part(name, override=f"STIGMER_{override}_BIN", **fields)

    library = {
        f"agent-runner.lib/{folder}/{index}.so": f"{folder} {index}\n".encode() for folder in "ab" for index in (1, 2)
    }
    return (
        shipped("temporal", "TEMPORAL", script=temporal, external="TEMPORAL_SERVICE_ADDRESS"),
        shipped("stigmer-server", "SERVER"),
        shipped("workflow-runner", "WORKFLOW_RUNNER"),
        shipped("agent-runner", "AGENT_RUNNER", extra=library, environment=(("STIGMER_LLM_MODEL", "{llm.model}"),)),
    )


def build_libexec(
    keg: Path, parts: Iterable[Part] | None = None, *, version: str = "1.0.0", target: str = "", **fields: Any
) -> Path:
    """Write `keg`/libexec with `components/` and `payload.json`; return it. `fields` override those of `Payload`."""
    chosen = tuple(stigmer_parts() if parts is None else parts)
    libexec = keg / "libexec"
    libexec.mkdir(parents=True, exist_ok=True)
    for each in chosen:
        for path, (content, mode) in each.contents.items():
            place = libexec / "components" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(mode)
    payload = Payload(
        name="stigmer",
        version=version,
        target=target or this_target(),
        inherit=INHERIT,
        smoke=Smoke("grpc", 10.0, "/test.Service/Run", "server"),
        components=tuple(each.component for each in chosen),
    )
    (libexec / "payload.json").write_text(render_index(payload._replace(**fields)), encoding="utf-8")
    return libexec


def launcher_environment(libexec: Path, home: Path) -> dict[str, str]:
    """Return the environment for an unfrozen launcher with this keg and home; of the caller's it has only PATH."""
    return {
        "STIGMER_PAYLOAD": os.fspath(libexec),
        "STIGMER_HOME": os.fspath(home),
        "HOME": os.fspath(home.parent),
        "PATH": os.environ["PATH"],
    }


def _describe(path: str, content: bytes, mode: int) -> FileEntry:
    return FileEntry(path, len(content), hashlib.sha256(content).hexdigest(), mode)
