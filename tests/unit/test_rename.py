"""A launcher for another product speaks of that product."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.manifest.rename import rename_product, rename_texts

LAUNCHER = Path(__file__).parents[2] / "launcher" / "stigmer_launcher"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 'run `stigmer server`'", "x = 'run `two-tiny server`'"),
        ("x = 'Stigmer is running'", "x = 'Two Tiny is running'"),
        ("environ['STIGMER_HOME']", "environ['TWO_TINY_HOME']"),
        ("join(home, '.stigmer')", "join(home, '.two-tiny')"),
        ("f'{a} stigmer {b!r:>4}'", "f'{a} two-tiny {b!r:>4}'"),
        ("import stigmer_launcher.cli.main", "import stigmer_launcher.cli.main"),
        ("load('stigmer_launcher.cli.main')", "load('stigmer_launcher.cli.main')"),
        ("x = 'stigmer-server'", "x = 'stigmer-server'"),
        ("x = 'workflow_execution_stigmer'", "x = 'workflow_execution_stigmer'"),
        ("x = 'complete -F _stigmer stigmer'", "x = 'complete -F _two-tiny two-tiny'"),
        ("x = '; function __stigmer_typed'", "x = '; function __two-tiny_typed'"),
    ],
)
def test_texts_are_renamed_and_modules_and_components_are_not(before: str, after: str) -> None:
    assert rename_texts(before, "two-tiny") == after + "\n"


def test_no_text_of_the_whole_launcher_keeps_the_old_name(tmp_path: Path) -> None:
    """A copy of the real one; what is left is code."""
    shutil.copytree(LAUNCHER, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    rename_product(tmp_path, "greetings")
    texts = {
        node.value
        for path in tmp_path.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert [text for text in texts if re.search(r"`stigmer |~/\.stigmer|STIGMER_[A-Z]", text)] == []


@pytest.mark.parametrize(("name", "content"), [("a.py", b"x = 'stigmer'  # why\n"), ("main.go", b"// Stigmer\r\n")])
def test_the_product_it_was_written_for_keeps_every_byte(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    rename_product(tmp_path, "stigmer")
    assert (tmp_path / name).read_bytes() == content


def test_the_unpacker_of_another_product_knows_that_products_home_alone(tmp_path: Path) -> None:
    """It and the launcher it hands over to must mean the same folder; the mark of its payload stays."""
    tree = Path(shutil.copytree(Path(__file__).parents[2] / "packaging" / "program", tmp_path / "program"))
    rename_product(tree, "two-tiny")
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(tree.glob("*.go")))
    assert 'os.Getenv("TWO_TINY_HOME")' in code
    assert 'path = "~/.two-tiny"' in code
    assert re.findall(r"stigmer[-\w]*", code, re.IGNORECASE) == ["stigmer-program1"]
