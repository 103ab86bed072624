"""The pure plan of a release: which steps there are, what each depends on, and which stages are asked for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from stigmer_packaging.lib.errors import ForeignTargetError
from stigmer_packaging.lib.target import Target, is_runnable
from stigmer_packaging.manifest.model import CheckoutSource, Component, Manifest

STAGES = ("obtain", "freeze", "credit", "assemble", "bottle", "standalone", "audit", "formula", "verify")
FROM_BOTTLES = ("audit", "formula")
"""The stages that need no more than bottles, wherever those were made."""

RELEASE = "verify"
"""The stage that needs all others, and so stands for the whole."""

LATE = (*FROM_BOTTLES, RELEASE)

STANDALONE = "standalone"
"""The stage that makes what people without Homebrew download; a release does it too, though nothing needs it."""


@dataclass(frozen=True)
class Step:
    """One record to make: its name, the stage that makes it, the records it needs, and all else it depends on.

    `subject` is what the step is about, such as a component's name. A `gathered` step's record was made on a machine of
    its own platform and brought into the workspace: it is taken as it is.
    """

    name: str
    stage: str
    target: str
    subject: str
    needs: tuple[str, ...]
    facts: Mapping[str, object]
    gathered: bool = False


@dataclass(frozen=True)
class Inputs:
    """All that a release depends on besides the manifest, as plain values.

    `parts` says of `TARGET/COMPONENT`, and of `TARGET/launcher`, what it is made of; `keg`, `source`, `verification` and
    `audit` (by target) are what the later stages take from outside; `offered`, the names of the records that other
    machines made; `unpacker`, what the single file's own program is made of.
    """

    host: Target
    parts: Mapping[str, Mapping[str, object]]
    keg: Mapping[str, object]
    source: Mapping[str, object]
    verification: Mapping[str, object]
    audit: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    offered: frozenset[str] = frozenset()
    unpacker: Mapping[str, object] = field(default_factory=dict)


def is_frozen(component: Component) -> bool:
    """Whether a component is frozen with PyInstaller."""
    return isinstance(component.source, CheckoutSource) and component.source.build == "pyinstaller"


def is_temporal(component: Component) -> bool:
    """Whether a component is the Temporal server itself, against which frozen services are tried."""
    proofs = component.run.readiness.proofs
    return any(proof.kind == "temporal" for proof in proofs) and not is_frozen(component)


def needs_temporal(component: Component, manifest: Manifest) -> bool:
    """Whether a component does not work without Temporal: it needs it, or is ready by what Temporal says."""
    servers = {part.name for part in manifest.components if is_temporal(part)}
    kinds = {proof.kind for proof in component.run.readiness.proofs}
    return bool(servers.intersection(component.run.needs) or kinds & {"temporal", "pollers"})


def is_made_here(target: Target, host: Target) -> bool:
    """Whether what a target needs can be frozen on this machine: on Linux for any platform, elsewhere for its own."""
    return host.system == "linux" or target == host


def can_verify(target: Target, host: Target, offered: Collection[str]) -> bool:
    """Whether a bottle's verification can be had: from the sandbox of a Linux machine of its kind, or from elsewhere."""
    return (is_runnable(target, host) and host.system == "linux") or verification_name(target) in offered


def verification_name(target: Target) -> str:
    """Name the record of a bottle's verification."""
    return f"verify/{'sandbox' if target.system == 'linux' else 'macos'}/{target}"


def refuse_foreign(
    manifest: Manifest, targets: Sequence[Target], host: Target, until: str, offered: Collection[str] = ()
) -> None:
    """Raise ForeignTargetError when something is needed that only another platform makes, and nobody offers it."""
    foreign = [target for target in targets if not is_made_here(target, host)]
    if until in {"obtain", *FROM_BOTTLES}:
        return
    needed = {name: target for target in foreign for name in _made_elsewhere(manifest, target, until)}
    if until != "freeze":
        needed |= {name: target for target in targets for name in _credits_of_taken(manifest, target, offered)}
    if missing := [name for name in needed if name not in offered]:
        named = ", ".join(dict.fromkeys(str(needed[name]) for name in missing))
        raise ForeignTargetError(
            f"{until} for {named} needs frozen parts, and this machine is {host}: there is no {', no '.join(missing)}"
        )


def stages_until(until: str, targets: Sequence[Target], host: Target) -> tuple[str, ...]:
    """List the stages that will run here: what other platforms make is there already, or is not made at all."""
    stages = STAGES[: STAGES.index(until) + 1]
    if any(is_made_here(target, host) for target in targets):
        return stages
    if until in LATE:
        return tuple(stage for stage in stages if stage in FROM_BOTTLES)
    return tuple(stage for stage in stages if stage != "freeze")


def plan_release(
    manifest: Manifest, targets: Sequence[Target], inputs: Inputs, *, until: str = RELEASE, also: str = ""
) -> tuple[Step, ...]:
    """Plan every step of the stages `until` and `also`, and of what these need, in an order that works.

    What another platform's machine made is gathered: for a keg or a bottle its frozen parts, for what follows its bottle
    and the report of its verification. ForeignTargetError as refuse_foreign.
    """
    host, offered = inputs.host, inputs.offered
    refuse_foreign(manifest, targets, host, until, offered)
    steps: dict[str, Step] = {}
    for target in targets:
        bottle, sbom = f"bottle/{target}", f"sbom/{target}"
        gathered = until in LATE and (bottle in offered or not is_made_here(target, host))
        version = manifest.product.version
        taken = [_gathered(bottle, target, version), _gathered(sbom, target), *_taken_files(target, version, offered)]
        planned = taken if gathered else _steps_of(manifest, target, inputs)
        facts = inputs.audit.get(str(target), {})
        planned.append(Step(f"audit/{target}", "audit", str(target), "audit", (bottle, sbom), facts))
        steps |= {step.name: step for step in planned}
    steps["source"] = Step("source", "bottle", "", "source", (), inputs.source)
    bottles = tuple(f"{stage}/{target}" for target in targets for stage in ("bottle", "audit"))
    steps["formula"] = Step("formula", "formula", "", "formula", ("source", *bottles), {"manifest": asdict(manifest)})
    for target in (target for target in targets if can_verify(target, host, offered)):
        name, needs = verification_name(target), (f"bottle/{target}", "formula")
        facts, gathered = inputs.verification, _is_taken(name, target, inputs)
        steps[name] = Step(name, "verify", str(target), "sandbox", needs, {} if gathered else facts, gathered)
        program = f"program/{target}"
        if program in steps and (not gathered or f"verify/{program}" in offered):
            tried, facts = (program, "formula"), {} if gathered else facts
            steps[f"verify/{program}"] = Step(
                f"verify/{program}", "verify", str(target), "program", tried, facts, gathered
            )
    return _needed(steps, {until, also})


def _steps_of(manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    parts = [_part(part, target, manifest, inputs) for part in manifest.components]
    parts.append(_launcher(target, manifest, inputs))
    credited = _credits(parts, manifest, target, inputs)
    needs = (*(step.name for step in (*parts, *credited)), "source")
    keg = Step(
        f"assemble/{target}", "assemble", str(target), "keg", needs, {"manifest": asdict(manifest), **inputs.keg}
    )
    tag = {"tag": manifest.tag_of(target), **inputs.keg}
    files = [Step(f"bottle/{target}", "bottle", str(target), "bottle", (keg.name,), tag)]
    files.append(Step(f"archive/{target}", STANDALONE, str(target), "archive", (keg.name,), inputs.keg))
    own = {**inputs.keg, **inputs.unpacker}
    files.append(Step(f"program/{target}", STANDALONE, str(target), "program", (keg.name,), own))
    return [*parts, *credited, keg, *files]


def _credits(parts: Sequence[Step], manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    """Plan to say what each part is made of, the launcher's first, and the bill of materials of all."""
    licences = {part.name: part.license for part in manifest.components}
    credited = [
        _credit(part, licences.get(part.subject, manifest.product.license)) for part in (parts[-1], *parts[:-1])
    ]
    names = tuple(step.name for step in credited)
    facts = {"product": asdict(manifest.product), "tag": manifest.tag_of(target), **inputs.keg}
    return [*credited, Step(f"sbom/{target}", "credit", str(target), "sbom", names, facts)]


def _credit(part: Step, licence: str) -> Step:
    name = f"credit/{part.target}/{part.subject}"
    facts = {**part.facts, "licence": licence}
    return Step(name, "credit", part.target, part.subject, () if part.gathered else (part.name,), facts, part.gathered)


def _part(part: Component, target: Target, manifest: Manifest, inputs: Inputs) -> Step:
    sent = (part.run.environment, part.required)
    facts = {"version": part.version, "sent": sent, **inputs.parts.get(f"{target}/{part.name}", {})}
    if not is_frozen(part):
        return Step(f"obtain/{target}/{part.name}", "obtain", str(target), part.name, (), facts)
    if _is_taken(f"freeze/{target}/{part.name}", target, inputs):
        return _gathered(f"freeze/{target}/{part.name}", target, part.version)
    servers = (other for other in manifest.components if needs_temporal(part, manifest) and is_temporal(other))
    tried_with = tuple(f"obtain/{target}/{server.name}" for server in servers)
    return Step(f"freeze/{target}/{part.name}", "freeze", str(target), part.name, tried_with, facts)


def _launcher(target: Target, manifest: Manifest, inputs: Inputs) -> Step:
    name = f"freeze/{target}/launcher"
    if _is_taken(name, target, inputs):
        return _gathered(name, target, manifest.product.version)
    return Step(name, "freeze", str(target), "launcher", (), inputs.parts.get(f"{target}/launcher", {}))


def _is_taken(name: str, target: Target, inputs: Inputs) -> bool:
    """Tell whether a record that only a target's own machine makes comes from there; what it offers need not be made here."""
    return target != inputs.host and (name in inputs.offered or not is_made_here(target, inputs.host))


def _made_elsewhere(manifest: Manifest, target: Target, until: str) -> list[str]:
    """Name what a stage needs of a platform that is not this machine's."""
    if until in LATE:
        return [f"bottle/{target}", f"sbom/{target}"]
    stages = ("freeze",) if until == "freeze" else ("freeze", "credit")
    return [f"{stage}/{target}/{name}" for stage in stages for name in (*_frozen(manifest), "launcher")]


def _credits_of_taken(manifest: Manifest, target: Target, offered: Collection[str]) -> list[str]:
    """Name what must come along with the frozen parts that others made: only where they were made is known of what."""
    parts = (*_frozen(manifest), "launcher")
    return [f"credit/{target}/{name}" for name in parts if f"freeze/{target}/{name}" in offered]


def _frozen(manifest: Manifest) -> list[str]:
    return [part.name for part in manifest.components if is_frozen(part)]


def _gathered(name: str, target: Target, version: str = "") -> Step:
    stage, _, subject = name.partition("/")
    subject = subject.rpartition("/")[2] if stage in {"freeze", "credit"} else stage
    facts = {"version": version} if version else {}
    return Step(name, "credit" if stage == "sbom" else stage, str(target), subject, (), facts, gathered=True)


def _taken_files(target: Target, version: str, offered: Collection[str]) -> list[Step]:
    """Plan to take over what else a target's machine made of its keg."""
    others = [kind for kind in ("archive", "program") if f"{kind}/{target}" in offered]
    facts = {"version": version}
    return [Step(f"{kind}/{target}", STANDALONE, str(target), kind, (), facts, gathered=True) for kind in others]


def _needed(steps: Mapping[str, Step], stages: Collection[str]) -> tuple[Step, ...]:
    """Keep the steps of these stages and all they need, each after its needs."""
    chosen: dict[str, Step] = {}

    def choose(names: Iterable[str]) -> None:
        for name in names:
            if name not in chosen:
                choose(steps[name].needs)
                chosen[name] = steps[name]

    choose(name for name, step in steps.items() if step.stage in stages)
    return tuple(chosen.values())
