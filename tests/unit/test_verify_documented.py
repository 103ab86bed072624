"""The trial of the documented command, against a brew that behaves, and one that does not."""

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
    'install stigmer/tap/stigmer') [ ! -e "$FAKE/broken" ] || exit 1
        mkdir -p "$FAKE/cellar/stigmer" "$FAKE/bin" && cp "$FAKE/program" "$FAKE/bin/stigmer" && cat "$FAKE/says" ;;
    'tap ') [ ! -e "$FAKE/tapped" ] || echo stigmer/tap ;;
    'untap stigmer/tap') [ ! -e "$FAKE/in-use" ] || exit 1; rm "$FAKE/tapped"; mv "$FAKE/published" "$FAKE/program" ;;
    'test stigmer/tap/stigmer') ;;
    'uninstall stigmer') rm -r "$FAKE/cellar/stigmer"; [ -e "$FAKE/lazy" ] || rm "$FAKE/bin/stigmer" ;;
    '--prefix ') echo "$FAKE" ;;
    '--cellar ') echo "$FAKE/cellar" ;;
    *) exit 9 ;;
esac
"""


class FakeBrew(NamedTuple):
    """A prefix with a brew in it; what it says and does lies in files of its folder."""

    folder: Path

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the trial of v2.0.0 with this brew."""
        env = {"PATH": f"{self.folder / 'path'}:{os.environ['PATH']}", "FAKE": str(self.folder)}
        words = [str(self.folder / "scripts/verify-documented"), "stigmer/tap/stigmer", "v2.0.0"]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    def refusal(self) -> str:
        """Run the trial, which fails; give what it says of that."""
        done = self.run()
        assert done.returncode == 1
        return done.stderr


@pytest.fixture
def brew(tmp_path: Path) -> FakeBrew:
    """Make a brew that pours 2.0.0, and a trial of the installation that holds."""
    for path, text in {
        "path/brew": BREW,
        "program": "#!/bin/sh\necho stigmer 2.0.0\n",
        "scripts/verify-install": '#!/bin/sh\necho "trial $*" >>"$FAKE/calls"\n',
        "says": "==> Pouring stigmer-2.0.0.x86_64_linux.bottle.tar.gz\n",
        "version": "2.0.0",
    }.items():
        place(tmp_path / path, text.encode())
    shutil.copy(ROOT / "scripts/verify-documented", tmp_path / "scripts")
    return FakeBrew(tmp_path)


def test_an_install_that_pours_proves_itself_and_goes_again_passes(brew: FakeBrew) -> None:
    """In the order of a user: install, test, use, uninstall."""
    done = brew.run()
    assert done.returncode == 0, done.stderr
    calls = (brew.folder / "calls").read_text().splitlines()
    assert calls[:3] == ["brew list --formula --versions stigmer", "brew tap", "brew install stigmer/tap/stigmer"]
    assert f"trial --stigmer {brew.folder}/bin/stigmer" in calls
    assert calls.index("brew test stigmer/tap/stigmer") < calls.index("brew uninstall stigmer")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("says", "==> Downloading the source\n==> make install\n", "built from source"),
        ("broken", "", "the documented command failed"),
        ("program", "#!/bin/sh\necho stigmer 1.9.0\n", "does not print"),
        ("version", "2.0.1", "v2.0.0 was released"),
        ("lazy", "", "uninstall left"),
        ("scripts/verify-install", "#!/bin/sh\nexit 1\n", ""),
    ],
)
def test_whatever_a_user_would_stumble_over_fails_the_trial(brew: FakeBrew, name: str, text: str, reason: str) -> None:
    (brew.folder / name).write_text(text)
    assert reason in brew.refusal()


def test_a_tap_at_the_commit_before_the_formula_s_is_fetched_anew(brew: FakeBrew) -> None:
    """A stand-in for setup-homebrew: the checkout of the workflow's commit has the formula of the release before."""
    (brew.folder / "tapped").touch()
    shutil.move(brew.folder / "program", brew.folder / "published")
    (brew.folder / "program").write_text("#!/bin/sh\necho stigmer 1.9.0\n")
    done = brew.run()
    assert done.returncode == 0, done.stderr


def test_a_tap_that_cannot_be_fetched_anew_is_told_before_anything_is_installed(brew: FakeBrew) -> None:
    for name in ("tapped", "in-use"):
        (brew.folder / name).touch()
    assert "the tap stigmer/tap is an older checkout" in brew.refusal()
    assert "brew install" not in (brew.folder / "calls").read_text()


def test_a_machine_that_has_it_already_is_left_alone(brew: FakeBrew) -> None:
    """Somebody's own installation is not taken away."""
    (brew.folder / "cellar" / "stigmer").mkdir(parents=True)
    assert "fresh machine" in brew.refusal()
    assert (brew.folder / "cellar" / "stigmer").is_dir()
