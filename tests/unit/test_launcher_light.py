"""Each command of the launcher imports only the modules it needs, which keeps it fast."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("argparse", "asyncio", "ctypes", "dataclasses", "inspect", "logging", "pathlib", "shutil", "subprocess",
         "tempfile", "traceback", "urllib.request")  # fmt: skip
# `status` and `stop` of a stopped server read no state and start nothing.
START_MODULES = (
    "json",
    "socket",
    *(f"stigmer_launcher.{name}" for name in ("config.file", "install", "launch", "readiness")),
)
# Lists the modules when the program ends, also if it ends with os._exit as the launcher does.
LIST_MODULES = """import atexit, os, sys
end = os._exit
atexit.register(lambda: sys.stderr.write(" ".join(sorted(sys.modules))))
os._exit = lambda code: (atexit._run_exitfuncs(), sys.stderr.flush(), end(code))
"""


def loaded(program: str, home: Path) -> set[str]:
    """Return the names of all modules that a bare interpreter has loaded when a program ends."""
    environment = {"PYTHONPATH": str(ROOT / "launcher"), "STIGMER_HOME": str(home)}
    command = [sys.executable, "-S", "-c", f"{LIST_MODULES}import runpy\n{program}"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return set(result.stderr.splitlines()[-1].split())


def loaded_by(home: Path, *arguments: str) -> set[str]:
    """Return the names of the modules that a command line loads, without those that the listing needs."""
    run = f"sys.argv = ['stigmer', *{arguments!r}]; runpy.run_module('stigmer_launcher', run_name='__main__')"
    return loaded(run, home) - loaded("", home)


@pytest.mark.parametrize("argument", ["--version", "-V"])
def test_printing_the_version_imports_nothing_else(tmp_path: Path, argument: str) -> None:
    """Only the package itself and its version module are loaded."""
    assert loaded_by(tmp_path / "home", argument) == {"stigmer_launcher", "stigmer_launcher.version"}


def test_an_interrupt_while_modules_are_imported_leaves_no_traceback() -> None:
    """The frozen program once printed a traceback and crashed."""
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
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "launcher")},
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (130, b"")


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        ("--help", HEAVY),
        ("server status", (*HEAVY, *START_MODULES, "stigmer_launcher.supervise.supervisor")),
        ("server stop", (*HEAVY, *START_MODULES)),
        ("server logs", HEAVY),
        ("config path", HEAVY),
        ("server", HEAVY),
    ],
)
def test_a_command_loads_no_module_that_it_does_not_need(
    tmp_path: Path, arguments: str, unwanted: tuple[str, ...]
) -> None:
    """A heavy module costs more than all of the launcher's together. `server` exits early here: there is no keg."""
    assert not [name for name in loaded_by(tmp_path / "home", *arguments.split()) if name.startswith(unwanted)]


def test_a_heavy_import_is_detected(tmp_path: Path) -> None:
    assert "argparse" in loaded("import argparse", tmp_path)
