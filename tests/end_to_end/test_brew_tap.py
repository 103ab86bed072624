"""The repository, and all variants of the formula, as read by the real Homebrew: `pytest -m brew`."""

import itertools
import json
import re
from pathlib import Path

import pytest

from stigmer_packaging.formula.tap_files import render_tap
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib.loopback import serving
from stigmer_packaging.verify.brew.client import Brew, parse_pours
from stigmer_packaging.verify.brew.local_tap import replace_root_url
from support.keg_standin import standin_manifest
from support.real_brew import FULL, ROOT, TAP, copy_checkout, require_brew, tapped

pytestmark = [pytest.mark.brew, pytest.mark.timeout(600)]

FOUR = (("arm64_sonoma", "a" * 64), ("sonoma", "b" * 64), ("arm64_linux", "c" * 64), ("x86_64_linux", "d" * 64))


@pytest.fixture
def brew(tmp_path: Path) -> Brew:
    return require_brew(tmp_path / "home")


def formula(*bottles: tuple[str, str]) -> str:
    return render_formula(standin_manifest(), "e" * 64, bottles)


def assert_no_complaint(brew: Brew, formulae: int = 1) -> None:
    """Trust the tap first, because brew 7 skips all formulae of one that is not trusted."""
    brew.attempt("trust", TAP)
    output = brew.run("tap", TAP)
    assert f"Tapped {formulae} formula" in output
    output += brew.run("readall", "--os=all", "--arch=all", "--aliases", "--syntax", TAP)
    output += brew.run("audit", "--strict", f"--tap={TAP}")
    assert not re.search("Warning|deprecated|problem", output), output
    assert "no offenses detected" in brew.run("style", TAP)


def test_this_repository_is_a_tap_that_brew_reads_without_a_warning(brew: Brew, tmp_path: Path) -> None:
    """It contains much besides formulae."""
    with tapped(brew, tmp_path / "tap") as tap:
        copy_checkout(tap.folder)
        tap.publish("stigmer", (tap.folder / "Formula" / "stigmer.rb").read_text(encoding="utf-8"))
        assert_no_complaint(brew)
        assert "stigmer" not in brew.run("commands", "--quiet")


def test_a_separate_tap_passes_all_of_brews_checks(brew: Brew, tmp_path: Path) -> None:
    """Including README and workflows: these are the checks of `brew test-bot --only-tap-syntax` in its own workflow."""
    with tapped(brew, tmp_path / "tap") as tap:
        for path, text in render_tap(standin_manifest(), formula(*FOUR), "licence\n", ROOT / "packaging").items():
            (tap.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (tap.folder / path).write_text(text, encoding="utf-8")
        tap.publish("stigmer", formula(*FOUR))
        assert_no_complaint(brew)


SUBSETS = [chosen for count in range(1, 5) for chosen in itertools.combinations(FOUR, count)]


def test_the_formula_of_every_set_of_bottles_passes_brews_checks_on_every_platform(brew: Brew, tmp_path: Path) -> None:
    """All are in one tap with different names; `readall` loads them as on each system and architecture."""
    with tapped(brew, tmp_path / "tap") as tap:
        for number, bottles in enumerate(SUBSETS, 1):
            name = f"stigmer-{chr(96 + number)}"
            manifest = standin_manifest(name=name, rebuild=number % 2)
            tap.publish(name, render_formula(manifest, "e" * 64, bottles))
        assert_no_complaint(brew, len(SUBSETS))


def test_a_compound_licence_passes_brew_style_and_is_read_back_unchanged(brew: Brew, tmp_path: Path) -> None:
    expression = "MIT OR Apache-2.0 AND GPL-2.0-only WITH Classpath-exception-2.0"
    with tapped(brew, tmp_path / "tap") as tap:
        tap.publish("stigmer", render_formula(standin_manifest(license=expression), "e" * 64, FOUR))
        brew.run("tap", TAP)
        assert "no offenses detected" in brew.run("style", FULL)
        assert "problem" not in brew.run("audit", "--strict", "--formula", FULL)
        output = brew.run("info", "--json=v2", FULL)
        read = json.loads(output[output.index("{") :])["formulae"][0]["license"]
        assert read == "MIT OR (Apache-2.0 AND (GPL-2.0-only WITH Classpath-exception-2.0))"


def test_a_platform_without_a_bottle_is_refused_before_anything_is_fetched(brew: Brew, tmp_path: Path) -> None:
    """One line names the requirement; no compiler is required and no source is downloaded."""
    machine = brew.run("config")
    arm = "arm" in machine.lower().partition("cpu:")[2].partition("\n")[0]
    tag, architecture = ("x86_64_linux", "x86_64") if arm else ("arm64_linux", "arm64")
    with tapped(brew, tmp_path / "tap") as tap:
        tap.publish("stigmer", formula((tag, "a" * 64)))
        done = brew.attempt("install", FULL)
        output = done.stdout + done.stderr
        assert done.code == 1
        assert f"The {architecture} architecture is required for this software." in output
        assert "An unsatisfied requirement failed this build." in output
        assert "Fetching" not in output.replace("Fetching downloads", "")
        assert "developer tools" not in output


def test_a_minimum_macos_does_not_prevent_installation_on_linux(brew: Brew, tmp_path: Path) -> None:
    """Brew gets as far as fetching the bottle, which does not exist."""
    (tmp_path / "files").mkdir()
    with tapped(brew, tmp_path / "tap") as tap, serving(tmp_path / "files") as url:
        tap.publish("stigmer", replace_root_url(formula(*FOUR), url))
        done = brew.attempt("install", FULL)
        output = done.stdout + done.stderr
        assert "unsatisfied requirement" not in output
        assert "Failed to download" in output
        assert parse_pours(output) == ()
