"""Reads PyInstaller's spec files without running them: the arguments of `Analysis` describe the project.

A spec file is a Python program. Literals, names with such values, `+`, `+=`, paths below SPECPATH and calls of
PyInstaller's collect functions are evaluated. Everything else is left out with a note, such as settings of the bundle's
form (one file, UPX, signing) and paths of the author's machine.
"""

import ast
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from stigmer_packaging.lib.syntax import parse_source
from stigmer_packaging.manifest.model import FreezeValue

FACTS = ("scripts", "pathex", "hiddenimports", "excludes", "datas", "binaries", "hookspath", "runtime_hooks")
"""The arguments of Analysis that are read. Source: PyInstaller 6's manual, "Using Spec Files"."""

_POSITIONAL = ("scripts", "pathex", "binaries", "datas", "hiddenimports", "hookspath")
_COLLECT = {
    "collect_submodules": "collect_submodules",
    "collect_data_files": "collect_data",
    "collect_dynamic_libs": "collect_binaries",
    "copy_metadata": "copy_metadata",
}
_FORM = ("EXE", "COLLECT", "BUNDLE")


def _parent(path: str) -> str:
    """Return the parent folder of a path; that of the project itself is `..`."""
    return posixpath.normpath(posixpath.join(path, ".."))


_PATHS: Mapping[str, Callable[..., str]] = {
    "os.path.join": posixpath.join,
    "os.path.abspath": posixpath.normpath,
    "os.path.realpath": posixpath.normpath,
    "os.path.dirname": _parent,
    "Path": posixpath.join,
    "pathlib.Path": posixpath.join,
    "str": str,
}
_SILENT = ("name", "console", "exclude_binaries")
"""Arguments of EXE and COLLECT that every freeze sets, or that follow from the component's name: no note is needed."""

_LONGEST = 80


class Collected(NamedTuple):
    """A call of a collect function: the equivalent key of the freeze table, and the package."""

    key: str
    package: str


@dataclass(frozen=True)
class Spec:
    """The settings in a spec file, by the keys of a freeze table, and a note for everything that was left out."""

    values: Mapping[str, FreezeValue]
    notes: tuple[str, ...]


class _Unreadable(Exception):  # noqa: N818 - not an error: it becomes a note
    """The expression cannot be evaluated without running the file."""


def parse_spec(source: str | bytes, name: str) -> Spec:
    """Read the spec file `name`; everything that cannot be read without running it becomes a note.

    Bytes are decoded as Python does: by their byte order mark or coding comment, else as UTF-8.
    """
    try:
        program = parse_source(source, name)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Spec({}, (f"{name}: not read, not valid Python: {error}",))
    reader = _Reader(name)
    for statement in program.body:
        try:
            reader.read(statement)
        except RecursionError:
            reader.note("not read: nested too deeply", statement)
    if reader.analysis is None:
        reader.note("it has no Analysis that can be read")
    facts = _Facts(reader.analysis or {}, reader.note)
    return Spec({key: value for key, value in facts.values() if value}, tuple(reader.notes))


class _Reader:
    """Evaluates a spec file statement by statement, and keeps the values of its names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.names: dict[str, object] = {"SPECPATH": ".", "SPEC": name}
        self.analysis: dict[str, list[object]] | None = None
        self.notes: list[str] = []

    def note(self, text: str, node: ast.stmt | ast.expr | None = None) -> None:
        line = f":{node.lineno}" if node else ""
        self.notes.append(f"{self.name}{line}: {text}")

    def not_read(self, node: ast.stmt | ast.expr) -> None:
        self.note(f"not read: {_shorten(node)}", node)

    def read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.Pass() | ast.Expr(ast.Constant()):
                return
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self.assign(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, value)
            case ast.AugAssign(target=ast.Name() as target, op=ast.Add(), value=value):
                self.extend(target, value)
            case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name() as target, attr="extend"), args=[value])):
                self.extend(target, value)
            case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name() as target, attr="append"), args=[value])):
                self.extend(target, ast.copy_location(ast.List([value]), value))
            case ast.Expr(ast.Call() as call):
                self.call(call)
            case _:
                self.not_read(statement)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Store the value of a name, or of each name in a tuple; one that cannot be read is noted where it is used."""
        if isinstance(value, ast.Call) and _function(value) in {"Analysis", "PYZ", *_FORM}:
            return self.call(value)
        found = self.value_or_none(value)
        match target, found:
            case ast.Name(id=name), None if not (isinstance(value, ast.Constant) and value.value is None):
                self.names.pop(name, None)
            case ast.Name(id=name), _:
                self.names[name] = found
            case ast.Tuple(elts=targets), tuple(parts) if len(targets) == len(parts):
                named = zip(targets, parts, strict=True)
                self.names |= {one.id: part for one, part in named if isinstance(one, ast.Name)}
            case _:
                self.not_read(value)
        return None

    def extend(self, target: ast.Name, value: ast.expr) -> None:
        self.assign(target, ast.copy_location(ast.BinOp(target, ast.Add(), value), value))

    def call(self, call: ast.Call) -> None:
        """Read an Analysis; note the arguments of other build steps, which set the bundle's form."""
        match _function(call):
            case "Analysis" if self.analysis is None:
                positional = list(takewhile(lambda part: not isinstance(part, ast.Starred), call.args))
                for part in call.args[len(positional) :]:
                    self.not_read(part)
                arguments = dict(zip(_POSITIONAL, positional, strict=False)) | _keywords(call)
                self.analysis = {key: self.items(arguments.pop(key)) for key in FACTS if key in arguments}
                self.leave_out(arguments, "Analysis")
            case "Analysis":
                self.note(f"a further Analysis is left out: {_shorten(call)}", call)
            case "EXE" | "COLLECT" | "BUNDLE" as step:
                one_file = any(isinstance(part, ast.Attribute) and part.attr == "binaries" for part in call.args)
                if step == "EXE" and one_file:
                    self.note("left out: one file; the bundle is a folder", call)
                self.leave_out({key: node for key, node in _keywords(call).items() if key not in _SILENT}, step)
            case "PYZ":
                return
            case _:
                self.not_read(call)

    def leave_out(self, arguments: Mapping[str, ast.expr], step: str) -> None:
        """Note each argument that is left out, unless its value is empty or false, as most defaults are."""
        for key, node in arguments.items():
            try:
                setting = None if isinstance(node, ast.Dict) and not node.keys else self.value(node) or None
            except _Unreadable:
                setting = node
            if setting is not None:
                self.note(f"left out: {key}={_shorten(node)} of {step}", node)

    def items(self, node: ast.expr) -> list[object]:
        """Evaluate a list; note the items that cannot be read, and return the others."""
        if isinstance(node, ast.List | ast.Set):
            return [item for part in node.elts for item in self.element(part)]
        return [item for value in self.element(node) for item in _as_list(value)]

    def element(self, node: ast.expr) -> list[object]:
        if isinstance(node, ast.Starred):
            return self.items(node.value)
        try:
            return [self.value(node)]
        except _Unreadable:
            self.not_read(node)
            return []

    def value(self, node: ast.expr) -> object:
        """Evaluate an expression; _Unreadable if that needs running the file."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.JoinedStr(values=parts):
                return "".join(map(self.text, parts))
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.List() | ast.Set():
                return self.items(node)
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
        return self.computed(node)

    def computed(self, node: ast.expr) -> object:
        match node:
            case ast.Call(func=ast.Attribute(value=path, attr="resolve" | "absolute"), args=[]):
                return self.value(path)
            case ast.Call():
                result = _result(_function(node), [self.value(argument) for argument in node.args])
                self.leave_out(_keywords(node), _function(node))
                return result
            case ast.Attribute(value=path, attr="parent"):
                return _result("os.path.dirname", [self.value(path)])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.sum(left, right)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _result("os.path.join", [self.value(left), self.value(right)])
            case ast.Subscript(value=part, slice=ast.Constant(value=int(index))):
                sequence = self.value(part)
                if isinstance(sequence, list | tuple) and index < len(sequence):
                    return sequence[index]
        raise _Unreadable

    def text(self, node: ast.expr) -> str:
        match node:
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                found = self.value(value)
            case _:
                found = self.value(node)
        if isinstance(found, str):
            return found
        raise _Unreadable

    def sum(self, *nodes: ast.expr) -> object:
        """Add texts, tuples, or lists; if one operand is a list, note one that cannot be read, and return the rest."""
        known = [(node, self.value_or_none(node)) for node in nodes]
        match [value for _, value in known]:
            case [str(left), str(right)]:
                return left + right
            case [tuple(left), tuple(right)]:
                return (*left, *right)
            case values if not any(isinstance(value, list) for value in values):
                raise _Unreadable
        for node, value in known:
            if not isinstance(value, list | tuple):
                self.not_read(node)
        return [item for _, value in known if isinstance(value, list | tuple) for item in value]

    def value_or_none(self, node: ast.expr) -> object:
        try:
            return self.value(node)
        except _Unreadable:
            return None


def _result(function: str, arguments: list[object]) -> object:
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


@dataclass(frozen=True)
class _Facts:
    """Turns the arguments of Analysis into the keys of a freeze table."""

    analysis: Mapping[str, list[object]]
    note: Callable[[str], None]

    def values(self) -> Iterator[tuple[str, FreezeValue]]:
        entry, *others = self.paths("scripts") or ("",)
        for further in others:
            self.note(f"left out: the further script {further}")
        yield "entry", entry
        yield "hidden_imports", self.words("hiddenimports")
        yield "excludes", self.words("excludes")
        yield "add_data", tuple(self.pairs())
        yield "hooks", self.paths("hookspath")
        yield "runtime_hooks", self.paths("runtime_hooks")
        yield "stand_ins", tuple(path for path in self.paths("pathex") if path != ".")
        every = [item for key in ("hiddenimports", "datas", "binaries") for item in self.analysis.get(key, ())]
        collected = [item for item in every if isinstance(item, Collected)]
        for key in _COLLECT.values():
            yield key, tuple(dict.fromkeys(one.package for one in collected if one.key == key))
        for pair in self.analysis.get("binaries", ()):
            if not isinstance(pair, Collected):
                self.note(f"left out: the library {pair} of binaries")

    def words(self, key: str) -> tuple[str, ...]:
        """Return the texts; note other items, except collect functions in hiddenimports, which `values` reads."""
        items = self.analysis.get(key, ())
        for item in items:
            if not isinstance(item, str) and not (key == "hiddenimports" and isinstance(item, Collected)):
                self.note(f"left out: {_shorten(item)} of {key}")
        return tuple(dict.fromkeys(item for item in items if isinstance(item, str)))

    def paths(self, key: str) -> tuple[str, ...]:
        """Return the paths inside the project, and note the others."""
        words = self.words(key)
        for word in words:
            if not _inside(word):
                self.note(f"left out: {word} of {key} is outside the project")
        return tuple(filter(None, map(_inside, words)))

    def pairs(self) -> Iterator[str]:
        for item in self.analysis.get("datas", ()):
            match item:
                case Collected():
                    pass
                case (str(source), str(folder)):
                    if (path := _inside(source)) and (place := _inside(folder or ".")):
                        yield f"{path}:{place}"
                    else:
                        self.note(f"left out: {source} of datas is outside the project")
                case _:
                    self.note(f"left out: {_shorten(item)} of datas, not a pair of source and folder")


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _inside(path: str) -> str:
    """Return the normalized form of a path below the project, or an empty string for any other path."""
    plain = posixpath.normpath(path.replace("\\", "/")) if path else ""
    outside = not plain or plain.startswith(("/", "~")) or plain.split("/")[0] == ".." or plain[1:2] == ":"
    return "" if outside else plain


def _function(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {word.arg or "**": word.value for word in call.keywords}


def _shorten(item: object) -> str:
    line = " ".join((ast.unparse(item) if isinstance(item, ast.AST) else str(item)).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
