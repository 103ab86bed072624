"""Each key of the freeze settings comes from the manifest, pyproject.toml, a spec file or a default."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.manifest.model import FreezeTable
from stigmer_packaging.sources.freeze_table import read_freeze_table
from support.freezing import SAMPLES

SPEC = 'a = Analysis(["start.py"], hiddenimports=["by_name"], excludes=["tkinter"])\n'


def make_project(folder: Path, **files: str) -> Path:
    """Create a project with these files and start.py and main.py; the last `_` of a name stands for its dot."""
    for name, text in {"start_py": "", "main_py": "", **files}.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text)
    return folder


def test_a_freeze_table_is_read_with_its_lists() -> None:
    table = read_freeze_table(SAMPLES / "freeze-service").table
    assert table == FreezeTable("main.py", hidden_imports=("greeter.by_name",), selftest=("--selftest",))


def test_a_project_without_settings_is_frozen_from_its_main_program(tmp_path: Path) -> None:
    settings = read_freeze_table(make_project(tmp_path))
    assert settings.table == FreezeTable("main.py")
    assert settings.describe() == "entry from the default"


def test_each_key_comes_from_the_first_source_that_has_it(tmp_path: Path) -> None:
    """The order is manifest, pyproject.toml, spec file; lists are replaced, not merged."""
    table = '[tool.stigmer.freeze]\nexcludes = ["curses"]\nselftest = ["--test"]\n'
    project = make_project(tmp_path, pyproject_toml=table, any_spec=SPEC)
    settings = read_freeze_table(project, {"selftest": ("--own",), "owners": {"multipart": "multipart"}})
    assert settings.table == FreezeTable(
        "start.py",
        hidden_imports=("by_name",),
        excludes=("curses",),
        selftest=("--own",),
        owners={"multipart": "multipart"},
    )
    assert settings.origins == {
        "entry": "any.spec",
        "hidden_imports": "any.spec",
        "excludes": "pyproject.toml",
        "selftest": "the manifest",
        "owners": "the manifest",
    }
    by_origin = (
        "entry, hidden_imports from any.spec",
        "excludes from pyproject.toml",
        "selftest, owners from the manifest",
    )
    assert sorted(settings.describe().split("; ")) == sorted(by_origin)


@pytest.mark.parametrize(
    ("component", "settings", "entry"),
    [("a-runner", {}, "start.py"), ("", {}, "main.py"), ("a-runner", {"spec": "other.spec"}, "main.py")],
    ids=["named after the component", "named after the project", "named by the manifest"],
)
def test_among_several_spec_files_the_one_named_after_component_or_project_is_read(
    tmp_path: Path, component: str, settings: dict[str, str], entry: str
) -> None:
    pyproject = '[tool.poetry]\nname = "other"\n'
    other = SPEC.replace("start.py", "main.py")
    project = make_project(tmp_path, pyproject_toml=pyproject, a_runner_spec=SPEC, other_spec=other)
    assert read_freeze_table(project, settings, component=component).table.entry == entry


def test_ambiguous_spec_files_are_refused_with_the_line_to_add(tmp_path: Path) -> None:
    project = make_project(tmp_path, one_spec=SPEC, two_spec=SPEC)
    with pytest.raises(SourceError, match=r"several spec files.*: one\.spec, two\.spec") as refused:
        read_freeze_table(project, component="runner")
    assert "`freeze: {spec: one.spec}`" in refused.value.remedy


def test_folders_patterns_and_names_with_brackets_are_found_in_the_project(tmp_path: Path) -> None:
    """Brackets are part of a pattern unless a file has exactly that name."""
    project = make_project(tmp_path, one_txt="", **{"two[2]_md": ""})
    (project / "hooks").mkdir()
    hooks, data = ("hooks",), ("*.txt:texts", "two[2].md:texts")
    table = read_freeze_table(project, {"hooks": hooks, "stand_ins": hooks, "add_data": data}).table
    assert table == FreezeTable("main.py", hooks=hooks, stand_ins=hooks, add_data=data)


def test_missing_paths_of_a_spec_file_are_skipped_with_a_note(tmp_path: Path) -> None:
    """Spec files often contain paths that exist only on the author's machine."""
    data = '[("main.py", "."), ("gone.txt", "a"), ("gone.txt", "b")]'
    spec = f'Analysis(["gone.py"], hookspath=["gone", "no"], datas={data})'
    settings = read_freeze_table(make_project(tmp_path, any_spec=spec))
    assert settings.table == FreezeTable("main.py", add_data=("main.py:.",))
    assert [note.split(";")[0] for note in settings.notes] == [
        "any.spec: gone.py is not in the project",
        "any.spec: gone.txt is not in the project",
        "any.spec: gone is not in the project",
        "any.spec: no is not in the project",
    ]


def test_a_spec_file_may_include_the_whole_project_as_data(tmp_path: Path) -> None:
    """Path.glob refuses the path ".", but PyInstaller accepts it."""
    settings = read_freeze_table(make_project(tmp_path, any_spec='Analysis(["main.py"], datas=[(".", "own")])'))
    assert settings.table.add_data == (".:own",)


@pytest.mark.parametrize("text", ["tool = 3\n", '[tool]\nstigmer = "x"\n', "project = 3\n", "[project]\nname = 3\n"])
def test_a_pyproject_with_unexpected_types_has_no_freeze_settings(tmp_path: Path, text: str) -> None:
    assert read_freeze_table(make_project(tmp_path, pyproject_toml=text)).table == FreezeTable("main.py")


@pytest.mark.parametrize(("text", "reason"), [(b"# \xe9\n", "'utf-8' codec"), (b"[tool.stigmer", "")])
def test_a_pyproject_that_is_not_utf8_or_not_toml_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    """A mistake in the service must be an error and not a traceback."""
    (make_project(tmp_path) / "pyproject.toml").write_bytes(text)
    with pytest.raises(SourceError, match=rf"pyproject\.toml: {reason}"):
        read_freeze_table(tmp_path)


def test_all_problems_of_a_freeze_table_are_reported_at_once(tmp_path: Path) -> None:
    """A misspelt key must not be ignored silently."""
    table = 'hiddenimports = []\nexcludes = "tkinter"\nselftest = [1]\nentry = "../main.py"\nadd_data = ["x"]\n'
    with pytest.raises(SourceError) as refused:
        read_freeze_table(make_project(tmp_path, pyproject_toml=f"[tool.stigmer.freeze]\n{table}"))
    for problem in (
        "unknown key 'hiddenimports'; did you mean 'hidden_imports'?",
        "excludes: must be a list",
        "selftest: must be text",
        "entry: '../main.py' is not a relative path",
        "add_data: 'x' is not SOURCE:FOLDER",
    ):
        assert problem in str(refused.value)


def test_all_missing_paths_are_reported_with_their_source(tmp_path: Path) -> None:
    table = '[tool.stigmer.freeze]\nentry = "gone.py"\nstand_ins = ["gone"]\n'
    with pytest.raises(SourceError) as refused:
        read_freeze_table(make_project(tmp_path, pyproject_toml=table), {"add_data": ("texts/*:.",)})
    for problem in (
        "entry: there is no gone.py (from pyproject.toml)",
        "stand_ins: there is no gone (from pyproject.toml)",
        "add_data: there is no texts/* (from the manifest)",
    ):
        assert problem in str(refused.value)


def test_a_project_without_a_main_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"entry: there is no main\.py"):
        read_freeze_table(tmp_path)
