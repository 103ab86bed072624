"""Who may import whom: the tables of CONTRIBUTING.md, held against the code."""

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

ONLY_HERE = {
    "subprocess": {"lib/command.py"},
    "httpx": {"lib/http.py"},
    "ruamel": {"manifest/reader.py", "ci/workflow_file.py"},
}
# Whom each package of the launcher may import from; all of them may import the errors and the version.
LAUNCHER_ARROWS = {
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
# Whom each package may import from, besides itself: from the command line down to what is common.
PACKAGING_ARROWS = {
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
"""Those of which a package has several; the others are called `stage`."""
CALLERS = {"pipeline", "cli"}
"""Who may call stages. They never see each other."""


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Name every module a file imports, wherever in it; `from a import b` counts as both `a` and `a.b`."""
    return imported_names(path.read_text(encoding="utf-8"))


class Program(NamedTuple):
    """A program's packages: `arrows` say whom each may import from; `everywhere` are modules that all of them may import."""

    root: Path
    arrows: Mapping[str, AbstractSet[str]]
    at_the_root: AbstractSet[str]
    everywhere: AbstractSet[str] = frozenset()

    def imports_of(self, path: Path) -> AbstractSet[str]:
        """Name the modules of the same program that a module imports, wherever in the file."""
        return own_imports(dotted_name(path, self.root), imports_of(path), known_modules(self.root))

    def graph(self) -> dict[str, AbstractSet[str]]:
        """Map each module to those that it imports."""
        return {dotted_name(path, self.root): self.imports_of(path) for path in modules(self.root)}


def dotted_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def known_modules(root: Path) -> frozenset[str]:
    return frozenset(dotted_name(path, root) for path in modules(root))


def own_imports(name: str, imported: AbstractSet[str], known: AbstractSet[str]) -> AbstractSet[str]:
    """Name the modules of the same program that a module imports; a package only where something of its own is taken."""
    used = imported & known
    packages = {module.rpartition(".")[0] for module in used}
    return used - packages - {name}


def violations_of_arrows(name: str, used: AbstractSet[str], program: Program) -> list[str]:
    package = name.split(".")[1] if name.count(".") else ""
    if package not in program.arrows:
        return []
    allowed = program.arrows[package] | program.everywhere | {package}
    return sorted(module for module in used if module.split(".")[1] not in allowed)


def is_stage(name: str) -> bool:
    return name.endswith(".stage") or name.partition(".")[2] in STAGES


PROGRAMS = (
    Program(LAUNCHER, LAUNCHER_ARROWS, {"__init__", "__main__", "errors", "version"}, {"errors", "version"}),
    Program(PACKAGING, PACKAGING_ARROWS, {"__init__"}),
)
every_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.root.name)


def found_in(folder: Path, look: Callable[[Path], Collection[str]]) -> dict[str, Collection[str]]:
    """Map each module under a folder to what `look` finds in it, where it finds anything."""
    return {path.relative_to(folder).as_posix(): found for path in modules(folder) if (found := look(path))}


@every_program
def test_packages_import_along_the_arrows(program: Program) -> None:
    assert {
        name: found for name, used in program.graph().items() if (found := violations_of_arrows(name, used, program))
    } == {}


@every_program
def test_every_module_belongs_to_a_package(program: Program) -> None:
    """The listing is the architecture: each package has its arrows, and nothing else is at the root."""
    assert {path.stem for path in program.root.glob("*.py")} == program.at_the_root
    assert {path.name for path in program.root.iterdir() if path.is_dir()} - {"__pycache__"} == set(program.arrows)


@every_program
def test_neither_modules_nor_packages_import_each_other_in_a_circle(program: Program) -> None:
    for graph in (program.graph(), program.arrows):
        assert list(graphlib.TopologicalSorter(graph).static_order()) != []


def test_a_package_of_packaging_has_a_listing_that_fits_a_screen() -> None:
    folders = [PACKAGING, *(path.parent for path in PACKAGING.rglob("__init__.py"))]
    assert {path.name for path in folders if len([*path.glob("*.py")]) > 20} == set()
    assert len([path for path in PACKAGING.iterdir() if path.name != "__pycache__"]) <= 16


def test_only_the_command_line_and_the_pipeline_call_a_stage() -> None:
    calls = found_in(PACKAGING, lambda path: set(filter(is_stage, PROGRAMS[1].imports_of(path))))
    assert {name: stages for name, stages in calls.items() if Path(name).parts[0] not in CALLERS} == {}


def test_the_arrow_check_catches_a_package_that_imports_from_above() -> None:
    known = {"stigmer_launcher.system.locks", "stigmer_launcher.cli.main", "stigmer_launcher.cli"}
    source = "def late():\n    from stigmer_launcher.cli.main import main\n    from stigmer_launcher.cli import main\n"
    used = own_imports("stigmer_launcher.system.locks", imported_names(source), known)
    assert violations_of_arrows("stigmer_launcher.system.locks", used, PROGRAMS[0]) == ["stigmer_launcher.cli.main"]
    used = {"stigmer_packaging.bottle.archive", "stigmer_packaging.binaries.elf", "stigmer_packaging.lib.errors"}
    found = violations_of_arrows("stigmer_packaging.audit.links", used, PROGRAMS[1])
    assert found == ["stigmer_packaging.bottle.archive"]


def distributions_of(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports_of(path)}


@pytest.mark.parametrize("root", [LAUNCHER, PACKAGING], ids=lambda root: root.name)
def test_dangerous_libraries_are_imported_in_one_place_only(root: Path) -> None:
    used = found_in(root, lambda path: distributions_of(path) & set(ONLY_HERE))
    assert [
        (name, library) for name, found in used.items() for library in found if name not in ONLY_HERE[library]
    ] == []


def test_the_launcher_imports_nothing_of_packaging_and_no_third_party_code() -> None:
    allowed = {"stigmer_launcher", *sys.stdlib_module_names}
    assert found_in(LAUNCHER, lambda path: distributions_of(path) - allowed) == {}


def test_the_launcher_imports_no_private_module_of_the_standard_library() -> None:
    """Those change with every version of Python."""
    private = {name for name in sys.stdlib_module_names if name.startswith("_")} - {"__future__"}
    assert found_in(LAUNCHER, lambda path: imports_of(path) & private) == {}


FROZEN_CODECS = {"utf-8", "ascii", "latin-1", "idna"}


def codecs_named(source: str) -> set[str]:
    """Name every codec a source asks for by a literal: `x.decode("…")`, `x.encode("…")`, `encoding="…"`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        names = [word.value for word in node.keywords if word.arg == "encoding"]
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"encode", "decode"}:
            names += node.args[:1]
        found |= {name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)}
    return found


def test_the_launcher_asks_only_for_codecs_that_are_frozen_with_it() -> None:
    """A codec is loaded by its name, which no import statement shows: every second start once died of `utf-8-sig`."""
    assert found_in(LAUNCHER, lambda path: codecs_named(path.read_text(encoding="utf-8")) - FROZEN_CODECS) == {}


def test_the_codec_check_sees_a_codec_that_is_left_out() -> None:
    assert codecs_named('b"".decode("utf-8-sig"); open("x", encoding="cp1252")') == {"utf-8-sig", "cp1252"}


def test_only_the_index_imports_the_launcher() -> None:
    """It is the one tie between packaging and the launcher."""
    imports = found_in(PACKAGING, lambda path: distributions_of(path) & {"stigmer_launcher"})
    assert set(imports) == {"bottle/index.py"}


def test_neither_packaging_nor_launcher_is_itself_a_package() -> None:
    """A `packaging/__init__.py` would shadow the library of that name."""
    folders = (ROOT / "packaging", ROOT / "launcher")
    assert list(itertools.chain.from_iterable(folder.glob("*.py") for folder in folders)) == []
    tests = ROOT / "tests"
    assert [path for path in tests.rglob("__init__.py") if "samples" not in path.relative_to(tests).parts] == []
