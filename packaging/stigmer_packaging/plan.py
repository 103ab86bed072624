"""The pure plan of a release: which steps there are, what each depends on, and which stages are asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from stigmer_packaging.errors import ForeignTargetError
from stigmer_packaging.manifest_records import CheckoutSource, Component, Manifest
from stigmer_packaging.naming import Target

STAGES = ("obtain", "freeze", "assemble", "bottle", "audit", "formula", "verify")
FROM_BOTTLES = ("audit", "formula")
"""The stages that need no more than bottles, wherever those were made."""

RELEASE = "verify"
"""The stage that needs all others, and so stands for the whole."""


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
    `audit` (by target) are what the later stages take from outside.
    """

    host: Target
    parts: Mapping[str, Mapping[str, object]]
    keg: Mapping[str, object]
    source: Mapping[str, object]
    verification: Mapping[str, object]
    audit: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def is_frozen(component: Component) -> bool:
    """Whether a component is frozen with PyInstaller, which only works on its own platform."""
    return isinstance(component.source, CheckoutSource) and component.source.build == "pyinstaller"


def is_temporal(component: Component) -> bool:
    """Whether a component is the Temporal server itself, against which frozen services are tried."""
    return component.run.readiness.kind == "temporal" and not is_frozen(component)


def refuse_foreign(targets: Sequence[Target], host: Target, until: str) -> None:
    """Raise ForeignTargetError when a part is needed that is frozen for a platform which this machine is not."""
    foreign = [str(target) for target in targets if target != host]
    if foreign and until not in {"obtain", *FROM_BOTTLES}:
        raise ForeignTargetError(f"{until} for {', '.join(foreign)} needs frozen parts, and this machine is {host}")


def stages_until(until: str, targets: Sequence[Target], host: Target) -> tuple[str, ...]:
    """List the stages that will be needed: of other platforms' bottles these stages need no more than that they are."""
    stages = STAGES[: STAGES.index(until) + 1]
    if until in FROM_BOTTLES and host not in targets:
        return tuple(stage for stage in stages if stage in FROM_BOTTLES)
    return stages


def plan_release(
    manifest: Manifest, targets: Sequence[Target], inputs: Inputs, *, until: str = RELEASE
) -> tuple[Step, ...]:
    """Plan every step of `until` and of what it needs, in an order that works.

    Audit and formula take the bottles of other platforms as they were gathered. ForeignTargetError as refuse_foreign.
    """
    refuse_foreign(targets, inputs.host, until)
    steps: dict[str, Step] = {}
    for target in targets:
        gathered = target != inputs.host and until in FROM_BOTTLES
        planned = [_gathered(target)] if gathered else _steps_of(manifest, target, inputs)
        facts = inputs.audit.get(str(target), {})
        planned.append(Step(f"audit/{target}", "audit", str(target), "audit", (f"bottle/{target}",), facts))
        steps |= {step.name: step for step in planned}
    steps["source"] = Step("source", "bottle", "", "source", (), inputs.source)
    bottles = tuple(f"{stage}/{target}" for target in targets for stage in ("bottle", "audit"))
    steps["formula"] = Step("formula", "formula", "", "formula", ("source", *bottles), {"manifest": asdict(manifest)})
    for target in targets:
        name, needs = f"verify/sandbox/{target}", (f"bottle/{target}", "formula")
        steps[name] = Step(name, "verify", str(target), "sandbox", needs, inputs.verification)
    return _needed(steps, until)


def _steps_of(manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    parts = [_part(part, target, manifest, inputs) for part in manifest.components]
    facts = inputs.parts.get(f"{target}/launcher", {})
    parts.append(Step(f"freeze/{target}/launcher", "freeze", str(target), "launcher", (), facts))
    needs = (*(part.name for part in parts), "source")
    keg = Step(
        f"assemble/{target}", "assemble", str(target), "keg", needs, {"manifest": asdict(manifest), **inputs.keg}
    )
    tag = {"tag": manifest.tag_of(target), **inputs.keg}
    return [*parts, keg, Step(f"bottle/{target}", "bottle", str(target), "bottle", (keg.name,), tag)]


def _part(part: Component, target: Target, manifest: Manifest, inputs: Inputs) -> Step:
    sent = (part.run.environment, part.required, part.optional)
    facts = {"version": part.version, "sent": sent, **inputs.parts.get(f"{target}/{part.name}", {})}
    if not is_frozen(part):
        return Step(f"obtain/{target}/{part.name}", "obtain", str(target), part.name, (), facts)
    tried_with = tuple(f"obtain/{target}/{other.name}" for other in manifest.components if is_temporal(other))
    return Step(f"freeze/{target}/{part.name}", "freeze", str(target), part.name, tried_with, facts)


def _gathered(target: Target) -> Step:
    return Step(f"bottle/{target}", "bottle", str(target), "bottle", (), {}, gathered=True)


def _needed(steps: Mapping[str, Step], until: str) -> tuple[Step, ...]:
    """Keep the steps of one stage and all they need, each after its needs."""
    chosen: dict[str, Step] = {}

    def choose(names: Iterable[str]) -> None:
        for name in names:
            if name not in chosen:
                choose(steps[name].needs)
                chosen[name] = steps[name]

    choose(name for name, step in steps.items() if step.stage == until)
    return tuple(chosen.values())
