"""What is said about freezing a project is read key by key from the manifest, pyproject.toml, a spec file, or nowhere."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.manifest.model import FreezeTable
from stigmer_packaging.sources.freeze_table import read_freeze_table
from support.freezing import SAMPLES

SPEC = 'a = Analysis(["start.py"], hiddenimports=["by_name"], excludes=["tkinter"])\n'


def make_project(folder: Path, **files: str) -> Path:
    """Make a project of these files, named with `_` for the dot; it always has a start.py and a main.py."""
    for name, text in {"start_py": "", "main_py": "", **files}.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text)
    return folder


def test_a_table_is_read_with_its_lists() -> None:
    table = read_freeze_table(SAMPLES / "freeze-service").table
    assert table == FreezeTable("main.py", hidden_imports=("greeter.by_name",), selftest=("--selftest",))


def test_a_project_that_says_nothing_is_frozen_from_its_main_program(tmp_path: Path) -> None:
    facts = read_freeze_table(make_project(tmp_path))
    assert facts.table == FreezeTable("main.py")
    assert facts.describe() == "entry from the default"


def test_each_key_comes_from_the_first_place_that_has_it(tmp_path: Path) -> None:
    """The manifest before pyproject.toml before the spec file; a list replaces another."""
    table = '[tool.stigmer.freeze]\nexcludes = ["curses"]\nselftest = ["--test"]\n'
    project = make_project(tmp_path, pyproject_toml=table, any_spec=SPEC)
    facts = read_freeze_table(project, {"selftest": ("--own",), "owners": {"multipart": "multipart"}})
    assert facts.table == FreezeTable(
        "start.py",
        hidden_imports=("by_name",),
        excludes=("curses",),
        selftest=("--own",),
        owners={"multipart": "multipart"},
    )
    assert facts.origins == {
        "entry": "any.spec",
        "hidden_imports": "any.spec",
        "excludes": "pyproject.toml",
        "selftest": "the manifest",
        "owners": "the manifest",
    }


@pytest.mark.parametrize(
    ("component", "given", "entry"),
    [("a-runner", {}, "start.py"), ("", {}, "main.py"), ("a-runner", {"spec": "other.spec"}, "main.py")],
    ids=["component", "project", "manifest"],
)
def test_of_several_specs_the_one_named_like_component_or_project_is_read(
    tmp_path: Path, component: str, given: dict[str, str], entry: str
) -> None:
    pyproject = '[tool.poetry]\nname = "other"\n'
    other = SPEC.replace("start.py", "main.py")
    project = make_project(tmp_path, pyproject_toml=pyproject, a_runner_spec=SPEC, other_spec=other)
    assert read_freeze_table(project, given, component=component).table.entry == entry


def test_several_specs_of_other_names_are_refused_with_the_list_and_the_line_to_add(tmp_path: Path) -> None:
    project = make_project(tmp_path, one_spec=SPEC, two_spec=SPEC)
    with pytest.raises(SourceError, match=r"several spec files.*: one\.spec, two\.spec") as refused:
        read_freeze_table(project, component="runner")
    assert "`freeze: {spec: one.spec}`" in refused.value.remedy


def test_paths_of_a_spec_that_the_project_has_not_are_left_out_with_a_note(tmp_path: Path) -> None:
    """They were generated on its author's machine."""
    data = '[("main.py", "."), ("gone.txt", "a"), ("gone.txt", "b")]'
    spec = f'Analysis(["gone.py"], hookspath=["gone", "no"], datas={data})'
    facts = read_freeze_table(make_project(tmp_path, any_spec=spec))
    assert facts.table == FreezeTable("main.py", add_data=("main.py:.",))
    assert [note.split(";")[0] for note in facts.notes] == [
        "any.spec: gone.py is not in the project",
        "any.spec: gone.txt is not in the project",
        "any.spec: gone is not in the project",
        "any.spec: no is not in the project",
    ]


def test_a_spec_may_take_the_whole_project_as_data(tmp_path: Path) -> None:
    """Path.glob refuses this path, and PyInstaller takes it."""
    facts = read_freeze_table(make_project(tmp_path, any_spec='Analysis(["main.py"], datas=[(".", "own")])'))
    assert facts.table.add_data == (".:own",)


@pytest.mark.parametrize("text", ["tool = 3\n", '[tool]\nstigmer = "x"\n', "project = 3\n", "[project]\nname = 3\n"])
def test_a_pyproject_of_another_shape_says_nothing_about_freezing(tmp_path: Path, text: str) -> None:
    assert read_freeze_table(make_project(tmp_path, pyproject_toml=text)).table == FreezeTable("main.py")


@pytest.mark.parametrize(("text", "reason"), [(b"# \xe9\n", "'utf-8' codec"), (b"[tool.stigmer", "")])
def test_a_pyproject_that_is_no_utf8_or_no_toml_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    """It is the service's mistake, not a crash of ours."""
    (make_project(tmp_path) / "pyproject.toml").write_bytes(text)
    with pytest.raises(SourceError, match=rf"pyproject\.toml: {reason}"):
        read_freeze_table(tmp_path)


def test_every_problem_of_a_table_is_named_at_once(tmp_path: Path) -> None:
    """A misspelt key is not a key that is silently without effect."""
    wrong = 'hiddenimports = []\nexcludes = "tkinter"\nselftest = [1]\nentry = "../main.py"\nadd_data = ["x"]\n'
    with pytest.raises(SourceError) as refused:
        read_freeze_table(make_project(tmp_path, pyproject_toml=f"[tool.stigmer.freeze]\n{wrong}"))
    for problem in (
        "unknown key 'hiddenimports'; did you mean 'hidden_imports'?",
        "excludes: must be a list",
        "selftest: must be text",
        "entry: '../main.py' is not a relative path",
        "add_data: 'x' is not SOURCE:FOLDER",
    ):
        assert problem in str(refused.value)


def test_every_path_that_is_not_there_is_named_with_who_named_it(tmp_path: Path) -> None:
    table = '[tool.stigmer.freeze]\nentry = "gone.py"\nstand_ins = ["gone"]\n'
    with pytest.raises(SourceError) as refused:
        read_freeze_table(make_project(tmp_path, pyproject_toml=table), {"add_data": ("texts/*:.",)})
    for problem in (
        "entry: there is no gone.py (from pyproject.toml)",
        "stand_ins: there is no gone (from pyproject.toml)",
        "add_data: there is no texts/* (from the manifest)",
    ):
        assert problem in str(refused.value)


def test_a_project_without_any_main_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"entry: there is no main\.py"):
        read_freeze_table(tmp_path)
