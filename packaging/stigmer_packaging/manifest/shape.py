"""Converts the document to records: reads each field by its type, and checks it against the rules in its annotation."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import partial
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest import model, values
from stigmer_packaging.manifest.overlay import KEY
from stigmer_packaging.manifest.section import Section

SOURCES = {"checkout": model.CheckoutSource, "artifact": model.ArtifactSource, "wheel": model.WheelSource}


def read_manifest(document: Section) -> model.Manifest:
    """Read the whole document; problems are added to the section's findings."""
    with document:
        document.has(KEY)  # already applied by `overlay`
        with document.section("toolchain") as toolchain:
            go = _read(model.GoToolchain, toolchain.section("go"))
        manifest: model.Manifest = _record(model.Manifest, document, {"go": go})
    version = manifest.product.version
    components = (replace(part, version=part.version or version) for part in manifest.components)
    return replace(manifest, components=tuple(components))


def read_freeze(section: Section) -> dict[str, model.FreezeValue]:
    """Read the keys of FreezeTable that are in a section; also used for the table in a project's pyproject.toml."""
    hints = get_type_hints(model.FreezeTable, include_extras=True)
    with section:
        return {name: _value(section, name, hints[name]) for name in hints if section.has(name)}


def _read(kind: type, section: Section, preset: Mapping[str, Any] | None = None, required: Collection[str] = ()) -> Any:
    """Read a mapping that has the keys of a record and no others; fields in `preset` are not read from it."""
    with section:
        return _record(kind, section, preset or {}, required)


def _record(kind: type, section: Section, preset: Mapping[str, Any], required: Collection[str] = ()) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    read = {
        field.name: _field(section, field, hints[field.name], required)
        for field in fields(kind)
        if field.name not in preset
    }
    return kind(**read, **preset)


def _field(section: Section, field: "Field[Any]", hint: Any, required: Collection[str]) -> Any:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if model.OPTIONAL in _rules_of(hint):
        default = ""
    if default is not MISSING and field.name not in required and not section.has(field.name):
        return default
    return _value(section, field.name, hint, default)


def _rules_of(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if get_origin(hint) is Annotated else ()


def _value(section: Section, key: str, hint: Any, default: Any = MISSING) -> Any:
    rules, plain = _rules_of(hint), hint.__origin__ if get_origin(hint) is Annotated else hint
    if model.SAME_SECTION in rules:
        return _record(plain, section, {})
    if plain in _READERS or is_dataclass(plain):
        read = _READERS.get(plain) or partial(_read, plain)
        return read(section.section(key))
    if get_origin(plain) is tuple:
        (item, _) = get_args(plain)
        return section.texts(key, *rules) if item is str else tuple(_read(item, each) for each in section.sections(key))
    if get_origin(plain) is Mapping:
        return _mapping(section, key, get_args(plain)[1], rules)
    if plain is str:
        return section.text(key, *rules[:1])
    return section.number(key, *rules, kind=plain, default=default)


def _mapping(section: Section, key: str, value: Any, rules: Sequence[Any]) -> dict[str, Any]:
    """Read a mapping whose keys are chosen by its author; it may be missing unless its values are records."""
    if not (section.has(key) or is_dataclass(value)):
        return {}
    entries = section.section(key)
    hint = Annotated[value, *rules[1:]] if rules[1:] else value
    return {name: _value(entries, name, hint) for name in entries.keys(*rules[:1]) if name}


def _target_spec(section: Section) -> model.TargetSpec:
    linux = parse_target(str(section.path[-1])).system == "linux"
    spec: model.TargetSpec = _read(model.TargetSpec, section, {"macos_minimum" if linux else "glibc_floor": ""})
    return spec


def _smoke(section: Section) -> model.Smoke:
    keys = model.SMOKES.get(str(section.peek("kind")))
    if keys is None:
        section.keys()  # accept any: which ones are valid depends on the kind
    others = {field.name: field.default for field in fields(model.Smoke) if field.name not in ("kind", *(keys or ()))}
    required = {"seconds", "method", "port", "component"}.intersection(keys or ())
    smoke: model.Smoke = _read(model.Smoke, section, others, required)
    return smoke


def _source(section: Section) -> model.Source:
    kind = section.text("kind", values.one_of("kind", *SOURCES))
    if not kind:
        return model.CheckoutSource("", "")
    frozen = kind != "checkout" or section.peek("build") == "pyinstaller"
    source: model.Source = _read(SOURCES[kind], section, {} if frozen else {"ready": "", "freeze": {}})
    return source


_READERS: Mapping[Any, Callable[[Section], Any]] = {
    model.TargetSpec: _target_spec,
    model.Smoke: _smoke,
    model.Source: _source,
    Mapping[str, model.FreezeValue]: read_freeze,
}
"""Readers of the types that need more than their fields."""
