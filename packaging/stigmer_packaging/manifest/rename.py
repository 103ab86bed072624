"""Launcher and unpacker under another product's name: texts, folder and variables; their code stays as it is."""

import ast
import re
from pathlib import Path

from stigmer_packaging.lib.syntax import parse_source

OWN = "stigmer"
_WORD = re.compile(r"\bstigmer\b(?!-)|\bStigmer\b|\bSTIGMER(?=_)")


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
