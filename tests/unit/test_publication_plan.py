"""A publication is planned without side effects, and everything that forbids it is reported at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib.errors import PublicationError
from stigmer_packaging.publish.plan import PublicationPlan, changelog_section, draft_marker, plan_publication
from stigmer_packaging.publish.rules import PublicationRequest
from stigmer_packaging.records.model import Finding
from stigmer_packaging.records.release import Artefact
from support.publishable import COMMIT, PATH, TARGETS, manifest_of, plan_for, write_release

GOLDEN = Path(__file__).parents[1] / "golden"


class Case:
    """A publishable release and the request to check it against; each test breaks one of them."""

    def __init__(self, folder: Path, version: str = "2.0.0") -> None:
        self.release = write_release(folder, version)
        self.files = list(self.release.artefacts)
        versions = {one.sha256: version for one in self.release.of_kind("bottle")}
        formula = (folder / PATH).read_text(encoding="utf-8")
        self.request = PublicationRequest(
            manifest_of(version),
            formula,
            f"- What {version} brings.",
            COMMIT,
            TARGETS,
            versions,
            self.release.checksums(),
        )

    def plan(self) -> PublicationPlan:
        """Return the publication plan."""
        return plan_publication(self.release, self.files, self.request)

    def release_with(self, **changes: object) -> None:
        """Change the release."""
        self.release = replace(self.release, **changes)  # type: ignore[arg-type] # the tests name valid fields

    def request_with(self, **changes: object) -> None:
        """Change the request."""
        self.request = replace(self.request, **changes)  # type: ignore[arg-type] # as above


def test_a_plan_names_tag_assets_notes_and_the_taps_commit(tmp_path: Path) -> None:
    case = Case(tmp_path)
    plan = case.plan()
    assert (plan.tag, plan.commit, plan.prerelease, plan.title) == ("v2.0.0", COMMIT, False, "stigmer 2.0.0")
    assert {file.asset for file in plan.assets} == {Path(one.name).name for one in case.release.artefacts}
    assert plan.notes == f"- What 2.0.0 brings.\n\n{plan.marker}\n"
    assert plan.tap
    assert (plan.tap.repository, plan.tap.path, plan.tap.branch) == ("stigmer/homebrew-tap", PATH, "main")
    assert (plan.tap.text, plan.tap.message, plan.tap.proposal) == (case.request.formula, "stigmer 2.0.0\n", "")
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


def test_equal_releases_have_equal_marks_and_different_ones_do_not(tmp_path: Path) -> None:
    """The mark distinguishes our own draft of these files from any other."""
    same = {Case(tmp_path / name).plan().marker for name in ("a", "b")}
    write_release(tmp_path / "c", "2.0.0", content="two")
    assert len(same) == 1
    assert plan_for(tmp_path / "c", COMMIT).marker not in same
    assert all(mark.startswith(draft_marker(manifest_of("2.0.0").product, "")) for mark in same)


def test_a_separate_tap_and_a_pull_request_are_planned(tmp_path: Path) -> None:
    case = Case(tmp_path)
    manifest = manifest_of("2.0.0", tap="stigmer/homebrew-other")
    case.release_with(product=manifest.product)
    case.request_with(manifest=manifest, pull_request=True, branch="stable")
    tap = case.plan().tap
    assert tap
    assert (tap.repository, tap.branch, tap.proposal) == ("stigmer/homebrew-other", "stable", "stigmer-2.0.0")


def _change_verification(case: Case, place: int, **changes: object) -> None:
    """Change one verification report; the first is on darwin-arm64's bottle."""
    reports = list(case.release.verifications)
    reports[place] = replace(reports[place], **changes)  # type: ignore[arg-type] # the tests name valid fields
    case.release_with(verifications=tuple(reports))


def _change_audits(case: Case, **changes: object) -> None:
    audits = (replace(audit, **changes) for audit in case.release.audits)  # type: ignore[arg-type] # as above
    case.release_with(audits=tuple(audits))


def _missing_verification(case: Case) -> None:
    case.release_with(verifications=case.release.verifications[:1])


def _emulated_verification(case: Case) -> None:
    _change_verification(case, 1, emulated=True)


def _failed_verification(case: Case) -> None:
    _change_verification(case, 0, ended=False)


def _missing_audit(case: Case) -> None:
    case.release_with(audits=())


def _unverified_single_file(case: Case) -> None:
    first = case.release.of_kind("bottle")[0]
    single = replace(first, kind="program", name="stigmer-2.0.0-linux-amd64", sha256="1" * 64)
    case.release_with(artefacts=(*case.release.artefacts, single))


def _double_dash(case: Case) -> None:
    renamed = [replace(one, name=one.name.replace("stigmer-", "stigmer--")) for one in case.release.artefacts]
    case.release_with(artefacts=tuple(renamed))


def _bottles_of_another_rebuild(case: Case) -> None:
    """Name the bottles as brew would ask for them if the formula had their rebuild."""
    _rebuild_missing_in_the_names(case)
    named = (replace(one, name=one.name.replace(".bottle.", ".bottle.1.")) for one in case.release.artefacts)
    case.release_with(artefacts=tuple(named))


def _rebuild_missing_in_the_names(case: Case) -> None:
    bottles = (replace(one, rebuild=1) if one.kind == "bottle" else one for one in case.release.artefacts)
    case.release_with(artefacts=tuple(bottles))


def _formula_without_a_bottle(case: Case) -> None:
    lines = case.request.formula.splitlines(keepends=True)
    case.request_with(formula="".join(line for line in lines if "arm64_sonoma:" not in line))


def _bottle_of_another_tag(case: Case) -> None:
    """Record another tag than the one in the file's name."""
    artefacts = (replace(one, tag="sonoma") if one.kind == "bottle" else one for one in case.release.artefacts)
    case.release_with(artefacts=tuple(artefacts))


def _second_audit_with_errors(case: Case) -> None:
    failed = (replace(audit, findings=(AN_ERROR,)) for audit in case.release.audits)
    case.release_with(audits=(*case.release.audits, *failed))


def _without_the_formula(case: Case) -> None:
    case.release_with(artefacts=tuple(one for one in case.release.artefacts if one.kind != "formula"))


def _two_sources(case: Case) -> None:
    case.release_with(artefacts=(*case.release.artefacts, *case.release.of_kind("source")))


def _source_of_another_name(case: Case) -> None:
    """Rename the source alike in the release and in the formula."""
    renamed = [
        replace(one, name="stigmer-src.tar.gz") if one.kind == "source" else one for one in case.release.artefacts
    ]
    case.release_with(artefacts=tuple(renamed))
    case.request_with(formula=case.request.formula.replace("/stigmer-2.0.0.tar.gz", "/stigmer-src.tar.gz"))


def _formula_of_other_bytes(case: Case) -> None:
    sha256 = case.release.of_kind("bottle")[0].sha256
    case.request_with(formula=case.request.formula.replace(sha256, "f" * 64))


LINUX_BOTTLE, MAC_BOTTLE = "stigmer-2.0.0.x86_64_linux.bottle.tar.gz", "stigmer-2.0.0.arm64_sonoma.bottle.tar.gz"
AN_ERROR = Finding("error", "size", "", "", "", "")


@pytest.mark.parametrize(
    ("break_case", "message"),
    [
        (_missing_verification, f"no linux-amd64 machine has run {LINUX_BOTTLE} (audited, loader"),
        (_emulated_verification, f"no linux-amd64 machine has run {LINUX_BOTTLE} (verified by emulation)"),
        (_failed_verification, "failed its verification on a machine"),
        (
            lambda case: _change_verification(case, 0, bottle_sha256="0" * 64),
            f"no darwin-arm64 machine has run {MAC_BOTTLE}",
        ),
        (_unverified_single_file, "machine has run stigmer-2.0.0-linux-amd64"),
        (_missing_audit, "was not audited"),
        (_second_audit_with_errors, "has errors in its audit"),
        (lambda case: _change_audits(case, bottle_sha256="b"), "was not audited"),
        (lambda case: _change_audits(case, findings=(AN_ERROR,)), "has errors in its audit"),
        (
            lambda case: _change_audits(case, glibc="2.36"),
            "the bottle for linux-amd64 needs glibc 2.36, but the manifest promises 2.31",
        ),
        (
            lambda case: case.request_with(targets=(*TARGETS, "linux-arm64")),
            "found 0 bottles for linux-arm64; expected 1",
        ),
        (lambda case: case.request_with(targets=TARGETS[:1]), "is for linux-amd64, which is not published"),
        (_double_dash, "is not what brew requests on"),
        (_rebuild_missing_in_the_names, f"{MAC_BOTTLE} is not what brew requests on darwin-arm64"),
        (_bottle_of_another_tag, f"{MAC_BOTTLE} is not what brew requests on darwin-arm64"),
        (_bottles_of_another_rebuild, "/v2.0.0/stigmer-2.0.0.x86_64_linux.bottle.1.tar.gz with sha256"),
        (
            lambda case: case.request_with(versions=dict.fromkeys(case.request.versions, "1.9.0")),
            "reports version 1.9.0, but the release is 2.0.0",
        ),
        (lambda case: case.request_with(tag="v2.0.1"), "this run is for the tag v2.0.1, but the release is v2.0.0"),
        (lambda case: case.request_with(commit="main"), "the commit for the tag v2.0.0 is not known"),
        (lambda case: case.request_with(commit="d" * 40), f"built from {COMMIT}, but v2.0.0 would point to {'d' * 40}"),
        (
            lambda case: case.release_with(commit=""),
            "built from no known commit, or one with changes, but v2.0.0",
        ),
        (lambda case: case.request_with(notes=""), "CHANGELOG.md has no section '## 2.0.0'"),
        (lambda case: case.request_with(manifest=manifest_of("2.0.1")), "this one describes stigmer 2.0.1"),
        (
            lambda case: case.request_with(checksums=case.request.checksums.replace("  ", "0  ")),
            "SHA256SUMS does not match these files",
        ),
        (_formula_of_other_bytes, f"with sha256 {'f' * 64}"),
        (
            lambda case: case.request_with(formula=case.request.formula.replace("2.0.0", "2.0.1")),
            "the formula is for version 2.0.1, but the release is 2.0.0",
        ),
        (_without_the_formula, "found 0 files of kind formula; expected 1"),
        (_two_sources, "found 2 files of kind source; expected 1"),
        (_source_of_another_name, "there is no stigmer-2.0.0.tar.gz"),
        (_formula_without_a_bottle, "the formula does not name https://github.com/"),
        (lambda case: case.request_with(formula=""), "the formula does not name https://github.com/"),
        (
            lambda case: case.files.append(Artefact("archive", "a b.txt", 1, "0" * 64)),
            "GitHub would change the name a b.txt",
        ),
        (
            lambda case: case.files.append(replace(case.files[0], name=f"other/{case.files[0].name}")),
            "2 files are called",
        ),
    ],
)
def test_a_release_that_must_not_be_published_is_refused_with_the_reason(
    break_case: Callable[[Case], None], message: str, tmp_path: Path
) -> None:
    case = Case(tmp_path)
    break_case(case)
    with pytest.raises(PublicationError) as caught:
        case.plan()
    assert message in str(caught.value)


@pytest.mark.parametrize("break_case", [_missing_verification, _emulated_verification])
def test_an_unverified_bottle_is_published_only_if_its_target_is_named(
    break_case: Callable[[Case], None], tmp_path: Path
) -> None:
    case = Case(tmp_path)
    break_case(case)
    case.request_with(not_run=("darwin-arm64",))
    with pytest.raises(PublicationError, match="--not-run linux-amd64"):
        case.plan()
    case.request_with(not_run=("linux-amd64",))
    assert case.plan().tag == "v2.0.0"


def test_a_bottle_that_failed_verification_is_not_published_by_name_either(tmp_path: Path) -> None:
    case = Case(tmp_path)
    _failed_verification(case)
    case.request_with(not_run=TARGETS)
    with pytest.raises(PublicationError, match="failed its verification"):
        case.plan()


def test_all_reasons_against_publishing_are_reported_at_once(tmp_path: Path) -> None:
    case = Case(tmp_path)
    _missing_audit(case)
    case.request_with(notes="", commit="main")
    with pytest.raises(PublicationError) as caught:
        case.plan()
    assert len(str(caught.value).splitlines()) == 1 + 2 + 1 + 1


def test_a_run_for_the_releases_own_tag_may_publish_it(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.request_with(tag="v2.0.0")
    assert case.plan().tag == "v2.0.0"


def test_a_bottle_that_needs_exactly_the_promised_glibc_may_be_published(tmp_path: Path) -> None:
    case = Case(tmp_path)
    _change_audits(case, glibc="2.31")
    assert case.plan().tag == "v2.0.0"


@pytest.mark.parametrize("version", ["2.0", "2.0.0+build.5", "1!2.0.0"])
def test_a_version_that_brew_and_git_do_not_keep_is_refused(version: str, tmp_path: Path) -> None:
    """The manifest refuses them, too, but a release is read from a file."""
    case = Case(tmp_path)
    case.release_with(product=replace(case.release.product, version=version))
    with pytest.raises(PublicationError, match=r"is neither X\.Y\.Z nor a pre-release of it"):
        case.plan()


@pytest.mark.parametrize("version", ["2.0.0-1", "2.0.0-final.candidate"])
def test_a_version_that_cannot_be_ordered_is_refused(version: str, tmp_path: Path) -> None:
    """SemVer allows both; by the rules of Python's packaging, the first is a post-release and the second invalid."""
    with pytest.raises(PublicationError, match=r"cannot be ordered|neither X\.Y\.Z"):
        Case(tmp_path, version).plan()


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
def test_the_changelog_section_is_that_of_exactly_this_version(text: str, section: str) -> None:
    assert changelog_section(text, "2.0.0") == section


def test_our_formulas_are_parsed_completely() -> None:
    facts = parse_formula((GOLDEN / "formula_rebuilt.rb.golden").read_text(encoding="utf-8"))
    assert facts
    assert facts.rebuild > 0
    assert all(f".bottle.{facts.rebuild}.tar.gz" in one.url for one in facts.downloads("stigmer")[:-1])
    four = parse_formula((GOLDEN / "formula_four_bottles.rb.golden").read_text(encoding="utf-8"))
    assert four
    assert [tag for tag, _ in four.bottles] == ["arm64_sonoma", "sonoma", "arm64_linux", "x86_64_linux"]
    assert four.version == "2.0.0"
