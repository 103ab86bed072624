"""What must hold between the parts of a manifest. Each rule takes the manifest and yields findings.

A value that could not be read is empty here, and no rule speaks of it again.
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
"""What the launcher knows to fill in, besides ports. Source: launcher/stigmer_launcher/launch/environment.py."""
# Options whose value Temporal hands to SQLite as a URI: `#`, `?` and `%` of an absolute path would be read as its parts.
_READ_AS_URI = ("--db-filename",)
_BRACES = re.compile(r"\{([^{}]*)\}")


def something_is_shipped(manifest: Manifest) -> Iterator[Finding]:
    """Demand a component and a target."""
    for key, entries in (("components", manifest.components), ("targets", manifest.targets)):
        if not entries:
            yield Finding((key,), f"there is no {key.removesuffix('s')}")


def nothing_is_there_twice(manifest: Manifest) -> Iterator[Finding]:
    """Demand that components, ports, port numbers and inherited variables differ."""
    parts = enumerate(manifest.components)
    ports = [(("components", i, "run", "ports", name), name, number) for i, name, number in _ports(manifest)]
    yield from _repeated("component", [(("components", i, "name"), part.name) for i, part in parts])
    yield from _repeated("variable", [(("inherit", i), name) for i, name in enumerate(manifest.inherit)])
    yield from _repeated("port", [(path, name) for path, name, _ in ports])
    yield from _repeated("port number", [(path, str(number)) for path, _, number in ports])


def what_is_named_is_there(manifest: Manifest) -> Iterator[Finding]:
    """Demand that whoever names a port, a component, or a variable that is sent, names one that there is."""
    ports, parts = {name for _, name, _ in _ports(manifest)}, {part.name for part in manifest.components}
    smoke = manifest.smoke
    named: list[tuple[str, Iterable[str], Path, str]] = [
        ("port", ports, ("smoke", "port"), smoke.port),
        ("component", parts, ("smoke", "component"), smoke.component),
        *(("port", ports, (*path, "port"), proof.port) for path, _, proof in _proofs(manifest)),
    ]
    for index, part in enumerate(manifest.components):
        sent, path = part.run.environment, ("components", index)
        named += [("component", parts, (*path, "run", "needs", i), name) for i, name in enumerate(part.run.needs)]
        named += [("variable", sent, (*path, "required", i), name) for i, name in enumerate(part.required)]
        named += [("variable", sent, (*path, "optional", i), name) for i, name in enumerate(part.optional)]
    for what, known, place, name in named:
        if name and name not in known:
            yield Finding(place, unknown(what, name, known))


def tags_fit_their_targets(manifest: Manifest) -> Iterator[Finding]:
    """Demand that a bottle tag is one of its target's platform, and that no newer macOS is asked for than brew pours on."""
    for target, spec in manifest.targets.items():
        if not spec.bottle:
            continue
        platform = parse_tag(spec.bottle)
        minimum, release = spec.macos_minimum, MACOS_VERSIONS.get(platform.release, 0)
        if str(platform.target) != target:
            yield Finding(("targets", target, "bottle"), f"{spec.bottle!r} is not a bottle tag of {target}")
        elif minimum and int(minimum.partition(".")[0]) > release:
            text = f"brew pours {spec.bottle} from macOS {release} on, and {minimum} is asked for"
            yield Finding(("targets", target, "macos_minimum"), text)


def queues_are_for_pollers(manifest: Manifest) -> Iterator[Finding]:
    """Demand queues for pollers, which are looked for on them, and for no other kind."""
    for path, _, proof in _proofs(manifest):
        if proof.kind == "pollers" and not proof.queues:
            yield Finding(path, "a proof by pollers needs at least one queue in 'queues'")
        if proof.kind not in {"pollers", ""} and proof.queues:
            yield Finding((*path, "queues"), f"queues are for a proof by pollers, not by {proof.kind}")


def components_prove_themselves(manifest: Manifest) -> Iterator[Finding]:
    """Demand at least one proof of every component: what has shown nothing is not ready."""
    for index, part in enumerate(manifest.components):
        readiness = part.run.readiness
        if readiness.seconds and not readiness.proofs:
            yield Finding(("components", index, "run", "readiness", "proofs"), "at least one proof is needed")


def liveness_is_checked_one_at_a_time(manifest: Manifest) -> Iterator[Finding]:
    """Demand that a check is over before the next one is due."""
    for index, part in enumerate(manifest.components):
        liveness = part.run.liveness
        if liveness.timeout > liveness.every:
            text = f"a check of {liveness.timeout:g} s is not over when the next is due, every {liveness.every:g} s"
            yield Finding(("components", index, "run", "liveness", "timeout"), text)


def pauses_grow(manifest: Manifest) -> Iterator[Finding]:
    """Demand that the longest pause before a restart is no shorter than the first."""
    pauses = manifest.restart
    if pauses.longest_pause < pauses.first_pause:
        text = f"{pauses.longest_pause:g} s is shorter than the first pause, {pauses.first_pause:g} s"
        yield Finding(("restart", "longest_pause"), text)


def proofs_are_given_where_they_can_be(manifest: Manifest) -> Iterator[Finding]:
    """Demand that a component proves itself at its own ports, or at those of a component it needs.

    One that started before the other may have failed to reach it and never try again.
    """
    owners = {name: part.name for part in manifest.components for name in part.run.ports}
    for path, part, proof in _proofs(manifest):
        owner = owners.get(proof.port, part.name)
        if owner not in (part.name, *part.run.needs):
            yield Finding((*path, "port"), f"{proof.port!r} is a port of {owner}, which {part.name} does not need")


def temporal_is_needed_where_it_is_used(manifest: Manifest) -> Iterator[Finding]:
    """Demand that whoever is sent Temporal's address starts after Temporal: a client may dial once, at its start."""
    servers = [part.name for _, part, proof in _proofs(manifest) if proof.kind == "temporal"]
    for index, part in enumerate(manifest.components):
        sent = any("{temporal.address}" in text for _, text in _templates(part))
        missing = [name for name in servers if name not in (part.name, *part.run.needs)]
        if sent and missing:
            text = f"{part.name} is sent {{temporal.address}}, and does not name {missing[0]} in 'needs'"
            yield Finding(("components", index, "run"), text)


def temporal_has_its_port(manifest: Manifest) -> Iterator[Finding]:
    """Demand a port `temporal` where Temporal's address is used: the launcher makes the address of it."""
    if any(name == "temporal" for _, name, _ in _ports(manifest)):
        return
    text = "it asks Temporal, whose address is that of the port 'temporal', and no component has one"
    for path, _, proof in _proofs(manifest):
        if proof.kind == "pollers":
            yield Finding(path, text)
    for index, part in enumerate(manifest.components):
        for keys, template in _templates(part):
            if "{temporal.address}" in template:
                yield Finding(("components", index, "run", *keys), text)


def only_temporal_is_external(manifest: Manifest) -> Iterator[Finding]:
    """Demand that `external` stands at Temporal: the launcher takes the variable for Temporal's address."""
    for index, part in enumerate(manifest.components):
        kinds = {proof.kind for proof in part.run.readiness.proofs}
        if part.run.external and kinds and "temporal" not in kinds:
            path = ("components", index, "run", "external")
            yield Finding(path, "only a component whose readiness is of the kind temporal can be external")


def needs_are_acyclic(manifest: Manifest) -> Iterator[Finding]:
    """Demand that what a component needs does not need it in turn, and is stopped after it."""
    known = {part.name: part for part in manifest.components}
    for index, part in enumerate(manifest.components):
        for position, need in enumerate(part.run.needs):
            if need in known and need != part.name and known[need].run.stop_order >= part.run.stop_order:
                text = f"{part.name} is not stopped before {need}, which it needs: see stop_order"
                yield Finding(("components", index, "run", "needs", position), text)
    try:
        graphlib.TopologicalSorter({name: part.run.needs for name, part in known.items()}).prepare()
    except graphlib.CycleError as error:
        yield Finding(("components",), f"components need each other in a circle: {' -> '.join(error.args[1])}")


def templates_are_known(manifest: Manifest) -> Iterator[Finding]:
    """Demand that braces hold variables that the launcher fills in, or ports that exist."""
    known = {*VARIABLES, *(f"port.{name}" for _, name, _ in _ports(manifest))}
    texts: list[tuple[Path, str]] = [
        (("smoke", "arguments", position), text) for position, text in enumerate(manifest.smoke.arguments)
    ]
    for index, part in enumerate(manifest.components):
        texts += [(("components", index, "run", *keys), text) for keys, text in _templates(part)]
    for path, text in texts:
        words = [word for word in _BRACES.findall(text) if word not in known]
        yield from (Finding(path, unknown("variable", word, known)) for word in words)
        if re.search(r"[{}]", _BRACES.sub("", text)):
            yield Finding(path, f"a brace without its partner in {text!r}")


def uris_hold_no_home(manifest: Manifest) -> Iterator[Finding]:
    """Demand `{home.relative}` where a program reads a URI: a home's path may hold what means something there."""
    for index, part in enumerate(manifest.components):
        words = part.run.arguments
        for position, (option, value) in enumerate(itertools.pairwise(words), 1):
            if option in _READ_AS_URI and "{home}" in value:
                path = ("components", index, "run", "arguments", position)
                yield Finding(path, f"{option} is read as a URI: use {{home.relative}} instead of {{home}}")


def frozen_services_show_that_they_work(manifest: Manifest) -> Iterator[Finding]:
    """Demand a text that a frozen service prints when it works, unless it opens a port: the frozen copy is tried by it."""
    for index, part in enumerate(manifest.components):
        match part.source:
            case CheckoutSource(build="pyinstaller", ready="") if not part.run.ports:
                text = "the key 'ready' is missing: the text it prints when it works, for it opens no port of its own"
                yield Finding(("components", index, "source"), text)


def every_target_is_pinned(manifest: Manifest) -> Iterator[Finding]:
    """Demand that what is fetched is pinned for each target we ship for."""
    pins: list[tuple[Path, Iterable[str]]] = [(("toolchain", "go", "wheel"), manifest.go.wheel.sha256)]
    for index, part in enumerate(manifest.components):
        match part.source:
            case WheelSource(pin=pin):
                pins.append((("components", index, "source"), pin.sha256))
            case ArtifactSource(files=files):
                pins.append((("components", index, "source"), files))
    for path, targets in pins:
        if missing := [target for target in manifest.targets if target not in targets]:
            yield Finding(path, f"nothing is pinned for {', '.join(missing)}")


RULES: tuple[Callable[[Manifest], Iterator[Finding]], ...] = (
    something_is_shipped,
    nothing_is_there_twice,
    what_is_named_is_there,
    tags_fit_their_targets,
    queues_are_for_pollers,
    components_prove_themselves,
    liveness_is_checked_one_at_a_time,
    pauses_grow,
    proofs_are_given_where_they_can_be,
    temporal_is_needed_where_it_is_used,
    temporal_has_its_port,
    only_temporal_is_external,
    needs_are_acyclic,
    templates_are_known,
    uris_hold_no_home,
    frozen_services_show_that_they_work,
    every_target_is_pinned,
)


def check(manifest: Manifest) -> list[Finding]:
    """Hold every rule against the manifest."""
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


def _repeated(what: str, named: list[tuple[Path, str]]) -> Iterator[Finding]:
    seen: Counter[str] = Counter()
    for path, name in named:
        seen[name] += 1
        if name and seen[name] > 1:
            yield Finding(path, f"the {what} {name!r} is there twice")
