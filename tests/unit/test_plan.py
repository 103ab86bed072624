"""The plan of a release is a pure value: what is made, from what, and in which order."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.lib.errors import ForeignTargetError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.plan import (
    STAGES,
    UNNEEDED,
    Inputs,
    Step,
    can_verify,
    plan_release,
    refuse_foreign,
    stages_until,
)
from support.manifest_texts import PATH

GOLDEN = Path(__file__).parents[1] / "golden" / "plan-linux-amd64.json"
LINUX, ARM, MAC = Target("linux", "amd64"), Target("linux", "arm64"), Target("darwin", "arm64")
MANIFEST = load_manifest(PATH)


def inputs(**parts: Mapping[str, object]) -> Inputs:
    """Give inputs for a Linux machine; `parts` are by component, for that platform."""
    named = {f"{LINUX}/{name.replace('_', '-')}": facts for name, facts in parts.items()}
    return Inputs(LINUX, named, {"source_date_epoch": 1}, {"files": []}, {"script": "x"})


def planned(*targets: Target, host: Target = LINUX, **how: Any) -> dict[str, Step]:
    return {step.name: step for step in plan_release(MANIFEST, targets, replace(inputs(), host=host), **how)}


def test_the_plan_of_a_release_is_the_one_on_record() -> None:
    """A change of the plan is seen in a review; write the new one down when it is meant."""
    steps = planned(LINUX, also=UNNEEDED)
    shown = [{"name": name, "stage": step.stage, "needs": list(step.needs)} for name, step in steps.items()]
    assert shown == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_planned_with_all_it_needs_each_after_its_needs(stage: str) -> None:
    steps = plan_release(MANIFEST, [LINUX], inputs(), until=stage)
    names = [step.name for step in steps]
    assert any(step.stage == stage for step in steps)
    assert len(set(names)) == len(names)
    for step in steps:
        assert all(names.index(need) < names.index(step.name) for need in step.needs)
    # Known before the inputs are, so that what is missing can be installed first.
    assert {step.stage for step in steps} & {"freeze", "verify"} <= set(stages_until(stage))


def test_a_stage_leaves_out_what_it_does_not_need() -> None:
    assert {step.stage for step in planned(LINUX, until="obtain").values()} == {"obtain"}
    assert "verify" not in {step.stage for step in planned(LINUX, until="formula").values()}


def test_what_a_part_is_made_of_is_among_its_facts() -> None:
    steps = plan_release(MANIFEST, [LINUX], inputs(temporal={"sha256": "abc"}, launcher={"tree": "def"}))
    by_name = {step.name: step for step in steps}
    temporal = dict(by_name["obtain/linux-amd64/temporal"].facts)
    assert temporal.pop("sent") == ({"DO_NOT_TRACK": "1"}, ())
    assert temporal == {"version": "1.9.1", "sha256": "abc"}
    assert by_name["freeze/linux-amd64/launcher"].facts == {"tree": "def"}


def test_another_rebuild_makes_another_bottle() -> None:
    """It is no part of the keg, so nothing else would make the bottle anew."""

    def bottle(rebuild: int) -> Step:
        manifest = replace(MANIFEST, product=replace(MANIFEST.product, rebuild=rebuild))
        return plan_release(manifest, [LINUX], inputs(), until="bottle")[-1]

    assert bottle(0).name == "bottle/linux-amd64"
    assert bottle(0) == bottle(0) != bottle(1)


@pytest.mark.parametrize("stage", ["freeze", "credit", "assemble", "bottle", "verify"])
def test_a_frozen_part_for_another_platform_is_refused_at_once(stage: str) -> None:
    """On a Mac, whose own Python freezes; Linux freezes for all of them."""
    with pytest.raises(ForeignTargetError, match="linux-amd64 needs frozen parts, and this machine is darwin-arm64"):
        refuse_foreign([LINUX, MAC], MAC, stage)


@pytest.mark.parametrize(("target", "host"), [(MAC, LINUX), (LINUX, ARM)])
def test_a_platform_that_does_not_run_here_is_frozen_here_and_not_verified(target: Target, host: Target) -> None:
    steps = planned(target, host=host, until="formula")
    assert {f"freeze/{target}/agent-runner", f"bottle/{target}", f"audit/{target}"} < set(steps)
    assert not can_verify(target, host)
    assert stages_until("bottle") == tuple(STAGES)[:5]


def test_a_platform_that_is_emulated_here_is_frozen_and_verified_here() -> None:
    """Beside other steps: only times on this machine's own processor are measurements."""
    steps = planned(ARM, until="verify", also=UNNEEDED)
    made = ("freeze/linux-arm64/launcher", "bottle/linux-arm64", "verify/sandbox/linux-arm64")
    assert set(made) < set(steps)
    assert not any(step.alone for step in steps.values())
    alone = {name for name, step in planned(LINUX, ARM, also=UNNEEDED).items() if step.alone}
    assert alone == {f"verify/sandbox/{LINUX}", f"verify/program/{LINUX}"}
    assert stages_until("verify") == tuple(STAGES)


def test_the_targets_that_are_verified_here_come_first() -> None:
    """Their steps take longest one after the other; at the end of a release nobody else has work beside them."""
    steps = planned(MAC, ARM, LINUX, also=UNNEEDED).values()
    assert list(dict.fromkeys(step.target for step in steps if step.target)) == [str(ARM), str(LINUX), str(MAC)]


def test_what_is_not_frozen_is_obtained_for_any_platform() -> None:
    names = ("temporal", "stigmer-server", "workflow-runner")
    assert list(planned(MAC, until="obtain")) == [f"obtain/{MAC}/{name}" for name in names]


def test_a_release_also_makes_what_people_without_homebrew_download() -> None:
    steps = planned(LINUX, MAC, also=UNNEEDED)
    for target in (LINUX, MAC):
        assert steps[f"archive/{target}"].needs == steps[f"program/{target}"].needs == (f"assemble/{target}",)
    assert f"verify/program/{LINUX}" in steps
    assert f"verify/program/{MAC}" not in steps
