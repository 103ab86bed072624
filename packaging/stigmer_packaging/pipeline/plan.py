"""Plans a release, without side effects: its steps, what each depends on, and which the requested stages need."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from stigmer_packaging.lib.errors import ForeignTargetError
from stigmer_packaging.lib.target import Target, is_runnable
from stigmer_packaging.manifest.model import CheckoutSource, Component, Manifest

STAGES = {
    "obtain": "Build or fetch the components that are single executables.",
    "freeze": "Freeze the launcher and the components written in Python.",
    "credit": "Generate third-party notices and the SBOM: the ingredients of each part and their licences.",
    "assemble": "Assemble launcher and components into a keg.",
    "bottle": "Pack the keg as a bottle, and the source archive.",
    "standalone": "Make the downloads for people without Homebrew: an archive, and one file that unpacks itself.",
    "audit": "Audit the bottle's files; report every finding.",
    "formula": "Write the formula for the bottles of all given targets.",
    "verify": "Verify a bottle on machines without Python and network; default: the one in dist/.",
}
"""The stages in order, with a description of each."""

RELEASE = "verify"
"""The last stage, which stands for a complete release."""

STANDALONE = "standalone"
"""The stage that makes the downloads for people without Homebrew."""

UNNEEDED = (STANDALONE, "formula")
"""The stages that a release includes although no other stage needs their artefacts."""


@dataclass(frozen=True)
class Step:
    """One record to make: its name, the stage that makes it, the records it needs, and its other inputs, the facts.

    `subject` is what the step processes, such as a component's name. `alone` is whether no other step may run at the
    same time, because the step measures durations.
    """

    name: str
    stage: str
    target: str
    subject: str
    needs: tuple[str, ...]
    facts: Mapping[str, object]
    alone: bool = False


@dataclass(frozen=True)
class Inputs:
    """All inputs of a release besides the manifest, as plain values.

    `parts` holds the inputs of each `TARGET/COMPONENT` and `TARGET/launcher`; `keg`, `source`, `verification` and
    `audit` (by target) those of later stages that come from outside; `unpacker` those of the program that unpacks the
    single file.
    """

    host: Target
    parts: Mapping[str, Mapping[str, object]]
    keg: Mapping[str, object]
    source: Mapping[str, object]
    verification: Mapping[str, object]
    audit: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    unpacker: Mapping[str, object] = field(default_factory=dict)


def is_frozen(component: Component) -> bool:
    """Return whether a component is frozen with PyInstaller."""
    return isinstance(component.source, CheckoutSource) and component.source.build == "pyinstaller"


def is_temporal(component: Component) -> bool:
    """Return whether a component is the Temporal server, which frozen services are tested against."""
    proofs = component.run.readiness.proofs
    return any(proof.kind == "temporal" for proof in proofs) and not is_frozen(component)


def needs_temporal(component: Component, manifest: Manifest) -> bool:
    """Return whether a component depends on Temporal: it needs it, or its readiness is checked with it."""
    servers = {part.name for part in manifest.components if is_temporal(part)}
    kinds = {proof.kind for proof in component.run.readiness.proofs}
    return bool(servers.intersection(component.run.needs) or kinds & {"temporal", "pollers"})


def is_made_here(target: Target, host: Target) -> bool:
    """Return whether this machine can freeze for a target: on Linux for any, elsewhere only for its own platform."""
    return host.system == "linux" or target == host


def can_verify(target: Target, host: Target) -> bool:
    """Return whether a release verifies a target's bottle here: in the sandbox, if it runs on this Linux machine."""
    return is_runnable(target, host) and host.system == "linux"


def refuse_foreign(targets: Sequence[Target], host: Target, until: str) -> None:
    """Raise ForeignTargetError if a stage needs frozen parts for a platform that this machine cannot freeze for."""
    foreign = [str(target) for target in targets if not is_made_here(target, host)]
    if foreign and until != "obtain":
        raise ForeignTargetError(f"{until} for {', '.join(foreign)} needs frozen parts, and this machine is {host}")


def stages_until(until: str) -> tuple[str, ...]:
    """Return the stages up to and including this one."""
    return tuple(STAGES)[: [*STAGES].index(until) + 1]


def plan_release(
    manifest: Manifest, targets: Sequence[Target], inputs: Inputs, *, until: str = RELEASE, also: Collection[str] = ()
) -> tuple[Step, ...]:
    """Return the steps of the stages `until` and `also`, and those they need, each after the steps it depends on.

    Targets that are verified here come first, as theirs is the longest chain of steps. Durations under emulation are
    meaningless, so a verification by emulation runs in parallel with other steps.
    """
    verified = [target for target in targets if can_verify(target, inputs.host)]
    order = (*verified, *(target for target in targets if target not in verified))
    steps = {step.name: step for target in order for step in _steps_of(manifest, target, inputs)}
    steps["source"] = Step("source", "bottle", "", "source", (), inputs.source)
    bottles = tuple(f"{stage}/{target}" for target in targets for stage in ("bottle", "audit"))
    steps["formula"] = Step("formula", "formula", "", "formula", ("source", *bottles), {"manifest": asdict(manifest)})
    return _needed(steps, {until, *also})


def _steps_of(manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    platform, launcher = str(target), inputs.parts.get(f"{target}/launcher", {})
    parts = [_part(part, target, manifest, inputs) for part in manifest.components]
    parts.append(Step(f"freeze/{target}/launcher", "freeze", platform, "launcher", (), launcher))
    credited = _credits(parts, manifest, target, inputs)
    needs = (*(step.name for step in (*parts, *credited)), "source")
    keg = Step(f"assemble/{target}", "assemble", platform, "keg", needs, {"manifest": asdict(manifest), **inputs.keg})
    facts = {"tag": manifest.tag_of(target), "rebuild": manifest.product.rebuild, **inputs.keg}
    bottle = Step(f"bottle/{target}", "bottle", platform, "bottle", (keg.name,), facts)
    audit_facts = inputs.audit.get(platform, {})
    audit = Step(f"audit/{target}", "audit", platform, "audit", (bottle.name, f"sbom/{target}"), audit_facts)
    archive = Step(f"archive/{target}", STANDALONE, platform, "archive", (keg.name,), inputs.keg)
    unpacker = {**inputs.keg, **inputs.unpacker}
    program = Step(f"program/{target}", STANDALONE, platform, "program", (keg.name,), unpacker)
    steps = [*parts, *credited, keg, bottle, audit, archive, program]
    if can_verify(target, inputs.host):
        for name, subject in (("sandbox", bottle), ("program", program)):
            after, alone = (subject.name, audit.name), target == inputs.host
            steps.append(Step(f"verify/{name}/{target}", "verify", platform, name, after, inputs.verification, alone))
    return steps


def _credits(parts: Sequence[Step], manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    """Plan the credits of each part, the launcher's first, and the SBOM of all."""
    licences = {part.name: part.license for part in manifest.components}
    credited = []
    for part in (parts[-1], *parts[:-1]):
        name, licence = f"credit/{target}/{part.subject}", licences.get(part.subject, manifest.product.license)
        facts = {**part.facts, "licence": licence}
        credited.append(Step(name, "credit", str(target), part.subject, (part.name,), facts))
    names = tuple(step.name for step in credited)
    facts = {"product": asdict(manifest.product), "tag": manifest.tag_of(target), **inputs.keg}
    return [*credited, Step(f"sbom/{target}", "credit", str(target), "sbom", names, facts)]


def _part(part: Component, target: Target, manifest: Manifest, inputs: Inputs) -> Step:
    sent = (part.run.environment, part.required)
    facts = {"version": part.version, "sent": sent, **inputs.parts.get(f"{target}/{part.name}", {})}
    if not is_frozen(part):
        return Step(f"obtain/{target}/{part.name}", "obtain", str(target), part.name, (), facts)
    servers = (other for other in manifest.components if needs_temporal(part, manifest) and is_temporal(other))
    needs = tuple(f"obtain/{target}/{server.name}" for server in servers)
    return Step(f"freeze/{target}/{part.name}", "freeze", str(target), part.name, needs, facts)


def _needed(steps: Mapping[str, Step], stages: Collection[str]) -> tuple[Step, ...]:
    """Return the steps of these stages and all that they need, each after its needs."""
    chosen: dict[str, Step] = {}

    def choose(names: Iterable[str]) -> None:
        for name in names:
            if name not in chosen:
                choose(steps[name].needs)
                chosen[name] = steps[name]

    choose(name for name, step in steps.items() if step.stage in stages)
    return tuple(chosen.values())
