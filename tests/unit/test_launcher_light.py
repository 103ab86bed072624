"""What the launcher loads: little, and nothing after the services run, because the keg may be gone by then."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"argparse", "asyncio", "ctypes", "dataclasses", "inspect", "logging", "pathlib", "shutil", "subprocess",
         "tempfile", "traceback", "urllib.request"}  # fmt: skip
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


def bare(module: str = "runpy") -> set[str]:
    """Name what the listing itself loads, and one module."""
    command = [sys.executable, "-S", "-c", f"{LISTED}import {module}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


@pytest.mark.parametrize("arguments", [("--version",), ("-V",)])
def test_the_version_is_answered_before_anything_is_imported(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    own = loaded(tmp_path, *arguments) - bare()
    assert own == {"stigmer_launcher", "stigmer_launcher.version"}


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("server", "status"), ("server", "stop"), ("server", "logs"), ("config", "path"), ("server",)],
    ids=" ".join,
)
def test_no_command_loads_a_heavy_module(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Each of these costs more than all of ours together; `server` ends early here, for want of a keg."""
    assert (loaded(tmp_path, *arguments) - bare()) & HEAVY == set()


def test_the_status_loads_nothing_of_the_supervisor(tmp_path: Path) -> None:
    own = loaded(tmp_path, "server", "status")
    assert not own & {
        f"stigmer_launcher.{name}"
        for name in ("supervise.supervisor", "launch.prepare", "readiness.probe", "install.install", "config.file")
    }
    assert "socket" not in own


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_stopped_server_needs_no_json_and_nothing_of_a_launch(tmp_path: Path, command: str) -> None:
    """There is no state to read, and nothing to start."""
    own = loaded(tmp_path, "server", command) - bare()
    assert "json" not in own
    assert not [name for name in own if name.startswith(("stigmer_launcher.launch", "stigmer_launcher.install"))]


def test_the_guard_sees_a_heavy_import() -> None:
    assert bare("argparse") & HEAVY
