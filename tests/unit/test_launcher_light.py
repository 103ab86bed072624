"""The launcher loads few modules, and none after the services run, because the keg may be gone by then."""

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


def loaded(program: str, home: Path) -> set[str]:
    """Name every module that a bare interpreter has loaded at the end of a program."""
    environment = {"PYTHONPATH": str(ROOT / "launcher"), "STIGMER_HOME": str(home)}
    command = [sys.executable, "-S", "-c", f"{LISTED}import runpy\n{program}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return set(done.stderr.splitlines()[-1].split())


def loaded_by(home: Path, *arguments: str) -> set[str]:
    """Name every module that a command line loads, the listing's own aside."""
    run = f"sys.argv = ['stigmer', *{arguments!r}]; runpy.run_module('stigmer_launcher', run_name='__main__')"
    return loaded(run, home) - loaded("", home)


@pytest.mark.parametrize("argument", ["--version", "-V"])
def test_the_version_is_answered_before_anything_is_imported(tmp_path: Path, argument: str) -> None:
    """Beside the package itself and the module with the version."""
    assert loaded_by(tmp_path / "home", argument) == {"stigmer_launcher", "stigmer_launcher.version"}


def test_an_interrupt_while_modules_are_imported_leaves_no_traceback() -> None:
    """A frozen program printed one, and crashed."""
    program = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'stigmer_launcher.cli.main':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from stigmer_launcher.__main__ import run\n"
        "sys.exit(run(['doctor']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "launcher")},
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (130, b"")


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
    assert not [name for name in loaded_by(tmp_path / "home", *arguments.split()) if name.startswith(unwanted)]


def test_the_guard_sees_a_heavy_import(tmp_path: Path) -> None:
    assert "argparse" in loaded("import argparse", tmp_path)
