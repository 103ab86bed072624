"""The reference of the manifest's keys, made from the model's fields and what is written below each of them."""

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
"""Where in the file each record stands, in the order of the page."""

RENAMED: Mapping[tuple[type, str], str] = {(model.Manifest, "go"): "toolchain.go"}
NEVER_EMPTY = {"targets", "components", "sha256", "files", "proofs"}
INTRODUCTION = """\
Everything about a product is in one YAML file, `packaging/manifest.yaml` or the one given with `--manifest`. A key that is
not listed here is an error, and all problems are reported at once, each with its line. Numbers that look like versions are
written in quotes.

The section `reference` is optional. It holds what differs when the reference services are built, without `--checkout`: the
keys `smoke`, `targets` and `components`, each replacing the same key of the rest."""

PLACEHOLDERS = """\
## Placeholders

In `arguments` and `environment` these are filled in at each start.

| placeholder | what it becomes |
| --- | --- |
| `{port.NAME}` | The number of that port, of this component or of another. |
| `{home}` | The product's home, an absolute path. |
| `{home.relative}` | The same from the directory that services are started in, for what is read as a URI. |
| `{temporal.address}`, `{temporal.namespace}` | Where Temporal is: ours, or the one that is configured. |
| `{llm.provider}`, `{llm.model}`, `{llm.base_url}`, `{llm.api_key}` | The language model that is configured. |
| `{execution.KEY}` | A key of `backend.local.execution`; the variable is not sent where the file does not set it. |"""


class Key(NamedTuple):
    """One key: what it is called, what it may hold, its default (empty: none), and what it means."""

    name: str
    kind: str
    default: str
    meaning: str


def render_manifest() -> str:
    """Give the page."""
    return page("Manifest", INTRODUCTION, *map(_section, WHERE), PLACEHOLDERS)


def keys_of(record: type) -> Iterator[Key]:
    """Yield the keys of a record; those of a wheel's pin are the source's own."""
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
    """Map the fields of a record to the texts written below them."""
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
    """Say in a word what a key holds."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return f"list of {'texts' if arguments[0] is str else 'mappings'}"
    if origin is Mapping:
        held = {str: "texts", int: "numbers"}.get(arguments[1], "mappings")
        return "mapping" if isinstance(arguments[1], types.UnionType) else f"mapping to {held}"
    return {str: "text", int: "whole number", float: "number"}.get(hint, "mapping")


def _default(field: "dataclasses.Field[Any]", hint: Any) -> str:
    """Give the value of a key that is left out; nothing for one that is required."""
    if field.default in {dataclasses.MISSING, ()}:
        collection = typing.get_origin(hint) in {tuple, Mapping}
        return "none" if collection and field.name not in NEVER_EMPTY else ""
    if dataclasses.is_dataclass(field.default):
        return "as below"
    shown = f"[{', '.join(field.default)}]" if isinstance(field.default, tuple) else str(field.default)
    return f"`{shown}`" if shown else "none"
