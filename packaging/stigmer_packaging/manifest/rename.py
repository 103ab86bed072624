"""Renames the product in the launcher and the unpacker: texts, home directory and variables, but no identifiers."""

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
"""The last two match functions in the shell completions, as one shell may load those of two products."""


def copy_launcher(source: Path, folder: Path, manifest: Manifest) -> None:
    """Copy the launcher's package from `source` into `folder`, renamed for the manifest's product."""
    package = copy_tree(source / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    rename_product(package, manifest.product.name)
    (package / "version.py").write_text(render_version(manifest), encoding="utf-8")


def render_version(manifest: Manifest) -> str:
    """Return the launcher's version module: the version and other facts of the product, for a frozen launcher."""
    product, parts = manifest.product, manifest.components
    begin = 1 if product.description[1:2].islower() else 0  # not if it starts with an abbreviation
    facts = {
        "NAME": product.name,
        "VERSION": product.version,
        "SUMMARY": product.description[:begin].lower() + product.description[begin:],
        "PORTS": {name: (number, part.name) for part in parts for name, number in part.run.ports.items()},
        "OVERRIDES": tuple(part.run.override for part in parts if part.run.override),
    }
    return "".join(f"{name} = {value!r}\n" for name, value in facts.items())


def rename_product(folder: Path, name: str) -> None:
    """Rename the product in Python and Go sources in place: commands, `~/.stigmer`, `STIGMER_HOME` and the like.

    Python is renamed in its string constants, Go everywhere, as no identifier contains the name. No file is touched if
    `name` is the original one.
    """
    rename = {".py": rename_texts, ".go": rename_words}
    for path in folder.rglob("*") if name != OWN else ():
        if path.suffix in rename:
            path.write_text(rename[path.suffix](path.read_text(encoding="utf-8"), name), encoding="utf-8")


def rename_texts(source: str, name: str) -> str:
    """Return a Python source with the product renamed in its strings; names of modules and components stay."""
    tree = parse_source(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = rename_words(node.value, name)
    return ast.unparse(tree) + "\n"


def rename_words(text: str, name: str) -> str:
    """Return a text with the product renamed."""
    words = {OWN: name, OWN.title(): name.replace("-", " ").title(), OWN.upper(): name.replace("-", "_").upper()}
    return _WORD.sub(lambda match: words[match[0]], text)
