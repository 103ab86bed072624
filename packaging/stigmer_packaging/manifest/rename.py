"""Launcher and unpacker under another product's name: texts, folder and variables; their code stays as it is."""

import ast
import re
import shutil
from pathlib import Path

from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.syntax import parse_source
from stigmer_packaging.manifest.model import Manifest

OWN = "stigmer"
PACKAGE = "stigmer_launcher"
_WORD = re.compile(r"\bstigmer\b(?!-)|\bStigmer\b|\bSTIGMER(?=_)|(?<=\b_)stigmer\b|(?<=\b__)stigmer(?=_)")
"""The last two are functions of the completions: those of two products may be read by one shell."""


def copy_launcher(source: Path, folder: Path, manifest: Manifest) -> None:
    """Copy the launcher's package from `source` into `folder`, as that of the manifest's product."""
    own = copy_tree(source / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    rename_product(own, manifest.product.name)
    (own / "version.py").write_text(render_version(manifest), encoding="utf-8")


def render_version(manifest: Manifest) -> str:
    """Give the launcher's version module: what a frozen launcher answers with, and says of the product."""
    product, parts = manifest.product, manifest.components
    begin = 1 if product.description[1:2].islower() else 0  # not that of an abbreviation
    facts = {
        "NAME": product.name,
        "VERSION": product.version,
        "SUMMARY": product.description[:begin].lower() + product.description[begin:],
        "PORTS": {name: (number, part.name) for part in parts for name, number in part.run.ports.items()},
        "OVERRIDES": tuple(part.run.override for part in parts if part.run.override),
    }
    return "".join(f"{name} = {value!r}\n" for name, value in facts.items())


def rename_product(folder: Path, name: str) -> None:
    """Rename the product in the texts of Python and Go, in place: commands, `~/.stigmer`, `STIGMER_HOME` and the like.

    Go is renamed as a whole, as no identifier holds the name. Nothing is touched for the product it was written for.
    """
    rename = {".py": rename_texts, ".go": rename_words}
    for path in folder.rglob("*") if name != OWN else ():
        if path.suffix in rename:
            path.write_text(rename[path.suffix](path.read_text(encoding="utf-8"), name), encoding="utf-8")


def rename_texts(source: str, name: str) -> str:
    """Give a source whose string constants name another product. Names of modules and components are left alone."""
    tree = parse_source(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = rename_words(node.value, name)
    return ast.unparse(tree) + "\n"


def rename_words(text: str, name: str) -> str:
    """Give a text that names another product."""
    words = {OWN: name, OWN.title(): name.replace("-", " ").title(), OWN.upper(): name.replace("-", "_").upper()}
    return _WORD.sub(lambda match: words[match[0]], text)
