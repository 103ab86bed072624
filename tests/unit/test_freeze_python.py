"""The Python used for freezing is checked for suitability, and runs without the caller's environment."""

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


def described(version: str = "3.13.5", library: str = "/usr/lib/libpython3.13.so.1.0", content: str = "aa") -> str:
    return json.dumps(["/usr/bin/python3", version, f"{version} (main) [GCC 12]", "linux", "aarch64", library, content])


def test_a_real_python_is_described_correctly() -> None:
    found = read_interpreter(sys.executable, env=ENV)
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert not found.library or Path(found.library).is_file()
    assert not Path(found.executable).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_the_platform_becomes_a_target_and_builds_of_the_same_version_differ() -> None:
    """Linux calls arm64 aarch64. A record made with one build is not current for another."""
    one, other = (parse_interpreter(described(content=content), executable="python3") for content in ("aa", "bb"))
    assert (one.target, one.version) == (other.target, other.version) == (Target("linux", "arm64"), "3.13.5")
    assert one.identity != other.identity


def test_a_python_that_is_too_old_is_refused() -> None:
    with pytest.raises(MissingToolError, match=r"3\.10\.13") as refused:
        parse_interpreter(described("3.10.13"), executable="python3")
    assert "3.11" in refused.value.remedy


def test_a_program_that_is_not_python_is_refused(tmp_path: Path) -> None:
    program = make_program(tmp_path / "python3", "print('hello')")
    with pytest.raises(CommandError, match="did not print its version and build"):
        read_interpreter(str(program), env=ENV)


def test_a_missing_python_is_named() -> None:
    with pytest.raises(MissingToolError, match="/no/such/python"):
        read_interpreter("/no/such/python", env=ENV)


def test_the_error_about_a_missing_libpython_names_its_package() -> None:
    """Debian ships the library in a separate package."""
    bare = parse_interpreter(described(library="", content=""), executable="/usr/bin/python3")
    with pytest.raises(MissingToolError, match=r"no shared libpython3\.13") as refused:
        require_library(bare)
    require_library(parse_interpreter(described(), executable="/usr/bin/python3"))
    assert "install libpython3.13" in refused.value.remedy


def test_the_plain_environment_omits_variables_that_could_change_a_result() -> None:
    caller = {"PATH": "/bin", "PYTHONPATH": "/mine", "LD_LIBRARY_PATH": "/mine", "LC_ALL": "de_DE"}
    assert plain_environment(caller) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}
