"""The plan of a release is a pure value: what is made, from what, in which order, and what only another machine makes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import ForeignTargetError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.plan import STAGES, Inputs, can_verify, plan_release, stages_until
from support.manifest_texts import PATH

GOLDEN = Path(__file__).parents[1] / "golden" / "plan-linux-amd64.json"
LINUX, ARM, MAC = Target("linux", "amd64"), Target("linux", "arm64"), Target("darwin", "arm64")
MANIFEST = load_manifest(PATH)


def inputs(**parts: Mapping[str, object]) -> Inputs:
    """Give inputs for a Linux machine; `parts` are by component, for that platform."""
    named = {f"{LINUX}/{name.replace('_', '-')}": facts for name, facts in parts.items()}
    return Inputs(LINUX, named, {"source_date_epoch": 1}, {"files": []}, {"script": "x"})


def test_the_plan_of_a_release_is_the_one_on_record() -> None:
    """A change of the plan is seen in a review; write the new one down when it is meant."""
    steps = plan_release(MANIFEST, [LINUX], inputs())
    shown = [{"name": step.name, "stage": step.stage, "needs": list(step.needs)} for step in steps]
    assert shown == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_planned_with_all_it_needs_each_after_its_needs(stage: str) -> None:
    steps = plan_release(MANIFEST, [LINUX], inputs(), until=stage)
    names = [step.name for step in steps]
    assert any(step.stage == stage for step in steps)
    assert len(set(names)) == len(names)
    for step in steps:
        assert all(names.index(need) < names.index(step.name) for need in step.needs)


def test_a_stage_leaves_out_what_it_does_not_need() -> None:
    assert {step.stage for step in plan_release(MANIFEST, [LINUX], inputs(), until="obtain")} == {"obtain"}
    assert "verify" not in {step.stage for step in plan_release(MANIFEST, [LINUX], inputs(), until="formula")}


def test_what_a_part_is_made_of_is_among_its_facts() -> None:
    steps = plan_release(MANIFEST, [LINUX], inputs(temporal={"sha256": "abc"}, launcher={"tree": "def"}))
    by_name = {step.name: step for step in steps}
    temporal = dict(by_name["obtain/linux-amd64/temporal"].facts)
    assert temporal.pop("sent") == ({"DO_NOT_TRACK": "1"}, ())
    assert temporal == {"version": "1.9.1", "sha256": "abc"}
    assert by_name["freeze/linux-amd64/launcher"].facts == {"tree": "def"}


@pytest.mark.parametrize("stage", ["freeze", "credit", "assemble", "bottle", "verify"])
def test_a_frozen_part_for_another_platform_is_refused_at_once(stage: str) -> None:
    """On a Mac, whose own Python freezes; Linux freezes for all of them."""
    with pytest.raises(ForeignTargetError, match="linux-amd64 needs frozen parts, and this machine is darwin-arm64"):
        plan_release(MANIFEST, [LINUX, MAC], replace(inputs(), host=MAC), until=stage)


@pytest.mark.parametrize(("target", "host"), [(MAC, LINUX), (LINUX, ARM)])
def test_a_platform_that_does_not_run_here_is_frozen_here_and_not_verified(target: Target, host: Target) -> None:
    steps = {
        step.name: step for step in plan_release(MANIFEST, [target], replace(inputs(), host=host), until="formula")
    }
    assert {f"freeze/{target}/agent-runner", f"bottle/{target}", f"audit/{target}"} < set(steps)
    assert not any(step.gathered for step in steps.values())
    assert not can_verify(target, host, ())
    assert stages_until("bottle", [target], host) == STAGES[:5]


def test_a_platform_that_is_emulated_here_is_frozen_and_verified_here() -> None:
    steps = {step.name: step for step in plan_release(MANIFEST, [ARM], inputs(), until="verify", also="standalone")}
    made = ("freeze/linux-arm64/launcher", "bottle/linux-arm64", "verify/sandbox/linux-arm64")
    assert not any(step.gathered for step in steps.values())
    assert set(made) < set(steps)
    assert stages_until("verify", [ARM], LINUX) == STAGES


def test_what_the_platforms_own_machine_made_saves_emulating_it() -> None:
    names = ("freeze/linux-arm64/launcher", "credit/linux-arm64/launcher", "verify/sandbox/linux-arm64")
    known = replace(inputs(), offered=frozenset(names))
    steps = {step.name: step for step in plan_release(MANIFEST, [ARM], known)}
    assert {name for name, step in steps.items() if step.gathered} == known.offered


def test_what_is_not_frozen_is_obtained_for_any_platform() -> None:
    steps = plan_release(MANIFEST, [MAC], inputs(), until="obtain")
    assert [step.name for step in steps] == [
        "obtain/darwin-arm64/temporal",
        "obtain/darwin-arm64/stigmer-server",
        "obtain/darwin-arm64/workflow-runner",
    ]


def test_the_formula_takes_the_bottles_of_other_platforms_as_they_were_gathered() -> None:
    known = replace(inputs(), offered=frozenset({"bottle/darwin-arm64", "sbom/darwin-arm64"}))
    steps = {step.name: step for step in plan_release(MANIFEST, [LINUX, MAC], known, until="formula")}
    assert steps["bottle/darwin-arm64"].gathered
    assert not steps["bottle/linux-amd64"].gathered
    bottles = ("bottle/linux-amd64", "audit/linux-amd64", "bottle/darwin-arm64", "audit/darwin-arm64")
    assert steps["formula"].needs == ("source", *bottles)


FROZEN = frozenset(
    f"{stage}/darwin-arm64/{name}" for stage in ("freeze", "credit") for name in ("agent-runner", "launcher")
)


def test_a_bottle_is_made_here_of_parts_that_another_machine_froze() -> None:
    """What is not frozen is obtained here, for any platform."""
    known = replace(inputs(), offered=FROZEN)
    steps = {step.name: step for step in plan_release(MANIFEST, [MAC], known, until="bottle")}
    assert {name for name, step in steps.items() if step.gathered} == FROZEN
    assert {name for name, step in steps.items() if step.stage == "obtain"} < set(steps["assemble/darwin-arm64"].needs)
    other = replace(known, host=Target("darwin", "amd64"), offered=FROZEN - {"freeze/darwin-arm64/launcher"})
    with pytest.raises(ForeignTargetError, match="there is no freeze/darwin-arm64/launcher"):
        plan_release(MANIFEST, [MAC], other, until="bottle")


def test_a_release_takes_the_bottles_of_other_machines_and_what_proves_them() -> None:
    """A bottle nobody could verify is in it all the same: there is no sandbox on macOS."""
    offered = frozenset(
        f"{name}/{target}" for target in ("darwin-arm64", "linux-amd64", "linux-arm64") for name in ("bottle", "sbom")
    ) | {"verify/sandbox/linux-arm64"}
    targets = [LINUX, MAC, ARM]
    steps = plan_release(MANIFEST, targets, replace(inputs(), offered=offered))
    assert {step.name for step in steps if step.gathered} == offered
    assert [step.name for step in steps if step.stage == "verify"] == [
        "verify/sandbox/linux-amd64",
        "verify/sandbox/linux-arm64",
    ]
    assert "freeze" not in {step.stage for step in steps}


def test_a_gathered_bottle_is_audited_here() -> None:
    """A bottle is a file, which can be looked into on any machine."""
    known = replace(inputs(), offered=frozenset({"bottle/darwin-arm64", "sbom/darwin-arm64"}))
    steps = plan_release(MANIFEST, [MAC], known, until="audit")
    assert [(step.name, step.gathered) for step in steps] == [
        ("bottle/darwin-arm64", True),
        ("sbom/darwin-arm64", True),
        ("audit/darwin-arm64", False),
    ]


def test_the_stages_that_will_be_needed_are_those_of_the_plan_or_more() -> None:
    """They are known before the inputs are, so that what is missing can be installed first."""
    for until in STAGES:
        planned = {step.stage for step in plan_release(MANIFEST, [LINUX], inputs(), until=until)}
        assert planned & {"freeze", "verify"} <= set(stages_until(until, [LINUX], LINUX))
    assert stages_until("formula", [LINUX], MAC) == ("audit", "formula")
    assert stages_until("audit", [LINUX], MAC) == ("audit",)
    assert stages_until("obtain", [LINUX], MAC) == ("obtain",)
    assert stages_until("bottle", [LINUX], MAC) == ("obtain", "credit", "assemble", "bottle")


def test_a_release_also_makes_what_people_without_homebrew_download() -> None:
    steps = {step.name: step for step in plan_release(MANIFEST, [LINUX, MAC], inputs(), also="standalone")}
    for target in (LINUX, MAC):
        assert steps[f"archive/{target}"].needs == steps[f"program/{target}"].needs == (f"assemble/{target}",)
    assert f"verify/program/{LINUX}" in steps
    assert f"verify/program/{MAC}" not in steps


def test_what_another_machine_packed_for_people_without_homebrew_is_taken_over() -> None:
    """Where there is none, none is asked for."""
    known = replace(inputs(), offered=frozenset({"bottle/darwin-arm64", "archive/darwin-arm64"}))
    steps = {step.name: step for step in plan_release(MANIFEST, [MAC], known, until="formula", also="standalone")}
    assert steps["archive/darwin-arm64"].gathered
    assert "program/darwin-arm64" not in steps
    assert "archive/darwin-arm64" not in {
        step.name for step in plan_release(MANIFEST, [MAC], inputs(), until="formula")
    }


def test_a_single_file_from_elsewhere_comes_with_its_proof_or_is_tried_here() -> None:
    """Once it was taken over and published without anybody having run it."""
    arm = Target("linux", "arm64")
    offered = frozenset(
        f"{name}/{target}" for target in (LINUX, arm) for name in ("bottle", "sbom", "program", "verify/sandbox")
    )
    known = replace(inputs(), offered=offered | {f"verify/program/{arm}"})
    steps = {step.name: step for step in plan_release(MANIFEST, [LINUX, arm], known, also="standalone")}
    assert not steps[f"verify/program/{LINUX}"].gathered
    assert steps[f"verify/program/{arm}"].gathered
    unproved = {step.name for step in plan_release(MANIFEST, [arm], replace(known, offered=offered), also="standalone")}
    assert f"program/{arm}" in unproved
    assert f"verify/program/{arm}" not in unproved
