"""The plan of a release is a pure value: its steps, their inputs and their order."""

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
    """Return inputs for a Linux machine; `parts` has the facts of components for that platform."""
    named = {f"{LINUX}/{name.replace('_', '-')}": facts for name, facts in parts.items()}
    return Inputs(LINUX, named, {"source_date_epoch": 1}, {"files": []}, {"script": "x"})


def planned(*targets: Target, host: Target = LINUX, **how: Any) -> dict[str, Step]:
    return {step.name: step for step in plan_release(MANIFEST, targets, replace(inputs(), host=host), **how)}


def test_the_plan_of_a_release_matches_the_golden_file() -> None:
    """It makes a change of the plan visible in review; update the file if the change is intended."""
    steps = planned(LINUX, also=UNNEEDED)
    shown = [{"name": name, "stage": step.stage, "needs": list(step.needs)} for name, step in steps.items()]
    assert shown == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_planned_with_all_its_dependencies_in_order(stage: str) -> None:
    steps = plan_release(MANIFEST, [LINUX], inputs(), until=stage)
    names = [step.name for step in steps]
    assert any(step.stage == stage for step in steps)
    assert len(set(names)) == len(names)
    for step in steps:
        assert all(names.index(need) < names.index(step.name) for need in step.needs)
    # These stages are known before the inputs, so that missing tools can be installed first.
    assert {step.stage for step in steps} & {"freeze", "verify"} <= set(stages_until(stage))


def test_a_stage_leaves_out_what_it_does_not_need() -> None:
    assert {step.stage for step in planned(LINUX, until="obtain").values()} == {"obtain"}
    assert "verify" not in {step.stage for step in planned(LINUX, until="formula").values()}


def test_the_inputs_of_a_component_are_among_the_facts_of_its_step() -> None:
    steps = plan_release(MANIFEST, [LINUX], inputs(temporal={"sha256": "abc"}, launcher={"tree": "def"}))
    by_name = {step.name: step for step in steps}
    temporal = dict(by_name["obtain/linux-amd64/temporal"].facts)
    assert temporal.pop("sent") == ({"DO_NOT_TRACK": "1"}, ())
    assert temporal == {"version": "1.9.1", "sha256": "abc"}
    assert by_name["freeze/linux-amd64/launcher"].facts == {"tree": "def"}


def test_another_rebuild_makes_another_bottle() -> None:
    """The rebuild number is not in the keg, so nothing else would cause a new bottle."""

    def bottle(rebuild: int) -> Step:
        manifest = replace(MANIFEST, product=replace(MANIFEST.product, rebuild=rebuild))
        return plan_release(manifest, [LINUX], inputs(), until="bottle")[-1]

    assert bottle(0).name == "bottle/linux-amd64"
    assert bottle(0) == bottle(0) != bottle(1)


@pytest.mark.parametrize("stage", ["freeze", "credit", "assemble", "bottle", "verify"])
def test_a_frozen_part_for_another_platform_is_refused_at_once(stage: str) -> None:
    """On a Mac, which freezes with its own Python; Linux freezes for every platform."""
    with pytest.raises(ForeignTargetError, match="linux-amd64 needs frozen parts, and this machine is darwin-arm64"):
        refuse_foreign([LINUX, MAC], MAC, stage)


@pytest.mark.parametrize(("target", "host"), [(MAC, LINUX), (LINUX, ARM)])
def test_a_platform_that_cannot_run_here_is_frozen_but_not_verified(target: Target, host: Target) -> None:
    steps = planned(target, host=host, until="formula")
    assert {f"freeze/{target}/agent-runner", f"bottle/{target}", f"audit/{target}"} < set(steps)
    assert not can_verify(target, host)
    assert stages_until("bottle") == tuple(STAGES)[:5]


def test_an_emulated_platform_is_frozen_and_verified() -> None:
    """Its steps may run beside others: only times on the native processor are measurements."""
    steps = planned(ARM, until="verify", also=UNNEEDED)
    names = ("freeze/linux-arm64/launcher", "bottle/linux-arm64", "verify/sandbox/linux-arm64")
    assert set(names) < set(steps)
    assert not any(step.alone for step in steps.values())
    alone = {name for name, step in planned(LINUX, ARM, also=UNNEEDED).items() if step.alone}
    assert alone == {f"verify/sandbox/{LINUX}", f"verify/program/{LINUX}"}
    assert stages_until("verify") == tuple(STAGES)


def test_the_targets_that_are_verified_here_come_first() -> None:
    """Their steps form the longest chain; at the end of a release nothing else would run beside them."""
    steps = planned(MAC, ARM, LINUX, also=UNNEEDED).values()
    assert list(dict.fromkeys(step.target for step in steps if step.target)) == [str(ARM), str(LINUX), str(MAC)]


def test_components_that_are_not_frozen_are_obtained_for_any_platform() -> None:
    names = ("temporal", "stigmer-server", "workflow-runner")
    assert list(planned(MAC, until="obtain")) == [f"obtain/{MAC}/{name}" for name in names]


def test_a_release_also_makes_the_downloads_for_users_without_homebrew() -> None:
    steps = planned(LINUX, MAC, also=UNNEEDED)
    for target in (LINUX, MAC):
        assert steps[f"archive/{target}"].needs == steps[f"program/{target}"].needs == (f"assemble/{target}",)
    assert f"verify/program/{LINUX}" in steps
    assert f"verify/program/{MAC}" not in steps
