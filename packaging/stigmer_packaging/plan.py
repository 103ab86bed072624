"""The pure plan of a release: which steps there are, what each depends on, and which stages are asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from stigmer_packaging.errors import ForeignTargetError
from stigmer_packaging.manifest_records import CheckoutSource, Component, Manifest
from stigmer_packaging.naming import Target

STAGES = ("obtain", "freeze", "assemble", "bottle", "formula", "verify")
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

    `components` and `launcher` are what each of them is made of; `keg`, `source` and `verification`, what the later
    stages take from outside.
    """

    host: Target
    components: Mapping[str, Mapping[str, object]]
    launcher: Mapping[str, object]
    keg: Mapping[str, object]
    source: Mapping[str, object]
    verification: Mapping[str, object]


def is_frozen(component: Component) -> bool:
    """Whether a component is frozen with PyInstaller, which only works on its own platform."""
    return isinstance(component.source, CheckoutSource) and component.source.build == "pyinstaller"


def plan_release(
    manifest: Manifest, targets: Sequence[Target], inputs: Inputs, *, until: str = RELEASE
) -> tuple[Step, ...]:
    """Plan every step of `until` and of what it needs, in an order that works.

    ForeignTargetError when a frozen part is asked for that this machine cannot make. The formula alone takes the
    bottles of other platforms as they were gathered.
    """
    steps: dict[str, Step] = {}
    for target in targets:
        foreign = target != inputs.host
        if foreign and until not in {"obtain", "formula"}:
            raise ForeignTargetError(f"{until} for {target} needs parts that are frozen, and this is {inputs.host}")
        planned = [_gathered(target)] if foreign and until == "formula" else _steps_of(manifest, target, inputs)
        steps |= {step.name: step for step in planned}
    steps["source"] = Step("source", "bottle", "", "source", (), inputs.source)
    bottles = tuple(f"bottle/{target}" for target in targets)
    steps["formula"] = Step("formula", "formula", "", "formula", ("source", *bottles), {"manifest": asdict(manifest)})
    for target in targets:
        name, needs = f"verify/sandbox/{target}", (f"bottle/{target}", "formula")
        steps[name] = Step(name, "verify", str(target), "sandbox", needs, inputs.verification)
    return _needed(steps, until)


def _steps_of(manifest: Manifest, target: Target, inputs: Inputs) -> list[Step]:
    parts = [_component(part, target, inputs.components[part.name]) for part in manifest.components]
    parts.append(_step("freeze", target, "launcher", (), inputs.launcher))
    needs = (*(part.name for part in parts), "source")
    facts = {"manifest": asdict(manifest), **inputs.keg}
    keg = Step(f"assemble/{target}", "assemble", str(target), "keg", needs, facts)
    tag = {"tag": manifest.tag_of(target), **inputs.keg}
    return [*parts, keg, Step(f"bottle/{target}", "bottle", str(target), "bottle", (keg.name,), tag)]


def _component(part: Component, target: Target, facts: Mapping[str, object]) -> Step:
    own = {"version": part.version, **facts}
    return _step("freeze" if is_frozen(part) else "obtain", target, part.name, (), own)


def _step(stage: str, target: Target, subject: str, needs: tuple[str, ...], facts: Mapping[str, object]) -> Step:
    return Step(f"{stage}/{target}/{subject}", stage, str(target), subject, needs, facts)


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
