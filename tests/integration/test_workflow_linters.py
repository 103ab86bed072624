"""The real actionlint and zizmor: they find nothing in our workflows, but do in a bad one."""

import os
import subprocess
from pathlib import Path

import pytest

from stigmer_packaging.ci.workflows import lint_with_actionlint, lint_with_zizmor
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import CommandError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.sources.golang import choose_go

ROOT = Path(__file__).parents[2]
BAD = """name: bad
on: {pull_request_target: }
jobs:
  bad:
    runs-on: ubunto-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.pull_request.title }}
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    (tmp_path / "bad.yml").write_text(BAD, encoding="utf-8")
    return tmp_path


def test_actionlint_finds_an_unknown_runner_and_untrusted_text_in_a_shell_line(bad: Path) -> None:
    from stigmer_packaging.manifest.reader import load_manifest

    env = build_environment(os.environ)
    toolchain = load_manifest(ROOT / "packaging" / "manifest.yaml").go
    go = choose_go(toolchain, Target("linux", "amd64"), bad, env, print)
    if go.program is None:
        pytest.skip("there is no Go on PATH; scripts/check lints with the one it fetches")
    found = lint_with_actionlint(bad, ROOT / "packaging" / "actionlint", go.program, env=env)
    assert len(found) == 2
    assert all(f"bad.yml:{line}:" in finding for line, finding in zip((5, 8), found, strict=True))


def test_zizmor_finds_the_trigger_the_injection_and_the_unpinned_action(bad: Path) -> None:
    text = "\n".join(lint_with_zizmor(bad, env=build_environment(os.environ)))
    assert all(name in text for name in ("dangerous-triggers", "template-injection", "unpinned-uses", "bad.yml:8:"))


def test_a_linter_that_crashes_does_not_count_as_one_without_findings(bad: Path) -> None:
    (bad / "bad.yml").write_text("a: [", encoding="utf-8")
    with pytest.raises(CommandError, match="failed with exit code"):
        lint_with_zizmor(bad, env=build_environment(os.environ))


def test_the_check_passes_for_our_workflows() -> None:
    done = subprocess.run([ROOT / "scripts" / "workflows"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
