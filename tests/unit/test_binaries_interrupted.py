"""An interrupted run that was reading binaries prints no warnings about leaked objects."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
LEAK = """import ctypes, lief
from stigmer_packaging.binaries import {module}
leaked = lief.assembly.AssemblerConfig()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(leaked))
"""


@pytest.mark.parametrize("module", ["elf", "macho"])
def test_objects_of_lief_that_are_leaked_at_exit_are_not_listed(module: str) -> None:
    program = [sys.executable, "-c", LEAK.format(module=module)]
    completed = subprocess.run(program, env={"PYTHONPATH": str(PACKAGING)}, capture_output=True, text=True, check=True)
    assert (completed.stdout, completed.stderr) == ("", "")
