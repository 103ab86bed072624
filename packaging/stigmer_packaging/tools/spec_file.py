"""PyInstaller's spec files, read without being run: the arguments of `Analysis` are facts about the project.

A spec file is a Python program. Literals, names that hold them, `+`, `+=`, paths below SPECPATH and calls of PyInstaller's
collect functions are understood. Whatever else it does, and what it says about the form of the bundle (one file, UPX,
signing, paths of its author's machine), is left out and noted.
"""

import ast
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stigmer_packaging.manifest_records import FreezeValue

FACTS = ("scripts", "pathex", "hiddenimports", "excludes", "datas", "binaries", "hookspath", "runtime_hooks")
"""The arguments of Analysis that are read. Source: PyInstaller 6's manual, "Using Spec Files"."""

_COLLECT = {
    "collect_submodules": "collect_submodules",
    "collect_data_files": "collect_data",
    "collect_dynamic_libs": "collect_binaries",
    "copy_metadata": "copy_metadata",
}
_FORM = ("EXE", "COLLECT", "BUNDLE")
_PATHS: Mapping[str, Callable[..., str]] = {
    "os.path.join": posixpath.join,
    "os.path.abspath": posixpath.normpath,
    "Path": posixpath.join,
    "pathlib.Path": posixpath.join,
    "str": str,
}
_SILENT = ("name", "console", "exclude_binaries")
"""Arguments of EXE and COLLECT that say what every freeze does, or that the component's name answers."""

_LONGEST = 80


class Collected(NamedTuple):
    """A call of a collect function: the key of the freeze table that does the same, and the package it is for."""

    key: str
    package: str


@dataclass(frozen=True)
class Spec:
    """What a spec file says, by the keys of a freeze table, and a note for everything that was left out."""

    values: Mapping[str, FreezeValue]
    notes: tuple[str, ...]


class _Unreadable(Exception):  # noqa: N818 - no failure: it becomes a note
    """An expression only running it could evaluate."""


def parse_spec(text: str, name: str) -> Spec:
    """Read the spec file `name`; what cannot be read without running it is a note."""
    try:
        program = ast.parse(text)
    except SyntaxError as error:
        return Spec({}, (f"{name}: not read, it is no Python: {error.msg} (line {error.lineno})",))
    reader = _Reader(name)
    for statement in program.body:
        reader.read(statement)
    if not reader.analyses:
        reader.note(program, "it has no Analysis that can be read")
    return Spec(dict(_facts(reader)), tuple(reader.notes))


@dataclass
class _Reader:
    """Goes through a spec file statement by statement and keeps the values of its names."""

    name: str
    names: dict[str, object] = field(default_factory=lambda: {"SPECPATH": "."})
    analyses: list[Mapping[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, node: ast.AST, text: str) -> None:
        line = f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr) else ""
        self.notes.append(f"{self.name}{line}: {text}")

    def read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.Pass() | ast.Expr(ast.Constant()):
                return
            case ast.Assign(targets=[target], value=value):
                self.assign(target, value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                self.names[name] = [*self._list(self.names.get(name, [])), *self.items(value)]
            case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="extend"), args=[value])):
                self.names[name] = [*self._list(self.names.get(name, [])), *self.items(value)]
            case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value])):
                self.names[name] = [*self._list(self.names.get(name, [])), *self.items(ast.List([value]))]
            case ast.Expr(ast.Call() as call):
                self.call(call)
            case _:
                self.note(statement, f"not read: {_shorten(statement)}")

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Keep what a name, or each name of a tuple, is set to; a value that is not understood is noted where it is used."""
        if isinstance(value, ast.Call) and _function(value) in {"Analysis", "PYZ", *_FORM}:
            return self.call(value)
        try:
            found = self.value(value)
        except _Unreadable:
            found = None
        match target, found:
            case ast.Name(id=name), None if not (isinstance(value, ast.Constant) and value.value is None):
                self.names.pop(name, None)
            case ast.Name(id=name), _:
                self.names[name] = found
            case ast.Tuple(elts=targets), tuple(parts) if len(targets) == len(parts):
                self.names.update(
                    {one.id: part for one, part in zip(targets, parts, strict=True) if isinstance(one, ast.Name)}
                )
            case _:
                self.note(value, f"not read: {_shorten(value)}")
        return None

    def call(self, call: ast.Call) -> None:
        """Read an Analysis; note what other steps of the build say about the bundle's form."""
        match _function(call):
            case "Analysis":
                self.analysis(call)
            case "EXE" | "COLLECT" | "BUNDLE" as step:
                self.form(step, call)
            case "PYZ":
                return
            case _:
                self.note(call, f"not read: {_shorten(call)}")

    def analysis(self, call: ast.Call) -> None:
        given = {
            **({"scripts": call.args[0]} if call.args else {}),
            **{word.arg or "**": word.value for word in call.keywords},
        }
        if self.analyses:
            return self.note(call, f"a further Analysis is left out: {_shorten(call)}")
        self.analyses.append({key: self.items(given[key]) for key in FACTS if key in given})
        self.forget({key: value for key, value in given.items() if key not in FACTS}, "Analysis")
        return None

    def form(self, step: str, call: ast.Call) -> None:
        whole = any(isinstance(part, ast.Attribute) and part.attr == "binaries" for part in call.args)
        if step == "EXE" and whole:
            self.note(call, "left out: one file; the bundle is a folder")
        self.forget({word.arg or "**": word.value for word in call.keywords if word.arg not in _SILENT}, step)

    def forget(self, given: Mapping[str, ast.expr], step: str) -> None:
        """Note each argument that is left out and is not a default."""
        for key, node in given.items():
            try:
                said = self.value(node) or None
            except _Unreadable:
                said = node
            if said is not None:
                self.note(node, f"left out: {key}={_shorten(node)} of {step}")

    def items(self, node: ast.expr) -> list[object]:
        """Evaluate a list; parts that are not understood are noted, the rest is kept."""
        match node:
            case ast.List(elts=parts) | ast.Set(elts=parts):
                return [item for part in parts for item in self.element(part)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [*self.items(left), *self.items(right)]
        try:
            return self._list(self.value(node))
        except _Unreadable:
            self.note(node, f"not read: {_shorten(node)}")
            return []

    def element(self, node: ast.expr) -> list[object]:
        if isinstance(node, ast.Starred):
            return self.items(node.value)
        try:
            return [self.value(node)]
        except _Unreadable:
            self.note(node, f"not read: {_shorten(node)}")
            return []

    def value(self, node: ast.expr) -> object:
        """Evaluate an expression; _Unreadable when only running it could."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.List() | ast.Set():
                return self.items(node)
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.Dict(keys=[]):
                return {}
        return self.computed(node)

    def computed(self, node: ast.expr) -> object:
        """Evaluate a call, a sum, a path or a subscript of values that are known."""
        match node:
            case ast.Call(args=arguments):
                return self.result(_function(node), [self.value(argument) for argument in arguments])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.sum(self.value(left), self.value(right))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self.result("os.path.join", [self.value(left), self.value(right)])
            case ast.Subscript(value=part, slice=ast.Constant(value=int(index))):
                found = self.value(part)
                if isinstance(found, list | tuple) and index < len(found):
                    return found[index]
        raise _Unreadable

    def result(self, function: str, arguments: list[object]) -> object:
        """Give what a function returns for texts."""
        words = [word for word in arguments if isinstance(word, str)]
        plain = function.rpartition(".")[2]
        if not words or len(words) != len(arguments):
            raise _Unreadable
        if function in _PATHS:
            return _PATHS[function](*words)
        if plain in _COLLECT:
            return [Collected(_COLLECT[plain], words[0])]
        if plain == "collect_all":
            kinds = ("collect_data", "collect_binaries", "collect_submodules")
            return tuple([Collected(kind, words[0])] for kind in kinds)
        raise _Unreadable

    @staticmethod
    def sum(left: object, right: object) -> object:
        match left, right:
            case (str(), str()) | (list(), list()) | (tuple(), tuple()):
                return left + right  # type: ignore[operator]
        raise _Unreadable

    @staticmethod
    def _list(value: object) -> list[object]:
        return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _facts(reader: _Reader) -> Iterator[tuple[str, FreezeValue]]:
    """Turn the arguments of Analysis into the keys of a freeze table that have a value."""
    facts = reader.analyses[0] if reader.analyses else {}
    given = {key: facts.get(key, []) for key in FACTS}
    every = [item for key in ("hiddenimports", "datas", "binaries") for item in _listed(given[key])]
    collected = {
        key: tuple(dict.fromkeys(one.package for one in every if isinstance(one, Collected) and one.key == key))
        for key in _COLLECT.values()
    }
    scripts = _paths(reader, "scripts", given["scripts"])
    for further in scripts[1:]:
        reader.notes.append(f"{reader.name}: left out: the further script {further}")
    values: dict[str, FreezeValue] = {
        "entry": scripts[0] if scripts else "",
        "hidden_imports": _words(given["hiddenimports"]),
        "excludes": _words(given["excludes"]),
        "add_data": tuple(_pairs(reader, _listed(given["datas"]))),
        "hooks": _paths(reader, "hookspath", given["hookspath"]),
        "runtime_hooks": _paths(reader, "runtime_hooks", given["runtime_hooks"]),
        "stand_ins": tuple(path for path in _paths(reader, "pathex", given["pathex"]) if path != "."),
        **collected,
    }
    for pair in _listed(given["binaries"]):
        if not isinstance(pair, Collected):
            reader.notes.append(f"{reader.name}: left out: the library {pair} of binaries")
    yield from ((key, value) for key, value in values.items() if value)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _words(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in _listed(value) if isinstance(word, str)))


def _paths(reader: _Reader, key: str, value: object) -> tuple[str, ...]:
    """Keep the paths inside the project, and note the others."""
    kept = []
    for word in _words(value):
        if path := _inside(word):
            kept.append(path)
        else:
            reader.notes.append(f"{reader.name}: left out: {word} of {key} is outside the project")
    return tuple(kept)


def _pairs(reader: _Reader, items: list[object]) -> Iterator[str]:
    for item in items:
        match item:
            case (str(source), str(folder)) if not isinstance(item, Collected):
                if (path := _inside(source)) and (place := _inside(folder or ".")):
                    yield f"{path}:{place}"
                else:
                    reader.notes.append(f"{reader.name}: left out: {source} of datas is outside the project")


def _inside(path: str) -> str:
    """Give a path below the project in its plain form, and nothing for any other."""
    plain = posixpath.normpath(path.replace("\\", "/")) if path else ""
    outside = not plain or plain.startswith(("/", "~")) or plain.split("/")[0] == ".." or plain[1:2] == ":"
    return "" if outside else plain


def _function(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _shorten(node: ast.AST) -> str:
    line = " ".join(ast.unparse(node).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
