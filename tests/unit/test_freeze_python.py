"""The Python that freezes is one that can, and it sees nothing of the caller's environment."""

import json
import sys
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.interpreter import (
    parse_interpreter,
    plain_environment,
    read_interpreter,
    require_library,
)
from stigmer_packaging.lib.target import Target
from support.freezing import ENV, make_program


def said(version: str = "3.13.5", library: str = "/usr/lib/libpython3.13.so.1.0", content: str = "aa") -> str:
    return json.dumps(["/usr/bin/python3", version, f"{version} (main) [GCC 12]", "linux", "aarch64", library, content])


def test_a_real_python_says_what_it_is() -> None:
    found = read_interpreter(sys.executable, env=ENV)
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert not found.library or Path(found.library).is_file()
    assert not Path(found.executable).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_a_machine_is_named_as_a_target_and_another_build_of_one_version_is_another_python() -> None:
    """Linux says aarch64 where we say arm64. A record made with one build is not current for the other."""
    one, other = (parse_interpreter(said(content=content), executable="python3") for content in ("aa", "bb"))
    assert (one.target, one.version) == (other.target, other.version) == (Target("linux", "arm64"), "3.13.5")
    assert one.identity != other.identity


def test_a_python_that_is_too_old_is_refused() -> None:
    with pytest.raises(MissingToolError, match=r"3\.10\.13") as refused:
        parse_interpreter(said("3.10.13"), executable="python3")
    assert "3.11" in refused.value.remedy


def test_a_program_that_is_no_python_is_refused(tmp_path: Path) -> None:
    program = make_program(tmp_path / "python3", "print('hello')")
    with pytest.raises(CommandError, match="did not print its version and build"):
        read_interpreter(str(program), env=ENV)


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingToolError, match="/no/such/python"):
        read_interpreter("/no/such/python", env=ENV)


def test_a_python_without_its_library_names_the_package() -> None:
    """Debian keeps the library in a package of its own."""
    bare = parse_interpreter(said(library="", content=""), executable="/usr/bin/python3")
    with pytest.raises(MissingToolError, match=r"no shared libpython3\.13") as refused:
        require_library(bare)
    require_library(parse_interpreter(said(), executable="/usr/bin/python3"))
    assert "install libpython3.13" in refused.value.remedy


def test_what_could_change_a_result_stays_out_of_the_environment() -> None:
    given = {"PATH": "/bin", "PYTHONPATH": "/mine", "LD_LIBRARY_PATH": "/mine", "LC_ALL": "de_DE"}
    assert plain_environment(given) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}
