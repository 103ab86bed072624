"""The formula equals its golden files, keeps brew's order, and never executes text of the manifest."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmer_packaging.formula.stage import write_formula
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib import digest
from stigmer_packaging.manifest.bottle_tags import listing_order, parse_tag, plan_requirements
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.records.model import ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.keg_standin import standin_manifest
from support.ruby_reading import ANY_TEXT, needs_ruby, read_literal, read_with_ruby

GOLDEN = Path(__file__).parents[1] / "golden"
FOUR = (
    ("x86_64_linux", "d" * 64),
    ("sonoma", "b" * 64),
    ("arm64_linux", "c" * 64),
    ("arm64_sonoma", "a" * 64),
)
SOURCE = ReleaseFile("source", "stigmer", "2.0.0", "dist/stigmer-2.0.0.tar.gz", 1, "e" * 64)
MANIFEST = standin_manifest()


@pytest.mark.parametrize(
    ("golden", "bottles", "rebuild"),
    [
        ("formula_four_bottles.rb.golden", FOUR, 0),
        ("formula_one_bottle.rb.golden", FOUR[:1], 0),
        ("formula_rebuilt.rb.golden", FOUR[1:2] + FOUR[3:], 2),
    ],
)
def test_the_formula_equals_its_golden_file(golden: str, bottles: tuple[tuple[str, str], ...], rebuild: int) -> None:
    text = render_formula(standin_manifest(rebuild=rebuild), SOURCE.sha256, bottles)
    assert text == (GOLDEN / golden).read_text(encoding="utf-8")


@needs_ruby
@pytest.mark.parametrize("golden", sorted(path.name for path in GOLDEN.glob("formula_*.rb.golden")))
def test_every_golden_formula_is_valid_ruby(golden: str) -> None:
    assert read_with_ruby((GOLDEN / golden).read_text(encoding="utf-8"))[0]["tree"] != "nil"


def test_without_a_smoke_call_only_the_smoke_step_of_the_formula_changes() -> None:
    """The formula's test still checks that every service runs."""
    texts = (render_formula(MANIFEST, SOURCE.sha256, FOUR), render_formula(MANIFEST, SOURCE.sha256, FOUR, smoke=False))
    with_call, without = (text.splitlines() for text in texts)
    changed = [(one, other) for one, other in zip(with_call, without, strict=True) if one != other]
    assert changed == [
        ("      Check that it works:  stigmer smoke", "      Check that it works:  stigmer server status"),
        ('      system command, "smoke"', '      puts "no smoke call in this stack: readiness proofs only"'),
    ]


def test_licence_and_home_variable_are_those_of_the_product() -> None:
    text = render_formula(standin_manifest(name="two-tiny", license="MIT OR Apache-2.0"), SOURCE.sha256, FOUR)
    assert '\n  license any_of: ["MIT", "Apache-2.0"]\n' in text
    assert '\n    ENV["TWO_TINY_HOME"] = testpath/"home"\n' in text
    assert "STIGMER" not in text


def test_tags_of_newer_macos_versions_come_first() -> None:
    """Brew pours the first bottle for the host's architecture that is not newer than the host."""
    tags = ["sonoma", "arm64_sonoma", "arm64_tahoe", "x86_64_linux", "tahoe"]
    assert sorted(tags, key=listing_order) == ["arm64_tahoe", "arm64_sonoma", "tahoe", "sonoma", "x86_64_linux"]


@pytest.mark.parametrize("tag", ["arm64_linux_", "windows", "x86_64_sonoma", "arm64_", ""])
def test_a_bottle_tag_unknown_to_brew_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="unknown bottle tag"):
        parse_tag(tag)


ALL = ("arm64_sonoma", "sonoma", "arm64_linux", "x86_64_linux")
SUBSETS = [chosen for count in range(1, 5) for chosen in itertools.combinations(ALL, count)]


def is_allowed(lines: tuple[str, ...], system: str, architecture: str, *, macos_version_ignored: bool) -> bool:
    """Evaluate requirements as brew does on a platform. Up to 6.0.15, brew ignored macOS versions on Linux."""
    block, requirements = "", []
    for line in lines:
        block = line.split()[0].removeprefix("on_") if line.endswith(" do") else "" if line == "end" else block
        if "depends_on" in line and block in ("", system):
            requirements.append(line.split("depends_on ")[1])
    satisfied = {
        "arch: :arm64": architecture == "arm64",
        "arch: :x86_64": architecture == "x86_64",
        ":linux": system == "linux",
        ":macos": system == "macos",
        "macos: :sonoma": system == "macos" or macos_version_ignored,
    }
    return all(satisfied[requirement] for requirement in requirements)


@pytest.mark.parametrize("tags", SUBSETS, ids="+".join)
@pytest.mark.parametrize("before_6_0_16", [True, False], ids=["brew 5.0", "brew 6.0.16"])
def test_exactly_the_platforms_with_a_bottle_are_allowed(tags: tuple[str, ...], before_6_0_16: bool) -> None:  # noqa: FBT001 - a parameter of the test
    lines = plan_requirements(tags)
    for tag in ALL:
        platform = parse_tag(tag)
        allowed = is_allowed(lines, platform.system, platform.architecture, macos_version_ignored=before_6_0_16)
        assert allowed == (tag in tags), tag


@pytest.mark.parametrize("tags", SUBSETS, ids="+".join)
def test_a_macos_version_is_required_only_within_an_on_macos_block(tags: tuple[str, ...]) -> None:
    """Outside of it, brew refuses Linux; in addition to `:macos`, it warns."""
    lines = plan_requirements(tags)
    assert [line for line in lines if line.startswith("depends_on macos:")] == []
    assert (":macos" in " ".join(lines).replace("depends_on macos: ", "")) == all("linux" not in tag for tag in tags)


def manifest_of(description: str, homepage: str, repository: str, service: str, port: str) -> Manifest:
    """Return a manifest with one component and these texts in every field that accepts arbitrary text."""
    manifest = standin_manifest(description=description, homepage=homepage, repository=repository, tap="a/tap")
    (part, *_) = manifest.components
    return replace(manifest, components=(replace(part, name=service, run=replace(part.run, ports={port: 1})),))


OF_ANY_TEXT = st.builds(manifest_of, *[ANY_TEXT.filter(bool)] * 5)
PLAIN = manifest_of("x", "x", "x", "x", "x")


def formula_of(manifest: Manifest) -> str:
    return render_formula(manifest, SOURCE.sha256, FOUR)


@given(OF_ANY_TEXT)
def test_no_text_escapes_its_string_literal_or_adds_a_line(manifest: Manifest) -> None:
    """Checked without Ruby: each line equals the one for plain texts except for one string literal."""
    lines, plain = formula_of(manifest).splitlines(), formula_of(PLAIN).splitlines()
    assert len(lines) == len(plain)
    for line, expected in zip(lines, plain, strict=True):
        if line != expected:
            before, _, rest = expected.partition('"')
            after = rest.partition('"')[2]
            assert line.startswith(before)
            assert line.endswith(after)
            read_literal(line[len(before) : len(line) - len(after)])


@needs_ruby
@settings(max_examples=15, deadline=None)
@given(st.lists(OF_ANY_TEXT, min_size=10))
def test_ruby_parses_the_formula_of_any_text_like_that_of_plain_texts(several: list[Manifest]) -> None:
    """The syntax tree never changes, only the contents of its strings."""
    plain, *found = read_with_ruby(*map(formula_of, [PLAIN, *several]))
    for manifest, formula in zip(several, found, strict=True):
        assert formula["tree"] == plain["tree"]
        assert manifest.product.description in "".join(formula["strings"])


def test_the_stage_writes_the_formula_with_its_bottles_and_returns_its_record(workspace: Workspace) -> None:
    about = ("bottle", "stigmer", "2.0.0", "dist/bottle", 1)
    bottles = [ReleaseFile(*about, sha256, "linux-amd64", tag, 1) for tag, sha256 in FOUR]
    manifest = standin_manifest(rebuild=1)
    formula = write_formula(manifest, SOURCE, bottles, workspace=workspace)
    assert formula.path == "dist/Formula/stigmer.rb"
    assert workspace.path(formula.path).read_text(encoding="utf-8") == render_formula(manifest, SOURCE.sha256, FOUR)
    assert digest.sha256_of(workspace.path(formula.path)) == formula.sha256
