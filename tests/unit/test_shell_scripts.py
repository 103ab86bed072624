"""The shell scripts are POSIX sh, formatted by shfmt, and pass shellcheck."""

import os
import sys
from pathlib import Path

import pytest

from stigmer_packaging.lib import command, git

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "launcher", "packaging", "scripts", "tests")
# Every byte of it is in the cache key of the pinned Python, which takes long to compile.
PYTHON_RECIPE = "packaging/python/"


def tool(name: str) -> Path:
    """Return a program of the environment, or skip the test if its wheel is not installed."""
    program = Path(sys.executable).with_name(name)
    if not program.is_file():
        pytest.skip(f"{name} is not in this environment")
    return program


def shell_scripts() -> list[str]:
    """Return the scripts that shfmt finds, by their first lines, including those that are only sourced."""
    found = command.run([tool("shfmt"), "--find", *(name for name in FOLDERS if (ROOT / name).is_dir())], cwd=ROOT)
    return found.stdout.splitlines()


def test_all_scripts_are_formatted_by_shfmt() -> None:
    scripts = [name for name in shell_scripts() if not name.startswith(PYTHON_RECIPE)]
    result = command.run([tool("shfmt"), "--indent=4", "--case-indent", "--diff", *scripts], cwd=ROOT, check=False)
    assert (result.stdout, result.code) == ("", 0)


def test_shellcheck_reports_nothing() -> None:
    result = command.run([tool("shellcheck"), *shell_scripts()], cwd=ROOT, check=False)
    assert (result.stdout, result.code) == ("", 0)


def test_no_script_has_the_extension_that_brew_style_checks() -> None:
    """`brew style` of a tap checks every *.sh file as bash in brew's own layout, whatever its first line says."""
    assert [name for name in git.list_tracked(ROOT, ["."], env=os.environ) if name.endswith(".sh")] == []
