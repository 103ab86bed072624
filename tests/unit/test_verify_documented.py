"""scripts/verify-documented with a fake brew that behaves, and with one that does not."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from support.native_code import place

ROOT = Path(__file__).parents[2]
BREW = """#!/bin/sh
echo "brew $*" >>"$FAKE/calls"
case "$1 $2" in
    'list --formula') [ -e "$FAKE/cellar/stigmer" ] && echo "stigmer $(cat "$FAKE/version")" ;;
    'install stigmer/tap/stigmer') [ ! -e "$FAKE/broken" ] && [ ! -e "$FAKE/trusted" ] || exit 1
        mkdir -p "$FAKE/cellar/stigmer" "$FAKE/bin" && cp "$FAKE/program" "$FAKE/bin/stigmer" && cat "$FAKE/output" ;;
    'tap ') [ ! -e "$FAKE/tapped" ] || echo stigmer/tap ;;
    'untap stigmer/tap') [ ! -e "$FAKE/in-use" ] || exit 1; rm "$FAKE/tapped"; mv "$FAKE/published" "$FAKE/program" ;;
    'untrust stigmer/tap') rm "$FAKE/trusted" ;;
    'test stigmer/tap/stigmer') ;;
    'uninstall stigmer') rm -r "$FAKE/cellar/stigmer"; [ -e "$FAKE/lazy" ] || rm "$FAKE/bin/stigmer" ;;
    '--prefix ') echo "$FAKE" ;;
    '--cellar ') echo "$FAKE/cellar" ;;
    *) exit 9 ;;
esac
"""


class FakeBrew(NamedTuple):
    """A prefix with a fake brew; files in its folder determine what it prints and does."""

    folder: Path

    def run(self) -> subprocess.CompletedProcess[str]:
        """Verify v2.0.0 with this brew."""
        env = {"PATH": f"{self.folder / 'path'}:{os.environ['PATH']}", "FAKE": str(self.folder)}
        words = [str(self.folder / "scripts/verify-documented"), "stigmer/tap/stigmer", "v2.0.0"]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    def refusal(self) -> str:
        """Run the verification, which must fail, and return its error output."""
        result = self.run()
        assert result.returncode == 1
        return result.stderr


@pytest.fixture
def brew(tmp_path: Path) -> FakeBrew:
    """Return a brew that pours 2.0.0, and a verification of the installation that passes."""
    for path, text in {
        "path/brew": BREW,
        "program": "#!/bin/sh\necho stigmer 2.0.0\n",
        "scripts/verify-install": '#!/bin/sh\necho "trial $*" >>"$FAKE/calls"\n',
        "output": "==> Pouring stigmer-2.0.0.x86_64_linux.bottle.tar.gz\n",
        "version": "2.0.0",
    }.items():
        place(tmp_path / path, text.encode())
    shutil.copy(ROOT / "scripts/verify-documented", tmp_path / "scripts")
    return FakeBrew(tmp_path)


def test_an_install_that_pours_works_and_can_be_removed_passes(brew: FakeBrew) -> None:
    """In the order of a user: install, test, use, uninstall."""
    result = brew.run()
    assert result.returncode == 0, result.stderr
    calls = (brew.folder / "calls").read_text().splitlines()
    assert calls[:2] == ["brew list --formula --versions stigmer", "brew tap"]
    assert calls[3] == "brew install stigmer/tap/stigmer"
    assert f"trial --stigmer {brew.folder}/bin/stigmer" in calls
    assert calls.index("brew test stigmer/tap/stigmer") < calls.index("brew uninstall stigmer")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("output", "==> Downloading the source\n==> make install\n", "built from source"),
        ("broken", "", "the documented command failed"),
        ("program", "#!/bin/sh\necho stigmer 1.9.0\n", "does not print"),
        ("version", "2.0.1", "v2.0.0 was released"),
        ("lazy", "", "uninstall left"),
        ("scripts/verify-install", "#!/bin/sh\nexit 1\n", ""),
    ],
)
def test_every_problem_that_a_user_would_meet_fails_the_verification(
    brew: FakeBrew, name: str, text: str, reason: str
) -> None:
    (brew.folder / name).write_text(text)
    assert reason in brew.refusal()


def test_a_tap_with_the_formula_of_the_previous_release_is_fetched_again(brew: FakeBrew) -> None:
    """setup-homebrew checks out the workflow's commit, which still has the formula of the previous release."""
    (brew.folder / "tapped").touch()
    shutil.move(brew.folder / "program", brew.folder / "published")
    (brew.folder / "program").write_text("#!/bin/sh\necho stigmer 1.9.0\n")
    result = brew.run()
    assert result.returncode == 0, result.stderr


def test_the_documented_command_runs_without_trust_in_the_tap(brew: FakeBrew) -> None:
    """setup-homebrew trusts the tap of the repository that it runs in."""
    (brew.folder / "trusted").touch()
    result = brew.run()
    assert result.returncode == 0, result.stderr


def test_a_tap_that_cannot_be_fetched_again_is_reported_before_anything_is_installed(brew: FakeBrew) -> None:
    for name in ("tapped", "in-use"):
        (brew.folder / name).touch()
    assert "the tap stigmer/tap is an older checkout" in brew.refusal()
    assert "brew install" not in (brew.folder / "calls").read_text()


def test_an_existing_installation_is_left_alone(brew: FakeBrew) -> None:
    """The user's own installation must not be removed."""
    (brew.folder / "cellar" / "stigmer").mkdir(parents=True)
    assert "fresh machine" in brew.refusal()
    assert (brew.folder / "cellar" / "stigmer").is_dir()
