"""What a run that is interrupted while it reads binaries prints."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
LEFT = """import ctypes, lief
from stigmer_packaging.binaries import {module}
left = lief.assembly.AssemblerConfig()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(left))
"""


@pytest.mark.parametrize("module", ["elf", "macho"])
def test_objects_of_the_library_that_are_left_at_the_end_are_not_listed(module: str) -> None:
    program = [sys.executable, "-c", LEFT.format(module=module)]
    done = subprocess.run(program, env={"PYTHONPATH": str(PACKAGING)}, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
