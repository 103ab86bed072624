"""Reads how to freeze a Python project, from the manifest, its pyproject.toml and its PyInstaller spec file.

Each key is taken from the first of these that has it: the manifest's `freeze`, `[tool.stigmer.freeze]` of
pyproject.toml, the spec file, and the default entry `main.py`. Lists are not merged.
"""

import glob
import tomllib
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.manifest.model import FreezeTable, FreezeValue
from stigmer_packaging.manifest.section import Finding, Section
from stigmer_packaging.manifest.shape import read_freeze
from stigmer_packaging.sources.spec_file import parse_spec

MANIFEST = "the manifest"
PYPROJECT = "pyproject.toml"
KEYS = tuple(field.name for field in fields(FreezeTable))
_REMEDY = (
    "correct the keys in [tool.stigmer.freeze] of the project's pyproject.toml, or override them with "
    "`freeze: {KEY: VALUE}` in the component's source in the manifest"
)


class Layer(NamedTuple):
    """The settings from one place, and notes about those that were left out."""

    origin: str
    values: Mapping[str, FreezeValue]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FreezeSettings:
    """A project's freeze table, the origin of each key, and notes about settings that were left out."""

    table: FreezeTable
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return a line that lists the keys by origin."""
        places = dict.fromkeys(self.origins.values())
        keys = {place: [key for key, origin in self.origins.items() if origin == place] for place in places}
        return "; ".join(f"{', '.join(keys[place])} from {place}" for place in places)


def read_freeze_table(
    project: Path, from_manifest: Mapping[str, FreezeValue] | None = None, *, component: str = ""
) -> FreezeSettings:
    """Read all settings for freezing a project; SourceError lists every problem.

    `from_manifest` are the manifest's; `component` is the name by which one of several spec files is chosen.
    """
    document = read_pyproject(project)
    ours = [Layer(MANIFEST, from_manifest or {}), Layer(PYPROJECT, _read_own_table(document))]
    named = str(ChainMap(*(dict(layer.values) for layer in ours)).get("spec", ""))
    project_names = [_look_up(document, "project", "name"), _look_up(document, "tool", "poetry", "name")]
    spec = _choose_spec(project, named, (component, *map(str, project_names), project.name))
    default = Layer("the default", {"entry": FreezeTable.entry})
    settings = _merge([*ours, *([_spec_layer(project, spec)] if spec else []), default])
    absent = [(key, one) for key in settings.origins for one in _absent(project, key, getattr(settings.table, key))]
    if problems := [f"{key}: there is no {_path_of(one)} (from {settings.origins[key]})" for key, one in absent]:
        raise SourceError(f"the freeze settings of {project} are wrong: {'; '.join(problems)}", _REMEDY)
    return settings


def _read_own_table(document: Mapping[str, Any]) -> dict[str, FreezeValue]:
    findings: list[Finding] = []
    table = _look_up(document, "tool", "stigmer", "freeze", default={})
    values = read_freeze(Section(table, (), findings))
    if findings:
        problems = (": ".join([*map(str, finding.path[:1]), finding.text]) for finding in findings)
        raise SourceError("[tool.stigmer.freeze]: " + "; ".join(problems), _REMEDY)
    return values


def _merge(layers: Sequence[Layer]) -> FreezeSettings:
    merged = ChainMap(*(dict(layer.values) for layer in layers))
    origins = {key: next(layer.origin for layer in layers if key in layer.values) for key in KEYS if key in merged}
    notes = tuple(note for layer in layers for note in layer.notes)
    values: dict[str, Any] = dict(merged)
    return FreezeSettings(FreezeTable(**values), origins, notes)


def read_pyproject(project: Path) -> Mapping[str, Any]:
    """Read a project's pyproject.toml, empty if it has none; SourceError if it is not valid TOML."""
    path = project / PYPROJECT
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:  # not TOML, or not UTF-8
        raise SourceError(f"{path}: {error}") from error


def _look_up(document: object, *keys: str, default: object = "") -> object:
    """Return the value at a path of keys; the default if a key is missing, or its parent is not a table."""
    for key in keys:
        if not isinstance(document, Mapping) or key not in document:
            return default
        document = document[key]
    return document


def _choose_spec(project: Path, named: str, names: Sequence[str]) -> str:
    """Return the spec file that is named, else the only one, else the one named after the component or the project."""
    found = sorted(path.name for path in project.glob("*.spec"))
    if named or len(found) <= 1:
        return named or next(iter(found), "")
    for name in filter(None, names):
        for file in found:
            if canonicalize_name(file.removesuffix(".spec")) == canonicalize_name(name):
                return file
    raise SourceError(
        f"{project} has several spec files, none of them named after the component: {', '.join(found)}",
        f"name one in the component's source in the manifest: `freeze: {{spec: {found[0]}}}`",
    )


def _spec_layer(project: Path, name: str) -> Layer:
    """Read a spec file; leave out each path that the project does not have, with a note."""
    if not (project / name).is_file():
        return Layer(name, {})
    spec = parse_spec((project / name).read_bytes(), name)
    kept, notes = dict(spec.values), list(spec.notes)
    for key, value in spec.values.items():
        absent = _absent(project, key, value)
        paths = dict.fromkeys(map(_path_of, absent))
        notes += [f"{name}: {path} is not in the project; left out of {key}" for path in paths]
        if absent:
            kept[key] = tuple(one for one in value if one not in absent) if isinstance(value, tuple) else ()
    return Layer(name, {key: value for key, value in kept.items() if value}, tuple(notes))


def _absent(project: Path, key: str, value: FreezeValue) -> list[str]:
    """Return the items of a key's value that name files or folders missing in the project."""
    listed = (value,) if isinstance(value, str) else tuple(value)
    match key:
        case "entry" | "spec" | "runtime_hooks":
            return [path for path in listed if not (project / path).is_file()]
        case "hooks" | "stand_ins":
            return [path for path in listed if not (project / path).is_dir()]
        case "add_data":
            return [pair for pair in listed if not _has_data(project, _path_of(pair))]
        case _:
            return []


def _has_data(project: Path, path: str) -> bool:
    found = glob.iglob(path, root_dir=project)  # noqa: PTH207 - as PyInstaller does it; Path.glob refuses "." and "a**"
    return (project / path).exists() or any(found)


def _path_of(value: str) -> str:
    """Return the source of a pair SOURCE:FOLDER, or a path itself."""
    return value.rpartition(":")[0] or value
