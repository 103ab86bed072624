"""Launcher and unpacker under another product's name: texts, folder and variables; their code stays as it is."""

import ast
import re
from pathlib import Path

OWN = "stigmer"
_WORD = re.compile(r"\bstigmer\b(?!-)|\bStigmer\b|\bSTIGMER(?=_)")


def rename_product(package: Path, name: str) -> None:
    """Rename the product in every text of a package, in place: commands, `~/.stigmer`, `STIGMER_HOME` and the like.

    Nothing is touched for the product it was written for.
    """
    if name != OWN:
        for path in sorted(package.rglob("*.py")):
            path.write_text(rename_texts(path.read_text(encoding="utf-8"), name), encoding="utf-8")


def rename_program(tree: Path, name: str) -> None:
    """Rename the product in the Go sources of a folder, in place; none of their identifiers holds its name."""
    if name != OWN:
        for path in sorted(tree.glob("*.go")):
            path.write_text(rename_words(path.read_text(encoding="utf-8"), name), encoding="utf-8")


def rename_texts(source: str, name: str) -> str:
    """Give a source whose string constants name another product. Names of modules and components are left alone."""
    return ast.unparse(_Renaming(name).visit(ast.parse(source))) + "\n"


def rename_words(text: str, name: str) -> str:
    """Give a text that names another product."""
    words = {OWN: name, OWN.title(): name.replace("-", " ").title(), OWN.upper(): name.replace("-", "_").upper()}
    return _WORD.sub(lambda match: words[match[0]], text)


class _Renaming(ast.NodeTransformer):
    def __init__(self, name: str) -> None:
        self._name = name

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str):
            node.value = rename_words(node.value, self._name)
        return node
