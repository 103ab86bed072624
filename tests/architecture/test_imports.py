"""The import rules of CONTRIBUTING.md are followed by the code."""

import ast
import graphlib
import itertools
import sys
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.lib.syntax import imported_names

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "launcher" / "stigmer_launcher"
PACKAGING = ROOT / "packaging" / "stigmer_packaging"

ALLOWED_IMPORTERS = {
    "subprocess": {"lib/command.py"},
    "httpx": {"lib/http.py"},
    "ruamel": {"manifest/reader.py", "ci/workflow_file.py"},
}
# The packages that each package of the launcher may import from; all may import `errors` and `version`.
LAUNCHER_IMPORTS = {
    "cli": {"doctor", "supervise", "launch", "install", "config", "readiness", "system"},
    "doctor": {"supervise", "launch", "install", "config", "readiness", "system"},
    "supervise": {"launch", "install", "readiness", "system"},
    "launch": {"install", "config", "readiness", "system"},
    "install": {"system"},
    "config": {"system"},
    "readiness": {"system"},
    "system": set(),
}
COMMON = {"records", "manifest", "lib"}
DOMAIN = {"audit", "bottle", "formula", "freeze", "licensing", "sources", "binaries"}
# The packages that each package may import from besides itself, from the command line down to the common ones.
PACKAGING_IMPORTS = {
    "cli": {"pipeline", "publish", "verify", "ci", *DOMAIN, *COMMON},
    "ci": {"pipeline", "formula", *COMMON},
    "pipeline": {"verify", *DOMAIN, *COMMON},
    "publish": {"bottle", "formula", *COMMON},
    "verify": {"formula", *COMMON},
    "audit": {"binaries", *COMMON},
    "bottle": {"formula", "licensing", "sources", "binaries", *COMMON},
    "formula": COMMON,
    "freeze": {"licensing", "sources", "binaries", *COMMON},
    "licensing": {"binaries", *COMMON},
    "sources": {"binaries", *COMMON},
    "binaries": {"lib"},
    "records": {"manifest", "lib"},
    "manifest": {"lib"},
    "lib": set(),
}
STAGES = {
    "bottle.assemble",
    "bottle.bottle",
    "bottle.standalone",
    "publish.fetch_draft",
    "publish.publish",
    "publish.rollback",
}
"""Modules of stages in packages that have several; in all other packages, the module is called `stage`."""
CALLERS = {"pipeline", "cli"}
"""The packages that may call stages; stages never import each other."""


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return every module that a file imports, at any place in it; `from a import b` counts as both `a` and `a.b`."""
    return imported_names(path.read_text(encoding="utf-8"))


class Program(NamedTuple):
    """A program: `allowed` maps each package to those it may import from; all may import the modules `everywhere`."""

    root: Path
    allowed: Mapping[str, AbstractSet[str]]
    at_the_root: AbstractSet[str]
    everywhere: AbstractSet[str] = frozenset()

    def imports_of(self, path: Path) -> AbstractSet[str]:
        """Return the modules of this program that a module imports, at any place in the file."""
        return own_imports(dotted_name(path, self.root), imports_of(path), known_modules(self.root))

    def graph(self) -> dict[str, AbstractSet[str]]:
        """Return the modules that each module imports."""
        return {dotted_name(path, self.root): self.imports_of(path) for path in modules(self.root)}


def dotted_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def known_modules(root: Path) -> frozenset[str]:
    return frozenset(dotted_name(path, root) for path in modules(root))


def own_imports(name: str, imported: AbstractSet[str], known: AbstractSet[str]) -> AbstractSet[str]:
    """Return the known modules among those that a module imports; a package only if no module of it is imported."""
    used = imported & known
    packages = {module.rpartition(".")[0] for module in used}
    return used - packages - {name}


def forbidden_imports(name: str, used: AbstractSet[str], program: Program) -> list[str]:
    package = name.split(".")[1] if name.count(".") else ""
    if package not in program.allowed:
        return []
    permitted = program.allowed[package] | program.everywhere | {package}
    return sorted(module for module in used if module.split(".")[1] not in permitted)


def is_stage(name: str) -> bool:
    return name.endswith(".stage") or name.partition(".")[2] in STAGES


PROGRAMS = (
    Program(LAUNCHER, LAUNCHER_IMPORTS, {"__init__", "__main__", "errors", "version"}, {"errors", "version"}),
    Program(PACKAGING, PACKAGING_IMPORTS, {"__init__"}),
)
every_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.root.name)


def findings_in(folder: Path, find: Callable[[Path], Collection[str]]) -> dict[str, Collection[str]]:
    """Return what `find` finds in each module below a folder, without modules in which it finds nothing."""
    return {path.relative_to(folder).as_posix(): found for path in modules(folder) if (found := find(path))}


@every_program
def test_packages_import_only_from_the_allowed_packages(program: Program) -> None:
    assert {
        name: found for name, used in program.graph().items() if (found := forbidden_imports(name, used, program))
    } == {}


@every_program
def test_every_module_belongs_to_a_package(program: Program) -> None:
    """Every package has import rules, and the root contains no other modules."""
    assert {path.stem for path in program.root.glob("*.py")} == program.at_the_root
    assert {path.name for path in program.root.iterdir() if path.is_dir()} - {"__pycache__"} == set(program.allowed)


@every_program
def test_there_are_no_import_cycles_between_modules_or_packages(program: Program) -> None:
    for graph in (program.graph(), program.allowed):
        assert list(graphlib.TopologicalSorter(graph).static_order()) != []


def test_the_listing_of_a_package_of_packaging_fits_a_screen() -> None:
    folders = [PACKAGING, *(path.parent for path in PACKAGING.rglob("__init__.py"))]
    assert {path.name for path in folders if len([*path.glob("*.py")]) > 20} == set()
    assert len([path for path in PACKAGING.iterdir() if path.name != "__pycache__"]) <= 16


def test_only_the_command_line_and_the_pipeline_call_a_stage() -> None:
    calls = findings_in(PACKAGING, lambda path: set(filter(is_stage, PROGRAMS[1].imports_of(path))))
    assert {name: stages for name, stages in calls.items() if Path(name).parts[0] not in CALLERS} == {}


def test_the_check_detects_an_import_from_a_higher_package() -> None:
    known = {"stigmer_launcher.system.locks", "stigmer_launcher.cli.main", "stigmer_launcher.cli"}
    source = "def late():\n    from stigmer_launcher.cli.main import main\n    from stigmer_launcher.cli import main\n"
    used = own_imports("stigmer_launcher.system.locks", imported_names(source), known)
    assert forbidden_imports("stigmer_launcher.system.locks", used, PROGRAMS[0]) == ["stigmer_launcher.cli.main"]
    used = {"stigmer_packaging.bottle.archive", "stigmer_packaging.binaries.elf", "stigmer_packaging.lib.errors"}
    found = forbidden_imports("stigmer_packaging.audit.links", used, PROGRAMS[1])
    assert found == ["stigmer_packaging.bottle.archive"]


def distributions_of(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports_of(path)}


@pytest.mark.parametrize("root", [LAUNCHER, PACKAGING], ids=lambda root: root.name)
def test_restricted_libraries_are_imported_only_by_their_wrappers(root: Path) -> None:
    used = findings_in(root, lambda path: distributions_of(path) & set(ALLOWED_IMPORTERS))
    assert [
        (name, library) for name, found in used.items() for library in found if name not in ALLOWED_IMPORTERS[library]
    ] == []


def test_the_launcher_imports_neither_packaging_nor_third_party_code() -> None:
    allowed = {"stigmer_launcher", *sys.stdlib_module_names}
    assert findings_in(LAUNCHER, lambda path: distributions_of(path) - allowed) == {}


def test_the_launcher_imports_no_private_module_of_the_standard_library() -> None:
    """Private modules may change in any version of Python."""
    private = {name for name in sys.stdlib_module_names if name.startswith("_")} - {"__future__"}
    assert findings_in(LAUNCHER, lambda path: imports_of(path) & private) == {}


FROZEN_CODECS = {"utf-8", "ascii", "latin-1", "idna"}


def named_codecs(source: str) -> set[str]:
    """Return every codec that a source names in a literal: `x.decode("…")`, `x.encode("…")`, `encoding="…"`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        names = [word.value for word in node.keywords if word.arg == "encoding"]
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"encode", "decode"}:
            names += node.args[:1]
        found |= {name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)}
    return found


def test_the_launcher_uses_only_codecs_that_are_frozen_with_it() -> None:
    """Codecs are loaded by name, not imported: a missing `utf-8-sig` once crashed every second start."""
    assert findings_in(LAUNCHER, lambda path: named_codecs(path.read_text(encoding="utf-8")) - FROZEN_CODECS) == {}


def test_the_check_detects_codecs_that_are_not_frozen() -> None:
    assert named_codecs('b"".decode("utf-8-sig"); open("x", encoding="cp1252")') == {"utf-8-sig", "cp1252"}


def test_only_the_index_module_of_packaging_imports_the_launcher() -> None:
    """The index is the only connection between packaging and the launcher."""
    imports = findings_in(PACKAGING, lambda path: distributions_of(path) & {"stigmer_launcher"})
    assert set(imports) == {"bottle/index.py"}


def test_the_folders_packaging_and_launcher_are_not_packages() -> None:
    """A `packaging/__init__.py` would shadow the library `packaging`."""
    folders = (ROOT / "packaging", ROOT / "launcher")
    assert list(itertools.chain.from_iterable(folder.glob("*.py") for folder in folders)) == []
    tests = ROOT / "tests"
    assert [path for path in tests.rglob("__init__.py") if "samples" not in path.relative_to(tests).parts] == []
