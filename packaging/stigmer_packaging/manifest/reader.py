"""Reads packaging/manifest.yaml; errors list all problems with their line numbers."""

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

    With `reference`, the section `reference` overrides the rest, for the manifest of the reference stack.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError([f"{path} cannot be read: {error}"]) from error
    try:
        return parse_manifest(text, reference=reference)
    except ManifestError as error:
        raise ManifestError(error.problems, str(path)) from error


def parse_manifest(text: str, *, reference: bool = False) -> Manifest:
    """Parse a manifest's text like load_manifest; both stacks are checked, whichever is returned."""
    document = _document(text)
    manifest, findings = _read(document)
    problems = {_with_line(finding, document) for finding in findings}
    if isinstance(document, CommentedMap) and overlay.KEY in document:
        overlay_findings = overlay.apply_overlay(document)
        reference_manifest, findings = _read(document)
        problems |= {_with_line(finding, document) for finding in (*overlay_findings, *findings)}
        manifest = reference_manifest if reference else manifest
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
        raise ManifestError(["nested too deeply to be read"]) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a value that does not match its tag
        raise ManifestError([f"not YAML: {error}"]) from error


def _with_line(finding: Finding, document: Any) -> tuple[int, str]:
    """Return a finding's line number, and its text prefixed with its path, such as `temporal.run.proofs[0].port: `.

    Components are given by name. The line of a missing key is that of the mapping it is missing from.
    """
    line, words = 0, list[str]()
    for key in finding.path:
        is_index = isinstance(key, int) and not isinstance(document, CommentedMap)
        if isinstance(document, CommentedMap) and key in document:
            line, document = document.lc.key(key)[0], document[key]
        elif isinstance(document, CommentedSeq) and isinstance(key, int) and key < len(document):
            line, document = document.lc.item(key)[0], document[key]
        else:
            document = None
        name = document.get("name") if isinstance(document, CommentedMap) else None
        if is_index:
            words[-1:] = [str(name)] if name else [f"{words[-1]}[{key}]"]
        else:
            words.append(str(key))
    return line + 1, f"{'.'.join(words)}: {finding.text}" if words else finding.text
