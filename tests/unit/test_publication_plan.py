"""What would be published is decided without touching anything, and whatever forbids it is named, all of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib.errors import PublicationError
from stigmer_packaging.publish.plan import LocalFile, PublicationPlan, mark_of, plan_publication, section_of
from stigmer_packaging.publish.rules import PublicationRequest, backward_steps
from stigmer_packaging.publish.text import describe_plan
from stigmer_packaging.records.model import Finding
from stigmer_packaging.records.release import read_release
from support.publishable import PATH, TARGETS, changelog_of, lay_release, manifest_of, plan_for

COMMIT = "c" * 40
GOLDEN = Path(__file__).parents[1] / "golden"


class Case:
    """A release that may be published, and every value it is planned from, to be spoiled one at a time."""

    def __init__(self, folder: Path, version: str = "2.0.0") -> None:
        self.release = lay_release(folder, version)
        self.files = [LocalFile(one.name, one.size, one.sha256) for one in self.release.artefacts]
        self.manifest = manifest_of(version)
        self.changelog = changelog_of(version)
        self.formula = (folder / PATH).read_text(encoding="utf-8")
        self.request = PublicationRequest(
            COMMIT, TARGETS, {one.sha256: version for one in self.release.of_kind("bottle")}
        )

    def plan(self) -> PublicationPlan:
        """Plan it."""
        return plan_publication(
            self.release,
            self.files,
            manifest=self.manifest,
            changelog=self.changelog,
            formula=self.formula,
            request=self.request,
        )

    def release_with(self, **changes: object) -> None:
        """Change the release."""
        self.release = replace(self.release, **changes)  # type: ignore[arg-type] # the tests say what they change

    def request_with(self, **changes: object) -> None:
        """Change the request."""
        self.request = replace(self.request, **changes)  # type: ignore[arg-type] # as above


def test_a_plan_names_tag_assets_notes_and_the_taps_commit(tmp_path: Path) -> None:
    case = Case(tmp_path)
    plan = case.plan()
    assert (plan.tag, plan.commit, plan.prerelease, plan.title) == ("v2.0.0", COMMIT, False, "stigmer 2.0.0")
    assert {file.name for file in plan.assets} == {Path(one.name).name for one in case.release.artefacts}
    assert plan.notes == f"- What 2.0.0 brings.\n\n{plan.mark}\n"
    assert plan.tap
    assert (plan.tap.repository, plan.tap.path, plan.tap.branch) == ("stigmer/homebrew-tap", PATH, "main")
    assert (plan.tap.text, plan.tap.message, plan.tap.proposal) == (case.formula, "stigmer 2.0.0\n", "")
    root = "https://github.com/stigmer/homebrew-tap/releases/download/v2.0.0"
    held = {artefact.name: artefact.sha256 for artefact in case.release.artefacts}
    assert [(one.url, one.sha256) for one in plan.downloads] == [
        (f"{root}/{name}", held[name])
        for name in (
            "stigmer-2.0.0.arm64_sonoma.bottle.tar.gz",
            "stigmer-2.0.0.x86_64_linux.bottle.tar.gz",
            "stigmer-2.0.0.tar.gz",
        )
    ]


def test_equal_releases_have_equal_marks_and_others_have_others(tmp_path: Path) -> None:
    """The mark tells our own draft of these files from any other."""
    same = {Case(tmp_path / name).plan().mark for name in ("a", "b")}
    lay_release(tmp_path / "c", "2.0.0", content="two")
    assert len(same) == 1
    assert plan_for(tmp_path / "c", COMMIT).mark not in same
    assert all(mark.startswith(mark_of(manifest_of("2.0.0").product, "")) for mark in same)


def test_a_pre_release_moves_no_tap(tmp_path: Path) -> None:
    plan = Case(tmp_path, "2.1.0-rc.1").plan()
    assert (plan.tag, plan.prerelease, plan.tap) == ("v2.1.0-rc.1", True, None)


def test_a_tap_elsewhere_and_a_pull_request_are_planned(tmp_path: Path) -> None:
    case = Case(tmp_path)
    product = replace(case.manifest.product, tap="stigmer/homebrew-other")
    case.manifest = replace(case.manifest, product=product)
    case.release_with(product=product)
    case.request_with(pull_request=True, branch="stable")
    tap = case.plan().tap
    assert tap
    assert (tap.repository, tap.branch, tap.proposal) == ("stigmer/homebrew-other", "stable", "stigmer-2.0.0")


def test_a_plan_is_told_in_lines_with_every_file_and_its_sha256(tmp_path: Path) -> None:
    plan = Case(tmp_path).plan()
    text = "\n".join(describe_plan(plan))
    assert [file.name for file in plan.assets if f"{file.sha256}  {file.size:>11}  {file.name}" not in text] == []
    assert f"{PATH} with sha256" in text
    assert COMMIT in text


def _no_proof(case: Case) -> None:
    case.release_with(verifications=case.release.verifications[:1])


def _emulated_proof(case: Case) -> None:
    first, last = case.release.verifications
    case.release_with(verifications=(first, replace(last, emulated=True)))


def _failed_proof(case: Case) -> None:
    first, *rest = case.release.verifications
    case.release_with(verifications=(replace(first, ended=False), *rest))


def _proof_of_others(case: Case) -> None:
    first, *rest = case.release.verifications
    case.release_with(verifications=(replace(first, bottle_sha256="0" * 64), *rest))


def _single_file_without_proof(case: Case) -> None:
    first = case.release.of_kind("bottle")[0]
    single = replace(first, kind="program", name="stigmer-2.0.0-linux-amd64", sha256="1" * 64)
    case.release_with(artefacts=(*case.release.artefacts, single))


def _no_audit(case: Case) -> None:
    case.release_with(audits=())


def _newer_glibc(case: Case) -> None:
    audits = (replace(audit, glibc="2.36") for audit in case.release.audits)
    case.release_with(audits=tuple(audits))


def _failed_audit(case: Case) -> None:
    first, *rest = case.release.audits
    case.release_with(audits=(replace(first, findings=(Finding("error", "size", "", "", "", ""),)), *rest))


def _double_dash(case: Case) -> None:
    renamed = [replace(one, name=one.name.replace("stigmer-", "stigmer--")) for one in case.release.artefacts]
    case.release_with(artefacts=tuple(renamed))


def _no_commit(case: Case) -> None:
    case.request_with(commit="main")


def _no_notes(case: Case) -> None:
    case.changelog = changelog_of("2.0.1")


def _other_manifest(case: Case) -> None:
    case.manifest = manifest_of("2.0.1")


def _formula_of_other_bytes(case: Case) -> None:
    case.formula = case.formula.replace(case.release.of_kind("bottle")[0].sha256, "f" * 64)


def _formula_without_a_bottle(case: Case) -> None:
    lines = case.formula.splitlines(keepends=True)
    case.formula = "".join(line for line in lines if "arm64_sonoma:" not in line)


def _formula_of_nothing(case: Case) -> None:
    case.formula = ""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_proof, "no linux-amd64 machine has run stigmer-2.0.0.x86_64_linux.bottle.tar.gz (audited, loader"),
        (
            _emulated_proof,
            "linux-amd64 machine has run stigmer-2.0.0.x86_64_linux.bottle.tar.gz (verified by emulation)",
        ),
        (_failed_proof, "failed its verification on a machine"),
        (_proof_of_others, "no darwin-arm64 machine has run stigmer-2.0.0.arm64_sonoma.bottle.tar.gz"),
        (_single_file_without_proof, "machine has run stigmer-2.0.0-linux-amd64"),
        (_no_audit, "was not audited"),
        (_failed_audit, "has errors in its audit"),
        (_newer_glibc, "the bottle for linux-amd64 needs glibc 2.36, and 2.31 is promised"),
        (
            lambda case: case.request_with(targets=(*TARGETS, "linux-arm64")),
            "there are 0 bottles for linux-arm64, and one is needed",
        ),
        (lambda case: case.request_with(targets=TARGETS[:1]), "is for linux-amd64, which is not published"),
        (_double_dash, "is not what brew asks for on"),
        (
            lambda case: case.request_with(versions=dict.fromkeys(case.request.versions, "1.9.0")),
            "says it is version 1.9.0, and the release is 2.0.0",
        ),
        (lambda case: case.request_with(tag="v2.0.1"), "this runs for the tag v2.0.1, and the release is v2.0.0"),
        (_no_commit, "the commit that v2.0.0 is to name is not known"),
        (_no_notes, "CHANGELOG.md has no section '## 2.0.0'"),
        (_other_manifest, "this one describes stigmer 2.0.1"),
        (_formula_of_other_bytes, f"with sha256 {'f' * 64}"),
        (_formula_without_a_bottle, "the formula does not name https://github.com/"),
        (_formula_of_nothing, "the formula does not name https://github.com/"),
        (lambda case: case.files.append(LocalFile("a b.txt", 1, "0" * 64)), "GitHub would change the name a b.txt"),
        (
            lambda case: case.files.append(replace(case.files[0], path=f"other/{case.files[0].name}")),
            "2 files are called",
        ),
    ],
)
def test_what_forbids_publishing_is_named(spoil: Callable[[Case], None], said: str, tmp_path: Path) -> None:
    case = Case(tmp_path)
    spoil(case)
    with pytest.raises(PublicationError) as caught:
        case.plan()
    assert said in str(caught.value)


@pytest.mark.parametrize("spoil", [_no_proof, _emulated_proof])
def test_what_no_machine_of_its_kind_has_run_is_published_only_by_name(
    spoil: Callable[[Case], None], tmp_path: Path
) -> None:
    case = Case(tmp_path)
    spoil(case)
    case.request_with(not_run=("darwin-arm64",))
    with pytest.raises(PublicationError, match="--not-run linux-amd64"):
        case.plan()
    case.request_with(not_run=("linux-amd64",))
    assert case.plan().tag == "v2.0.0"


def test_a_failed_verification_cannot_be_published_by_name(tmp_path: Path) -> None:
    case = Case(tmp_path)
    _failed_proof(case)
    case.request_with(not_run=TARGETS)
    with pytest.raises(PublicationError, match="failed its verification"):
        case.plan()


def test_everything_that_forbids_publishing_is_named_at_once(tmp_path: Path) -> None:
    case = Case(tmp_path)
    for spoil in (_no_audit, _no_notes, _no_commit):
        spoil(case)
    with pytest.raises(PublicationError) as caught:
        case.plan()
    assert len(str(caught.value).splitlines()) == 1 + 2 + 1 + 1


@pytest.mark.parametrize("version", ["2.0.0-1", "2.0.0-final.candidate"])
def test_a_version_without_a_place_among_others_is_refused(version: str, tmp_path: Path) -> None:
    """Semver allows both; for packaging's rules the first is a later version, and the second none."""
    with pytest.raises(PublicationError, match=r"cannot be ordered|neither X\.Y\.Z"):
        Case(tmp_path, version).plan()


@pytest.mark.parametrize(
    ("out", "newer"), [("1.9.9", False), ("2.0.0", False), ("2.0.1", True), ("2.0.0rc1", False), ("what", True)]
)
def test_a_step_backwards_is_named(out: str, newer: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert backward_steps("2.0.0", [("the tap", out)]) == ([f"the tap is at {out}"] if newer else [])


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("## 2.0.0\n- a\n## 1.0.0\n- b\n", "- a"),
        ("## [2.0.0] - 2026-11-22\n\n### Added\n- a\n", "### Added\n- a"),
        ("## 2.0.0-rc.1\n- a\n", ""),
        ("## 2.0.01\n- a\n", ""),
        ("## Unreleased\n- a\n## 2.0.0\n\n## 1.0.0\n- b\n", ""),
    ],
)
def test_a_changelogs_section_is_that_of_the_version_alone(text: str, section: str) -> None:
    assert section_of(text, "2.0.0") == section


def test_our_formulas_are_read_whole() -> None:
    facts = parse_formula((GOLDEN / "formula_rebuilt.rb.golden").read_text(encoding="utf-8"))
    assert facts
    assert facts.rebuild > 0
    assert all(f".bottle.{facts.rebuild}.tar.gz" in one.url for one in facts.downloads("stigmer")[:-1])
    four = parse_formula((GOLDEN / "formula_four_bottles.rb.golden").read_text(encoding="utf-8"))
    assert four
    assert [tag for tag, _ in four.bottles] == ["arm64_sonoma", "sonoma", "arm64_linux", "x86_64_linux"]
    assert four.version == "2.0.0"


def test_others_formulas_are_read_as_far_as_needed() -> None:
    text = 'class A < Formula\n  version "0.0.13"\n  on_macos do\n    url "https://a.example/x"\n    sha256 "aa"\n  end\nend\n'
    facts = parse_formula(text)
    assert facts
    assert (facts.version, facts.bottles) == ("0.0.13", ())
    assert parse_formula("class A < Formula\nend\n") is None


def test_a_folders_release_is_what_is_planned(tmp_path: Path) -> None:
    lay_release(tmp_path, "2.0.0")
    names = {Path(one.name).name for one in read_release(tmp_path).artefacts} | {"release.json", "SHA256SUMS"}
    assert {file.name for file in plan_for(tmp_path, COMMIT).assets} == names
