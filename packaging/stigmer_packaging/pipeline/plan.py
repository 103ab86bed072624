"""The pure plan of a release: which steps there are, what each depends on, and which stages are asked for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from stigmer_packaging.lib.errors import ForeignTargetError
from stigmer_packaging.lib.target import Target, is_runnable
from stigmer_packaging.manifest.model import CheckoutSource, Component, Manifest

STAGES = {
    "obtain": "Build or fetch the components that are single executables.",
    "freeze": "Freeze the launcher and the components written in Python.",
    "credit": "Generate third-party notices and the SBOM: what each part is made of, under which licences.",
    "assemble": "Assemble launcher and components into a keg.",
    "bottle": "Pack the keg as a bottle, and the source archive.",
    "standalone": "Make the downloads for people without Homebrew: an archive, and one file that unpacks itself.",
    "audit": "Audit the bottle's files; report every finding.",
    "formula": "Write the formula for the bottles of all given targets.",
    "verify": "Verify a bottle on machines without Python and network; default: the one in dist/.",
}
"""The stages in their order, and what each does."""

RELEASE = "verify"
"""The stage that needs all others, and so stands for the whole."""

STANDALONE = "standalone"
"""The stage that makes what people without Homebrew download."""

UNNEEDED = (STANDALONE, "formula")
"""The stages that a release does too, though no other stage needs what they make."""


@dataclass(frozen=True)
class Step:
    """One record to make: its name, the stage that makes it, the records it needs, and all else it depends on.

    `subject` is what the step is about, such as a component's name. `alone` says that nothing else is carried out
    meanwhile, as the step measures how long things take.
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
    """All that a release depends on besides the manifest, as plain values.

    `parts` says of `TARGET/COMPONENT`, and of `TARGET/launcher`, what it is made of; `keg`, `source`, `verification` and
    `audit` (by target) are what the later stages take from outside; `unpacker`, what the single file's own program is
    made of.
    """

    host: Target
    parts: Mapping[str, Mapping[str, object]]
    keg: Mapping[str, object]
    source: Mapping[str, object]
    verification: Mapping[str, object]
    audit: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
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


def can_verify(target: Target, host: Target) -> bool:
    """Whether a release verifies a target's bottle here: in the sandbox of a Linux machine on which it runs."""
    return is_runnable(target, host) and host.system == "linux"


def refuse_foreign(targets: Sequence[Target], host: Target, until: str) -> None:
    """Raise ForeignTargetError when a stage needs frozen parts for a platform that this machine does not freeze for."""
    foreign = [str(target) for target in targets if not is_made_here(target, host)]
    if foreign and until != "obtain":
        raise ForeignTargetError(f"{until} for {', '.join(foreign)} needs frozen parts, and this machine is {host}")


def stages_until(until: str) -> tuple[str, ...]:
    """List the stages up to this one."""
    return tuple(STAGES)[: [*STAGES].index(until) + 1]


def plan_release(
    manifest: Manifest, targets: Sequence[Target], inputs: Inputs, *, until: str = RELEASE, also: Collection[str] = ()
) -> tuple[Step, ...]:
    """Plan every step of the stages `until` and `also`, and of what these need, in an order that works.

    The targets that are verified here come first, as most steps follow one another for them. Times under emulation mean
    nothing, so a verification by emulation is carried out beside other steps.
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
    named = {"tag": manifest.tag_of(target), "rebuild": manifest.product.rebuild, **inputs.keg}
    bottle = Step(f"bottle/{target}", "bottle", platform, "bottle", (keg.name,), named)
    facts = inputs.audit.get(platform, {})
    audit = Step(f"audit/{target}", "audit", platform, "audit", (bottle.name, f"sbom/{target}"), facts)
    archive = Step(f"archive/{target}", STANDALONE, platform, "archive", (keg.name,), inputs.keg)
    unpacker = {**inputs.keg, **inputs.unpacker}
    program = Step(f"program/{target}", STANDALONE, platform, "program", (keg.name,), unpacker)
    steps = [*parts, *credited, keg, bottle, audit, archive, program]
    if can_verify(target, inputs.host):
        for name, made in (("sandbox", bottle), ("program", program)):
            tried, alone = (made.name, audit.name), target == inputs.host
            steps.append(Step(f"verify/{name}/{target}", "verify", platform, name, tried, inputs.verification, alone))
    return steps


def _credits(parts: Sequence[Step], manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    """Plan to say what each part is made of, the launcher's first, and the bill of materials of all."""
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
    tried_with = tuple(f"obtain/{target}/{server.name}" for server in servers)
    return Step(f"freeze/{target}/{part.name}", "freeze", str(target), part.name, tried_with, facts)


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
