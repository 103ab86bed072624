"""packaging/manifest.yaml: read it whole, or name every problem in it with its line."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stigmer_packaging.lib.errors import ManifestError
from stigmer_packaging.manifest import overlay, rules, shape
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.section import Finding, Section


def load_manifest(path: Path, *, reference: bool = False) -> Manifest:
    """Read the manifest at `path`; ManifestError lists all of its problems, each with its line.

    With `reference` it is that of the reference stack: its section `reference` overrides the rest.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError([f"{path} cannot be read: {error}"]) from error
    return parse_manifest(text, reference=reference)


def parse_manifest(text: str, *, reference: bool = False) -> Manifest:
    """Read a manifest's text as load_manifest does; both stacks are checked, whichever is asked for."""
    document = _document(text)
    manifest, findings = _read(document)
    problems = {*_with_lines(findings, document)}
    if isinstance(document, CommentedMap) and overlay.KEY in document:
        overlaid = _document(text)
        own = overlay.apply_overlay(overlaid)
        of_reference, findings = _read(overlaid)
        problems |= {*_with_lines([*own, *findings], overlaid)}
        manifest = of_reference if reference else manifest
    if problems:
        raise ManifestError([f"line {line}: {text}" for line, text in sorted(problems)])
    return manifest


def _read(document: Any) -> tuple[Manifest, list[Finding]]:
    findings: list[Finding] = []
    manifest = shape.read_manifest(Section(document, (), findings))
    return manifest, [*findings, *rules.check(manifest)]


def _document(text: str) -> Any:
    try:
        return YAML().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ManifestError([f"{where}not YAML: {error.problem or error.context}"]) from error
    except YAMLError as error:
        raise ManifestError([f"not YAML: {error}"]) from error
    except RecursionError as error:
        raise ManifestError(["it is nested too deep to be read"]) from error


def _with_lines(findings: Iterable[Finding], document: Any) -> Iterator[tuple[int, str]]:
    for finding in findings:
        yield _line_of(document, finding.path), _dotted(document, finding.path) + finding.text


def _line_of(document: Any, path: Iterable[str | int]) -> int:
    line = 0
    for key in path:
        if isinstance(document, CommentedMap) and key in document:
            line = document.lc.key(key)[0]
        elif isinstance(document, CommentedSeq) and isinstance(key, int) and key < len(document):
            line = document.lc.item(key)[0]
        else:
            break
        document = document[key]
    return line + 1


def _dotted(document: Any, path: Iterable[str | int]) -> str:
    """Name a place as people do: `agent-runner.run.readiness.proofs[0].port: `, a component by its name."""
    words: list[str] = []
    for key in path:
        document = document[key] if _holds(document, key) else None
        name = document.get("name") if isinstance(document, CommentedMap) else None
        if isinstance(key, int):
            words[-1:] = [str(name)] if name else [f"{words[-1]}[{key}]"]
        else:
            words.append(key)
    return ".".join(words) + ": " if words else ""


def _holds(document: Any, key: str | int) -> bool:
    if isinstance(document, CommentedMap):
        return key in document
    return isinstance(document, CommentedSeq) and isinstance(key, int) and key < len(document)
