"""The shell scripts: POSIX sh, formatted by shfmt, and nothing for shellcheck to say."""

import os
import sys
from pathlib import Path

import pytest

from stigmer_packaging.lib import command, git

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "launcher", "packaging", "scripts", "tests")
PYTHON_RECIPE = (
    "packaging/python/"  # every byte of it is in the cache key of the pinned Python, which takes long to compile
)


def tool(name: str) -> Path:
    """Give a program of the environment, or skip where its wheel is not installed."""
    program = Path(sys.executable).with_name(name)
    if not program.is_file():
        pytest.skip(f"{name} is not in this environment")
    return program


def shell_scripts() -> list[str]:
    """List the scripts by their first lines, as shfmt finds them, and those that are only read by others."""
    found = command.run([tool("shfmt"), "--find", *(name for name in FOLDERS if (ROOT / name).is_dir())], cwd=ROOT)
    return found.stdout.splitlines()


def test_shfmt_would_change_no_script() -> None:
    scripts = [name for name in shell_scripts() if not name.startswith(PYTHON_RECIPE)]
    done = command.run([tool("shfmt"), "--indent=4", "--case-indent", "--diff", *scripts], cwd=ROOT, check=False)
    assert (done.stdout, done.code) == ("", 0)


def test_shellcheck_finds_nothing_to_say() -> None:
    done = command.run([tool("shellcheck"), *shell_scripts()], cwd=ROOT, check=False)
    assert (done.stdout, done.code) == ("", 0)


def test_none_is_named_as_brew_looks_for_scripts_of_its_own_dialect() -> None:
    """`brew style` of a tap holds every file *.sh, whatever its first line says, to bash and to the layout of brew's own."""
    assert [name for name in git.list_tracked(ROOT, ["."], env=os.environ) if name.endswith(".sh")] == []
