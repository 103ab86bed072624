"""What the launcher loads: little, and nothing after the services run, because the keg may be gone by then."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("argparse", "asyncio", "ctypes", "dataclasses", "inspect", "logging", "pathlib", "shutil", "subprocess",
         "tempfile", "traceback", "urllib.request")  # fmt: skip
# A stopped server has no state to read, and nothing to start.
STARTS = ("json", "socket", *(f"stigmer_launcher.{name}" for name in ("config.file", "install", "launch", "readiness")))
# However the program ends: by itself, or at once, as the launcher does.
LISTED = """import atexit, os, sys
end = os._exit
atexit.register(lambda: sys.stderr.write(" ".join(sorted(sys.modules))))
os._exit = lambda code: (atexit._run_exitfuncs(), sys.stderr.flush(), end(code))
"""


def loaded(tmp_path: Path, *arguments: str) -> set[str]:
    """Run a command line in a bare interpreter, and name every module it has loaded at its end."""
    program = LISTED + (
        "import runpy\n"
        f"sys.argv = ['stigmer', *{arguments!r}]\n"
        "before = set(sys.modules)\n"
        "runpy.run_module('stigmer_launcher', run_name='__main__')"
    )
    environment = {"PYTHONPATH": str(ROOT / "launcher"), "STIGMER_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return set(done.stderr.splitlines()[-1].split())


def listed(program: str = "import runpy") -> set[str]:
    """Name what a program loads, the listing itself without one."""
    command = [sys.executable, "-S", "-c", LISTED + program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


@pytest.mark.parametrize("argument", ["--version", "-V"])
def test_the_version_is_answered_before_anything_is_imported(tmp_path: Path, argument: str) -> None:
    """Beside the package itself and the module with the version."""
    assert loaded(tmp_path, argument) - listed() == {"stigmer_launcher", "stigmer_launcher.version"}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        ("--help", HEAVY),
        ("server status", (*HEAVY, *STARTS, "stigmer_launcher.supervise.supervisor")),
        ("server stop", (*HEAVY, *STARTS)),
        ("server logs", HEAVY),
        ("config path", HEAVY),
        ("server", HEAVY),
    ],
)
def test_no_command_loads_what_it_does_not_need(tmp_path: Path, arguments: str, unwanted: tuple[str, ...]) -> None:
    """A heavy module costs more than all of ours together; `server` ends early here, for want of a keg."""
    assert not [name for name in loaded(tmp_path, *arguments.split()) - listed() if name.startswith(unwanted)]


def test_the_guard_sees_a_heavy_import() -> None:
    assert "argparse" in listed("import argparse")
