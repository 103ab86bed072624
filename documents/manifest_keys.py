"""The reference of the manifest's keys, generated from the model's fields and the text below each field."""

import ast
import dataclasses
import inspect
import itertools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from documents.markdown import page, table
from stigmer_packaging.manifest import model

WHERE = {
    model.Manifest: "The file",
    model.Product: "`product`",
    model.TargetSpec: "`targets.TARGET`",
    model.GoToolchain: "`toolchain.go`",
    model.WheelPin: "`toolchain.go.wheel`",
    model.Smoke: "`smoke`",
    model.Restart: "`restart`",
    model.Component: "`components`, each",
    model.CheckoutSource: "`components.source`, `kind: checkout`",
    model.FreezeTable: "`components.source.freeze`",
    model.ArtifactSource: "`components.source`, `kind: artifact`",
    model.ArtifactFile: "`components.source.files.TARGET`",
    model.WheelSource: "`components.source`, `kind: wheel`",
    model.Run: "`components.run`",
    model.Readiness: "`components.run.readiness`",
    model.Proof: "`components.run.readiness.proofs`, each",
    model.Liveness: "`components.run.liveness`",
}
"""The place of each record in the file, in the order of the page."""

RENAMED: Mapping[tuple[type, str], str] = {(model.Manifest, "go"): "toolchain.go"}
NEVER_EMPTY = {"targets", "components", "sha256", "files", "proofs"}
INTRODUCTION = """\
Everything about a product is in one YAML file, `packaging/manifest.yaml` or the one given with `--manifest`. A key that is
not listed here is an error, and all problems are reported at once, each with its line. Numbers that look like versions are
written in quotes.

The section `reference` is optional. It applies to builds of the reference services, without `--checkout`: its keys `smoke`,
`targets` and `components` replace the keys of the same name."""

PLACEHOLDERS = """\
## Placeholders

`arguments` and `environment` can contain these placeholders, which are replaced at each start.

| placeholder | value |
| --- | --- |
| `{port.NAME}` | The number of that port, of this component or another one. |
| `{home}` | The product's home, an absolute path. |
| `{home.relative}` | The home relative to the working directory of the services, for values that are parsed as a URI. |
| `{temporal.address}`, `{temporal.namespace}` | Address and namespace of the managed or the configured Temporal. |
| `{llm.provider}`, `{llm.model}`, `{llm.base_url}`, `{llm.api_key}` | The configured language model. |
| `{execution.KEY}` | A key of `backend.local.execution`; if the file does not set it, the variable is not set. |"""


class Key(NamedTuple):
    """One key: its name, the kind of its value, its default (empty if it is required), and its meaning."""

    name: str
    kind: str
    default: str
    meaning: str


def render_manifest() -> str:
    """Render the page."""
    return page("Manifest", INTRODUCTION, *map(_section, WHERE), PLACEHOLDERS)


def keys_of(record: type) -> Iterator[Key]:
    """Yield the keys of a record; the keys of a wheel's pin belong to the source itself."""
    meanings = meanings_of(record)
    hints = typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        if hints[field.name] is model.WheelPin and record is model.WheelSource:
            yield from keys_of(model.WheelPin)
            continue
        meaning, stated, default = meanings[field.name].partition(" Default: ")
        shown = default.rstrip(".") if stated else _default(field, hints[field.name])
        yield Key(RENAMED.get((record, field.name), field.name), _kind(hints[field.name]), shown, meaning)


def meanings_of(record: type) -> dict[str, str]:
    """Return the text below each field of a record, by the field's name."""
    (body,) = ast.parse(inspect.getsource(record)).body
    statements = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(statements)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    } | {"pin": ""}


def _section(record: type) -> str:
    rows = ((f"`{key.name}`", f"{key.kind}; {key.default or '**required**'}", key.meaning) for key in keys_of(record))
    return f"## {WHERE[record]}\n\n{inspect.getdoc(record)}\n\n{table(('key', 'value; default', 'meaning'), rows)}"


def _kind(hint: Any) -> str:
    """Return the kind of a key's value in a word or two."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return f"list of {'texts' if arguments[0] is str else 'mappings'}"
    if origin is Mapping:
        held = {str: "texts", int: "numbers"}.get(arguments[1], "mappings")
        return "mapping" if isinstance(arguments[1], types.UnionType) else f"mapping to {held}"
    return {str: "text", int: "whole number", float: "number"}.get(hint, "mapping")


def _default(field: "dataclasses.Field[Any]", hint: Any) -> str:
    """Return the default of an optional key, and an empty string for a required one."""
    if field.default in {dataclasses.MISSING, ()}:
        collection = typing.get_origin(hint) in {tuple, Mapping}
        return "none" if collection and field.name not in NEVER_EMPTY else ""
    if dataclasses.is_dataclass(field.default):
        return "as below"
    shown = f"[{', '.join(field.default)}]" if isinstance(field.default, tuple) else str(field.default)
    return f"`{shown}`" if shown else "none"
