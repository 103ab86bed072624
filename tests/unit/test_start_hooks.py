"""The start hooks, which run before a frozen service: what they change and what they leave to the service."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stigmer_packaging.freeze import pyinstaller
from stigmer_packaging.manifest.model import CheckoutSource, FreezeTable
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.manifest.values import START_HOOKS

FAKE_PYDANTIC = '''
"""Fake Pydantic that records the arguments of its calls."""

class BaseModel:
    model_config = {}

def validate_call(func=None, /, *, config=None, validate_return=False):
    if func is None:
        return lambda func: validate_call(func, config=config, validate_return=validate_return)
    func.recorded = (config, validate_return)
    return func
'''


def run_after(hook: str, program: str, folder: Path, *, before: str = "") -> object:
    """Run a hook and then a program in the same interpreter; return the JSON value that it prints."""
    source = (pyinstaller.START_HOOKS / f"{hook}.py").read_text(encoding="utf-8")
    words = [sys.executable, "-E", "-s", "-c", f"{before}\n{source}\nimport json\n{program}"]
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(result.stdout)


def test_the_collector_is_off_during_the_imports_and_on_again_with_a_frozen_heap(tmp_path: Path) -> None:
    program = """
during = gc.isenabled()
import decimal
next(thread for thread in threading.enumerate() if thread.name == "collector").join(30)
print(json.dumps([during, gc.isenabled(), gc.get_freeze_count() > 1000]))
"""
    assert run_after("collector", program, tmp_path) == [False, True, True]


def test_a_program_that_ends_during_its_imports_is_not_delayed_by_the_collector_hook(tmp_path: Path) -> None:
    assert run_after("collector", "print(json.dumps('done'))", tmp_path) == "done"


@pytest.mark.parametrize("pydantic", [None, "class BaseModel: pass\n"], ids=["none", "version 1"])
def test_the_validators_hook_tolerates_a_missing_or_old_pydantic(tmp_path: Path, pydantic: str | None) -> None:
    if pydantic is not None:
        (tmp_path / "pydantic.py").write_text(pydantic, encoding="utf-8")
    absent = "import sys\nif not __import__('pathlib').Path('pydantic.py').exists(): sys.modules['pydantic'] = None\n"
    assert run_after("validators", "print(json.dumps('done'))", tmp_path, before=absent) == "done"


def test_validators_are_built_at_first_use_unless_the_program_configures_otherwise(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text(FAKE_PYDANTIC, encoding="utf-8")
    program = """
from pydantic import BaseModel, validate_call
@validate_call
def plain(): ...
@validate_call(validate_return=True)
def strict(): ...
@validate_call(config={"defer_build": False, "strict": True})
def own(): ...
print(json.dumps([BaseModel.model_config, plain.recorded, strict.recorded, own.recorded]))
"""
    assert run_after("validators", program, tmp_path) == [
        {"defer_build": True},
        [{"defer_build": True}, False],
        [{"defer_build": True}, True],
        [{"defer_build": False, "strict": True}, False],
    ]


def test_every_start_hook_has_a_file_and_every_file_is_a_start_hook() -> None:
    assert {path.stem for path in pyinstaller.START_HOOKS.glob("*.py")} == set(START_HOOKS)


def test_a_service_starts_with_the_collector_hook_unless_told_otherwise() -> None:
    assert FreezeTable().startup == ("collector",)


def test_the_products_agent_runner_starts_with_all_hooks() -> None:
    manifest = load_manifest(Path(__file__).parents[2] / "packaging" / "manifest.yaml")
    source = next(part.source for part in manifest.components if part.name == "agent-runner")
    assert isinstance(source, CheckoutSource)
    assert source.freeze["startup"] == START_HOOKS
