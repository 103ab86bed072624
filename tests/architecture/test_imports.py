"""Who may import whom: the drawing in the README, held against the code."""

import ast
import graphlib
import itertools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "launcher" / "stigmer_launcher"
PACKAGING = ROOT / "packaging" / "stigmer_packaging"

LAYERS = ("cli", "pipeline", "stages", "freeze", "audit", "sources", "tools", "binaries", "errors")
ONLY_HERE = {
    "subprocess": {"tools/command.py"},
    "httpx": {"tools/http.py"},
    "ruamel": {"manifest.py", "tools/workflow_file.py"},
}
# Whom each package of the launcher may import from; all of them may import the errors and the version.
ARROWS = {
    "cli": {"doctor", "supervise", "launch", "install", "config", "readiness", "system"},
    "doctor": {"supervise", "launch", "install", "config", "readiness", "system"},
    "supervise": {"launch", "install", "readiness", "system"},
    "launch": {"install", "config", "readiness", "system"},
    "install": {"system"},
    "config": {"system"},
    "readiness": {"system"},
    "system": set(),
}
AT_THE_ROOT = {"__init__", "__main__", "errors", "version"}
INDEX_READERS = {"stages/assemble.py", "manual.py"}


def modules(root: Path) -> list[Path]:
    """List the Python files of a package."""
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


def imports(source: str) -> set[str]:
    """Name every module a source imports, wherever in the file; `from a import b` counts as both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def layer_of(module: str) -> str:
    """Name the layer of `stigmer_packaging.LAYER…`; the command line's own modules all begin with `cli`."""
    part = module.split(".")[1] if module.count(".") else ""
    return "cli" if part.startswith("cli") or part == "__main__" else part


def violations_of_layers(name: str, source: str) -> list[str]:
    """Find what a module of packaging imports from a layer above its own, or from a sister stage."""
    own = layer_of(name)
    used = {module for module in imports(source) if module.startswith("stigmer_packaging.")}
    if own not in LAYERS:
        return []
    above = {module for module in used if layer_of(module) in LAYERS[: LAYERS.index(own)]}
    sisters = {module for module in used if own == "stages" and layer_of(module) == "stages"}
    return sorted(above | sisters)


@pytest.mark.parametrize("path", modules(PACKAGING), ids=lambda path: path.relative_to(PACKAGING).as_posix())
def test_a_module_imports_only_from_the_layers_below_it(path: Path) -> None:
    """Stages never see each other, tools never see a stage."""
    relative = path.relative_to(PACKAGING).with_suffix("").as_posix().removesuffix("/__init__")
    name = "stigmer_packaging." + relative.replace("/", ".")
    assert violations_of_layers(name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("root", "path"),
    [(root, path) for root in (LAUNCHER, PACKAGING) for path in modules(root)],
    ids=lambda value: value.name,
)
def test_dangerous_libraries_are_imported_in_one_place_only(root: Path, path: Path) -> None:
    """Programs, the network and the manifest's parser each have one door."""
    used = {module.split(".")[0] for module in imports(path.read_text(encoding="utf-8"))}
    relative = path.relative_to(root).as_posix()
    assert [library for library, homes in ONLY_HERE.items() if library in used and relative not in homes] == []


@pytest.mark.parametrize("path", modules(LAUNCHER), ids=lambda path: path.name)
def test_the_launcher_imports_nothing_of_packaging_and_no_third_party_code(path: Path) -> None:
    """It is frozen from the standard library alone."""
    used = {module.split(".")[0] for module in imports(path.read_text(encoding="utf-8"))}
    assert used - set(sys.stdlib_module_names) - {"stigmer_launcher"} == set()


def launcher_name(path: Path) -> str:
    """Give a module of the launcher its dotted name; a package has that of its folder."""
    return ".".join(path.relative_to(LAUNCHER.parent).with_suffix("").parts).removesuffix(".__init__")


def launcher_imports(name: str, source: str, known: set[str]) -> set[str]:
    """Name the modules of the launcher that a module imports; a package only where something of its own is taken."""
    used = {module for module in imports(source) if module in known}
    packages = {module.rpartition(".")[0] for module in used}
    return used - packages - {name}


def violations_of_arrows(name: str, source: str, known: set[str]) -> list[str]:
    """Find what a module of the launcher imports against the arrows."""
    package = name.split(".")[1] if name.count(".") else ""
    if package not in ARROWS:
        return []
    allowed = ARROWS[package] | {package, "errors", "version"}
    return sorted(used for used in launcher_imports(name, source, known) if used.split(".")[1] not in allowed)


def launcher_graph() -> dict[str, set[str]]:
    """Map each module of the launcher to those that it imports, wherever in the file."""
    sources = {launcher_name(path): path.read_text(encoding="utf-8") for path in modules(LAUNCHER)}
    return {name: launcher_imports(name, source, set(sources)) for name, source in sources.items()}


@pytest.mark.parametrize("path", modules(LAUNCHER), ids=launcher_name)
def test_the_launchers_packages_import_along_the_arrows(path: Path) -> None:
    """From the command line down to what the system is asked for."""
    known = {launcher_name(each) for each in modules(LAUNCHER)}
    assert violations_of_arrows(launcher_name(path), path.read_text(encoding="utf-8"), known) == []


def test_every_module_of_the_launcher_belongs_to_a_package() -> None:
    """The listing is the architecture: each package has its arrows, and nothing else is at the root."""
    assert {path.stem for path in LAUNCHER.glob("*.py")} == AT_THE_ROOT
    assert {path.parent.name for path in LAUNCHER.glob("*/__init__.py")} == set(ARROWS)


def test_no_modules_of_the_launcher_import_each_other_in_a_circle() -> None:
    """Late imports and those for a type checker count as well."""
    assert list(graphlib.TopologicalSorter(launcher_graph()).static_order()) != []


def test_the_arrow_check_catches_a_package_that_imports_from_above() -> None:
    """The check fails for the right reason."""
    known = {"stigmer_launcher.system.locks", "stigmer_launcher.cli.main", "stigmer_launcher.cli"}
    source = "def late():\n    from stigmer_launcher.cli.main import main\n    from stigmer_launcher.cli import main\n"
    assert violations_of_arrows("stigmer_launcher.system.locks", source, known) == ["stigmer_launcher.cli.main"]


@pytest.mark.parametrize("path", modules(LAUNCHER), ids=launcher_name)
def test_the_launcher_imports_no_private_module_of_the_standard_library(path: Path) -> None:
    """Those change with every version of Python."""
    used = imports(path.read_text(encoding="utf-8")) & set(sys.stdlib_module_names)
    assert [name for name in used if name.startswith("_") and name != "__future__"] == []


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


@pytest.mark.parametrize("path", modules(LAUNCHER), ids=lambda path: path.name)
def test_the_launcher_asks_only_for_codecs_that_are_frozen_with_it(path: Path) -> None:
    """A codec is loaded by its name, which no import statement shows: every second start once died of `utf-8-sig`."""
    assert codecs_named(path.read_text(encoding="utf-8")) <= FROZEN_CODECS


def test_the_codec_check_sees_a_codec_that_is_left_out() -> None:
    """The check fails for the right reason."""
    assert codecs_named('b"".decode("utf-8-sig"); open("x", encoding="cp1252")') == {"utf-8-sig", "cp1252"}


def test_only_assemble_writes_the_payload_index() -> None:
    """The index is the one tie between packaging and the launcher."""
    users = {
        path.relative_to(PACKAGING).as_posix()
        for path in modules(PACKAGING)
        if any(module.startswith("stigmer_launcher") for module in imports(path.read_text(encoding="utf-8")))
    }
    assert users <= INDEX_READERS


def test_the_layer_check_catches_a_stage_that_imports_a_stage_or_the_pipeline() -> None:
    """The check fails for the right reason."""
    source = "from stigmer_packaging.stages import bottle\nimport stigmer_packaging.pipeline\n"
    assert violations_of_layers("stigmer_packaging.stages.formula", source) == [
        "stigmer_packaging.pipeline",
        "stigmer_packaging.stages",
        "stigmer_packaging.stages.bottle",
    ]


def test_neither_packaging_nor_launcher_is_itself_a_package() -> None:
    """A `packaging/__init__.py` would shadow the library of that name."""
    folders = (ROOT / "packaging", ROOT / "launcher")
    assert list(itertools.chain.from_iterable(folder.glob("*.py") for folder in folders)) == []
    tests = ROOT / "tests"
    assert [path for path in tests.rglob("__init__.py") if "samples" not in path.relative_to(tests).parts] == []
