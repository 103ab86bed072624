"""Consistency rules between the parts of a manifest. Each rule takes the manifest and yields findings.

A value that could not be read is empty here, and no rule reports it a second time.
"""

import graphlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from stigmer_packaging.manifest.bottle_tags import MACOS_VERSIONS, parse_tag
from stigmer_packaging.manifest.model import ArtifactSource, CheckoutSource, Component, Manifest, Proof, WheelSource
from stigmer_packaging.manifest.section import Finding, Path, unknown

VARIABLES = (
    "home",
    "home.relative",
    "temporal.address",
    "temporal.namespace",
    "llm.provider",
    "llm.model",
    "llm.base_url",
    "llm.api_key",
    "execution.mode",
    "execution.sandbox_image",
    "execution.auto_pull",
    "execution.cleanup",
    "execution.ttl",
)
"""Placeholders that the launcher fills in, besides ports. Source: launcher/stigmer_launcher/launch/environment.py."""
# Options whose value Temporal passes to SQLite as a URI, in which `#`, `?` and `%` of an absolute path have a meaning.
_READ_AS_URI = ("--db-filename",)
_BRACES = re.compile(r"\{([^{}]*)\}")


def check_not_empty(manifest: Manifest) -> Iterator[Finding]:
    """Require at least one component and one target."""
    for key, entries in (("components", manifest.components), ("targets", manifest.targets)):
        if not entries:
            yield Finding((key,), f"there is no {key.removesuffix('s')}")


def check_unique(manifest: Manifest) -> Iterator[Finding]:
    """Require unique components, ports, port numbers and inherited variables."""
    parts = enumerate(manifest.components)
    ports = [(("components", i, "run", "ports", name), name, number) for i, name, number in _ports(manifest)]
    yield from _repeated("component", [(("components", i, "name"), part.name) for i, part in parts])
    yield from _repeated("variable", [(("inherit", i), name) for i, name in enumerate(manifest.inherit)])
    yield from _repeated("port", [(path, name) for path, name, _ in ports])
    yield from _repeated("port number", [(path, str(number)) for path, _, number in ports])


def check_references(manifest: Manifest) -> Iterator[Finding]:
    """Require that each reference to a port, a component or a variable of the environment names an existing one."""
    ports, parts = {name for _, name, _ in _ports(manifest)}, {part.name for part in manifest.components}
    smoke = manifest.smoke
    references: list[tuple[str, Iterable[str], Path, str]] = [
        ("port", ports, ("smoke", "port"), smoke.port),
        ("component", parts, ("smoke", "component"), smoke.component),
        *(("port", ports, (*path, "port"), proof.port) for path, _, proof in _proofs(manifest)),
    ]
    for index, part in enumerate(manifest.components):
        sent, path = part.run.environment, ("components", index)
        references += [("component", parts, (*path, "run", "needs", i), name) for i, name in enumerate(part.run.needs)]
        references += [("variable", sent, (*path, "required", i), name) for i, name in enumerate(part.required)]
        references += [("variable", sent, (*path, "optional", i), name) for i, name in enumerate(part.optional)]
    for kind, known, place, name in references:
        if name and name not in known:
            yield Finding(place, unknown(kind, name, known))


def check_bottle_tags(manifest: Manifest) -> Iterator[Finding]:
    """Require a bottle tag of the target's platform, and no newer macOS than the oldest one that brew pours it on."""
    for target, spec in manifest.targets.items():
        if not spec.bottle:
            continue
        platform = parse_tag(spec.bottle)
        minimum, release = spec.macos_minimum, MACOS_VERSIONS.get(platform.release, 0)
        if str(platform.target) != target:
            yield Finding(("targets", target, "bottle"), f"{spec.bottle!r} is not a bottle tag of {target}")
        elif minimum and [int(part) for part in minimum.split(".")] > [release, 0]:
            text = f"brew pours {spec.bottle} on macOS {release} or later, but this requires {minimum}"
            yield Finding(("targets", target, "macos_minimum"), text)


def check_queues(manifest: Manifest) -> Iterator[Finding]:
    """Require queues in proofs of the kind pollers, and in no others."""
    for path, _, proof in _proofs(manifest):
        if proof.kind == "pollers" and not proof.queues:
            yield Finding(path, "a proof of the kind pollers needs at least one queue in 'queues'")
        if proof.kind not in {"pollers", ""} and proof.queues:
            yield Finding((*path, "queues"), f"queues are only for proofs of the kind pollers, not {proof.kind}")


def check_proofs(manifest: Manifest) -> Iterator[Finding]:
    """Require at least one readiness proof of every component."""
    for index, part in enumerate(manifest.components):
        readiness = part.run.readiness
        if readiness.seconds and not readiness.proofs:
            yield Finding(("components", index, "run", "readiness", "proofs"), "at least one proof is needed")


def check_liveness(manifest: Manifest) -> Iterator[Finding]:
    """Require that a liveness check times out before the next one is due."""
    for index, part in enumerate(manifest.components):
        liveness = part.run.liveness
        if liveness.timeout > liveness.every:
            text = f"{liveness.timeout:g} s is longer than the interval between checks, {liveness.every:g} s"
            yield Finding(("components", index, "run", "liveness", "timeout"), text)


def check_pauses(manifest: Manifest) -> Iterator[Finding]:
    """Require that the longest pause before a restart is at least as long as the first."""
    pauses = manifest.restart
    if pauses.longest_pause < pauses.first_pause:
        text = f"{pauses.longest_pause:g} s is shorter than the first pause, {pauses.first_pause:g} s"
        yield Finding(("restart", "longest_pause"), text)


def check_proof_ports(manifest: Manifest) -> Iterator[Finding]:
    """Require that a component's proofs use its own ports, or those of a component it needs.

    If it started before that one, it may have failed to connect and never retry.
    """
    owners = {name: part.name for part in manifest.components for name in part.run.ports}
    for path, part, proof in _proofs(manifest):
        owner = owners.get(proof.port, part.name)
        if owner not in (part.name, *part.run.needs):
            yield Finding((*path, "port"), f"{proof.port!r} is a port of {owner}, which {part.name} does not need")


def check_temporal_needs(manifest: Manifest) -> Iterator[Finding]:
    """Require a component that uses Temporal's address to start after it: a client may dial only once, at its start."""
    servers = [part.name for _, part, proof in _proofs(manifest) if proof.kind == "temporal"]
    for index, part in enumerate(manifest.components):
        sent = any("{temporal.address}" in text for _, text in _templates(part))
        missing = [name for name in servers if name not in (part.name, *part.run.needs)]
        if sent and missing:
            text = f"{part.name} uses {{temporal.address}}, but does not list {missing[0]} in 'needs'"
            yield Finding(("components", index, "run"), text)


def check_temporal_port(manifest: Manifest) -> Iterator[Finding]:
    """Require a port `temporal` if Temporal's address is used: the launcher derives the address from it."""
    if any(name == "temporal" for _, name, _ in _ports(manifest)):
        return
    text = "it uses Temporal's address, which needs a port 'temporal', and no component has one"
    for path, _, proof in _proofs(manifest):
        if proof.kind == "pollers":
            yield Finding(path, text)
    for index, part in enumerate(manifest.components):
        for keys, template in _templates(part):
            if "{temporal.address}" in template:
                yield Finding(("components", index, "run", *keys), text)


def check_external(manifest: Manifest) -> Iterator[Finding]:
    """Require that only Temporal has `external`: the launcher takes the variable for Temporal's address."""
    for index, part in enumerate(manifest.components):
        kinds = {proof.kind for proof in part.run.readiness.proofs}
        if part.run.external and kinds and "temporal" not in kinds:
            path = ("components", index, "run", "external")
            yield Finding(path, "only a component whose readiness is of the kind temporal can be external")


def check_needs(manifest: Manifest) -> Iterator[Finding]:
    """Require that needs are acyclic, and that a component stops before those that it needs."""
    known = {part.name: part for part in manifest.components}
    for index, part in enumerate(manifest.components):
        for position, need in enumerate(part.run.needs):
            if need in known and need != part.name and known[need].run.stop_order >= part.run.stop_order:
                text = f"{part.name} does not stop before {need}, which it needs: see stop_order"
                yield Finding(("components", index, "run", "needs", position), text)
    try:
        graphlib.TopologicalSorter({name: part.run.needs for name, part in known.items()}).prepare()
    except graphlib.CycleError as error:
        yield Finding(("components",), f"components need each other in a cycle: {' -> '.join(error.args[1])}")


def check_placeholders(manifest: Manifest) -> Iterator[Finding]:
    """Require that braces enclose a variable that the launcher fills in, or an existing port."""
    known = {*VARIABLES, *(f"port.{name}" for _, name, _ in _ports(manifest))}
    templates: list[tuple[Path, str]] = [
        (("smoke", "arguments", position), text) for position, text in enumerate(manifest.smoke.arguments)
    ]
    for index, part in enumerate(manifest.components):
        templates += [(("components", index, "run", *keys), text) for keys, text in _templates(part)]
    for path, text in templates:
        words = [word for word in _BRACES.findall(text) if word not in known]
        yield from (Finding(path, unknown("variable", word, known)) for word in words)
        if re.search(r"[{}]", _BRACES.sub("", text)):
            yield Finding(path, f"unmatched brace in {text!r}")


def check_uris(manifest: Manifest) -> Iterator[Finding]:
    """Require `{home.relative}` where a program parses a URI: a home's path may contain special characters."""
    for index, part in enumerate(manifest.components):
        words = part.run.arguments
        for position, (option, value) in enumerate(itertools.pairwise(words), 1):
            if option in _READ_AS_URI and "{home}" in value:
                path = ("components", index, "run", "arguments", position)
                yield Finding(path, f"{option} is read as a URI: use {{home.relative}} instead of {{home}}")


def check_ready_texts(manifest: Manifest) -> Iterator[Finding]:
    """Require `ready` of a frozen service that opens no port: the frozen copy is tested by the text it prints."""
    for index, part in enumerate(manifest.components):
        match part.source:
            case CheckoutSource(build="pyinstaller", ready="") if not part.run.ports:
                text = "the key 'ready' is missing: it has no port, so it needs a text that it prints once it works"
                yield Finding(("components", index, "source"), text)


def check_pins(manifest: Manifest) -> Iterator[Finding]:
    """Require that every download is pinned for each target we ship for."""
    pins: list[tuple[Path, Iterable[str]]] = [(("toolchain", "go", "wheel"), manifest.go.wheel.sha256)]
    for index, part in enumerate(manifest.components):
        match part.source:
            case WheelSource(pin=pin):
                pins.append((("components", index, "source"), pin.sha256))
            case ArtifactSource(files=files):
                pins.append((("components", index, "source"), files))
    for path, targets in pins:
        if missing := [target for target in manifest.targets if target not in targets]:
            yield Finding(path, f"there is no pin for {', '.join(missing)}")


RULES: tuple[Callable[[Manifest], Iterator[Finding]], ...] = (
    check_not_empty,
    check_unique,
    check_references,
    check_bottle_tags,
    check_queues,
    check_proofs,
    check_liveness,
    check_pauses,
    check_proof_ports,
    check_temporal_needs,
    check_temporal_port,
    check_external,
    check_needs,
    check_placeholders,
    check_uris,
    check_ready_texts,
    check_pins,
)


def check(manifest: Manifest) -> list[Finding]:
    """Return the findings of all rules."""
    return [finding for rule in RULES for finding in rule(manifest)]


def _ports(manifest: Manifest) -> list[tuple[int, str, int]]:
    return [(i, name, number) for i, part in enumerate(manifest.components) for name, number in part.run.ports.items()]


def _proofs(manifest: Manifest) -> Iterator[tuple[Path, Component, Proof]]:
    for index, part in enumerate(manifest.components):
        for position, proof in enumerate(part.run.readiness.proofs):
            yield ("components", index, "run", "readiness", "proofs", position), part, proof


def _templates(part: Component) -> Iterator[tuple[Path, str]]:
    yield from ((("arguments", position), text) for position, text in enumerate(part.run.arguments))
    yield from ((("environment", name), text) for name, text in part.run.environment.items())


def _repeated(kind: str, names: list[tuple[Path, str]]) -> Iterator[Finding]:
    counts: Counter[str] = Counter()
    for path, name in names:
        counts[name] += 1
        if name and counts[name] > 1:
            yield Finding(path, f"duplicate {kind} {name!r}")
