"""From the document to records: each field is read by its type, and held to the rules that it is annotated with."""

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
    """Read the whole document; what is wrong with it is in the section's findings."""
    with document:
        document.has(KEY)  # applied before, by `overlay`
        with document.section("toolchain") as toolchain:
            go = _read(model.GoToolchain, toolchain.section("go"))
        manifest: model.Manifest = _record(model.Manifest, document, {"go": go})
    version = manifest.product.version
    components = (replace(part, version=part.version or version) for part in manifest.components)
    return replace(manifest, components=tuple(components))


def read_freeze(section: Section) -> dict[str, model.FreezeValue]:
    """Read the keys of FreezeTable that a section has; also used for the table in a project's pyproject.toml."""
    hints = get_type_hints(model.FreezeTable, include_extras=True)
    with section:
        return {name: _value(section, name, hints[name]) for name in hints if section.has(name)}


def _read(kind: type, section: Section, given: Mapping[str, Any] | None = None, required: Collection[str] = ()) -> Any:
    """Read a mapping that holds a record and nothing else; the fields in `given` are no keys of it."""
    with section:
        return _record(kind, section, given or {}, required)


def _record(kind: type, section: Section, given: Mapping[str, Any], required: Collection[str] = ()) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    read = {
        field.name: _field(section, field, hints[field.name], required)
        for field in fields(kind)
        if field.name not in given
    }
    return kind(**read, **given)


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
        (held, _) = get_args(plain)
        return section.texts(key, *rules) if held is str else tuple(_read(held, one) for one in section.sections(key))
    if get_origin(plain) is Mapping:
        return _mapping(section, key, get_args(plain)[1], rules)
    if plain is str:
        return section.text(key, *rules[:1])
    return section.number(key, *rules, kind=plain, default=default)


def _mapping(section: Section, key: str, held: Any, rules: Sequence[Any]) -> dict[str, Any]:
    """Read a mapping whose keys are names of our own; one of plain values may be missing."""
    if not (section.has(key) or is_dataclass(held)):
        return {}
    entries = section.section(key)
    hint = Annotated[held, *rules[1:]] if rules[1:] else held
    return {name: _value(entries, name, hint) for name in entries.keys(*rules[:1]) if name}


def _target_spec(section: Section) -> model.TargetSpec:
    linux = parse_target(str(section.path[-1])).system == "linux"
    spec: model.TargetSpec = _read(model.TargetSpec, section, {"macos_minimum" if linux else "glibc_floor": ""})
    return spec


def _smoke(section: Section) -> model.Smoke:
    keys = model.SMOKES.get(str(section.peek("kind")))
    if keys is None:
        section.keys()  # which keys belong here depends on the kind
    others = {field.name: field.default for field in fields(model.Smoke) if field.name not in ("kind", *(keys or ()))}
    required = {"seconds", "method", "port", "component"}.intersection(keys or ())
    smoke: model.Smoke = _read(model.Smoke, section, others, required)
    return smoke


def _source(section: Section) -> model.Source:
    kind = section.text("kind", values.one_of("kind", *SOURCES))
    if not kind:
        section.keys()  # which keys belong here depends on the kind
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
"""What is read otherwise than by its fields alone."""
