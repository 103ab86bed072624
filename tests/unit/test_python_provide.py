"""The frozen CPython in the cache: made once, whole or not at all. What makes it is a fake that writes three files."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stigmer_packaging.freeze.gcc_runtime import Runtime
from stigmer_packaging.freeze.python.provide import (
    BuildSettings,
    provide_compiler,
    provide_python,
    record_tree,
)
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.freeze.pythons import TreePackages
from stigmer_packaging.lib.errors import GateError, MissingToolError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.native import Package
from support.freezing import RECIPE, no_archives

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")


def fake_make(recipe: object, maker: BuildSettings, work: Path) -> None:
    """Stand for the build: an interpreter, a library and a licence."""
    prefix = work / "outcome"
    for name in ("bin/python3.13", "lib/libpython3.13.dylib", "share/doc/zlib/copyright"):
        (prefix / name).parent.mkdir(parents=True)
        (prefix / name).write_text(name, encoding="utf-8")
    maker.report("made")
    record_tree(prefix, "11.0", ["zlib"], work / "tree")


@dataclass
class Machine:
    """A machine with an empty cache."""

    cache: Path
    said: list[str] = field(default_factory=list)

    @property
    def maker(self) -> BuildSettings:
        """What the machine gives to the making."""
        return BuildSettings(read_recipe(RECIPE, LINUX), self.cache, no_archives, {}, 1, self.said.append)

    def provide(self, make: Callable[..., None] = fake_make) -> PythonTree:
        """Provide the Python of another platform."""
        return provide_python(read_recipe(RECIPE, MAC), self.maker, make=make)

    @property
    def made(self) -> int:
        """How often something was made."""
        return self.said.count("made")


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "cache")


def test_a_python_that_is_in_the_cache_is_not_made_again(machine: Machine) -> None:
    assert machine.provide() == machine.provide()
    assert machine.made == 1


def test_a_tree_says_what_the_freezing_must_know(machine: Machine) -> None:
    tree = machine.provide()
    assert (tree.version, tree.floor, tree.builtins, tree.target) == ("3.13.5", "11.0", ("zlib",), MAC)
    assert tree.executable.is_file()
    assert tree.library.is_file()


def test_a_damaged_python_is_made_anew(machine: Machine) -> None:
    tree = machine.provide()
    tree.executable.write_text("touched", encoding="utf-8")
    assert machine.provide().executable.read_text(encoding="utf-8") == "bin/python3.13"
    assert machine.made == 2


def test_a_build_that_fails_leaves_nothing(machine: Machine) -> None:
    def failing(_recipe: object, _maker: BuildSettings, work: Path) -> None:
        (work / "tree" / "prefix").mkdir(parents=True)
        raise GateError("planted")

    with pytest.raises(GateError):
        machine.provide(failing)
    assert [path.name for path in (machine.cache / "freeze-python").iterdir() if path.suffix != ".lock"] == []


def test_what_it_is_made_of_has_its_version_its_licence_and_the_modules_it_is_in(machine: Machine) -> None:
    packages = TreePackages(machine.provide(), Runtime(machine.cache, {}))
    found = packages.find("libz.so.1", ("zlib1g", "zlib"))
    assert found == Package(
        "1:1.3.dfsg+really1.3.1-1", "pkg:deb/debian/zlib@1:1.3.dfsg%2Breally1.3.1-1", "share/doc/zlib/copyright\n"
    )
    (credit,) = packages.linked_into({"zlib"})
    assert (credit.name, credit.licence, credit.texts) == ("zlib", "Zlib", ("share/doc/zlib/copyright\n",))
    assert packages.find("libother.so.1", ("other",)) is None


def test_a_machine_without_a_pinned_compiler_is_told(machine: Machine) -> None:
    recipe = read_recipe(RECIPE, MAC)
    with pytest.raises(MissingToolError, match="no ziglang is pinned for darwin-arm64"):
        provide_compiler(replace(machine.maker, host_recipe=recipe))
