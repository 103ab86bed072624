"""The same project locked by uv and by Poetry gives the same pins; what has no hash is refused.

The samples were made by uv 0.13 and Poetry 2.5 (each package's first file kept, hosts replaced), `expected.txt` by
`uv export --no-dev --no-emit-project --no-hashes`.
"""

import shutil
from pathlib import Path

import pytest
from packaging.markers import Marker

from stigmer_packaging.errors import SourceError
from stigmer_packaging.tools.project_locks import parse_poetry_lock, parse_uv_lock, read_project_lock
from stigmer_packaging.tools.service_source import read_service_source
from support.freeze_workshop import copy_sample

SAMPLES = Path(__file__).parents[1] / "samples" / "project-locks"
UV, POETRY = ((SAMPLES / name).read_text(encoding="utf-8") for name in ("uv.lock", "poetry.lock"))
HERE = {"sys_platform": "linux", "python_version": "3.13", "python_full_version": "3.13.5", "extra": ""}
WINDOWS = {**HERE, "sys_platform": "win32"}
OTHER = """version = 1
[[package]]
name = "greeter"
version = "1"
source = { virtual = "." }
dependencies = [EDGES]
[[package]]
name = "one"
version = "1"
source = { registry = "r" }
dependencies = [{ name = "two", marker = "python_version < '3.12'" }]
wheels = [{ hash = "sha256:aa" }]
[[package]]
name = "two"
version = "2"
source = { registry = "r" }
dependencies = [{ name = "one" }]
wheels = [{ hash = "sha256:bb" }]
[[package]]
name = "two"
version = "3"
source = { git = "https://example.invalid/two" }
"""


def wanted(text: str, where: dict[str, str]) -> list[str]:
    """List what one platform gets, as expected.txt names it."""
    read = parse_uv_lock if text.startswith("version") else parse_poetry_lock
    return sorted(f"{pin.name}=={pin.version}" for pin in read(text).pins if pin.applies(where))


@pytest.mark.parametrize("where", [HERE, WINDOWS], ids=["linux", "windows"])
@pytest.mark.parametrize("text", [UV, POETRY], ids=["uv", "poetry"])
def test_both_give_what_uv_itself_exports_without_groups_and_extras(text: str, where: dict[str, str]) -> None:
    """Neither pytest of the group dev nor rich of the extra comes along; an extra that is asked for does."""
    lines = (SAMPLES / "expected.txt").read_text(encoding="utf-8").splitlines()
    named = (line.partition(" ; ") for line in lines)
    assert wanted(text, where) == [name for name, _, marker in named if not marker or Marker(marker).evaluate(where)]


@pytest.mark.parametrize("text", [UV, POETRY], ids=["uv", "poetry"])
def test_every_pin_has_its_hashes_and_a_folder_of_the_tree_is_no_pin(text: str) -> None:
    """A folder comes from the tree, whose digest is known; everything else has a hash."""
    read = parse_uv_lock if text is UV else parse_poetry_lock
    locked = read(text)
    assert locked.folders == ("lib",)
    assert all("--hash=sha256:" in pin.text for pin in locked.pins)


def test_markers_add_up_along_the_way_and_any_way_will_do() -> None:
    """`two` is reached over `one` on an old Python, or directly on Windows; the circle between them ends."""
    edges = """{ name = "one", marker = "sys_platform == 'linux'" }, { name = "two", version = "2", marker = "sys_platform == 'win32'" }"""
    text = OTHER.replace("EDGES", edges)
    old = {"python_version": "3.11"}
    assert wanted(text, HERE) == ["one==1"]
    assert wanted(text, HERE | old) == ["one==1", "two==2"]
    assert wanted(text, WINDOWS) == ["one==1", "two==2"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (OTHER.replace("EDGES", '{ name = "two", version = "3" }'), "the kind 'git', which has no hash"),
        (OTHER.replace("EDGES", '{ name = "three" }'), "does not lock it"),
        (OTHER.replace("EDGES", "").replace("version = 1\n", "version = 9\n", 1), "version 9"),
    ],
)
def test_a_uv_lock_that_is_not_all_pinned_is_refused(text: str, reason: str) -> None:
    """With the distribution's name, or the format's number."""
    with pytest.raises(SourceError, match=reason):
        parse_uv_lock(text)


def test_a_lock_of_an_old_poetry_is_refused_with_the_way_out() -> None:
    """It does not say which packages only development needs."""
    with pytest.raises(SourceError, match=r"lock-version 2\.0"):
        parse_poetry_lock(POETRY.replace('lock-version = "2.1"', 'lock-version = "2.0"'))


def test_a_project_without_any_lock_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    """The message says which locks are known, or what is wrong with this one."""
    with pytest.raises(SourceError, match=r"neither requirements\.lock nor uv\.lock nor poetry\.lock"):
        read_project_lock(tmp_path)
    (tmp_path / "poetry.lock").write_text("[[package]]\n")
    with pytest.raises(SourceError, match=r"poetry\.lock is no lock we can read"):
        read_project_lock(tmp_path)


def test_a_folder_that_the_lock_names_is_searched_for_modules_and_is_part_of_the_digest(tmp_path: Path) -> None:
    """The product's stubs are such a folder; with `src` in it, the modules lie there."""
    project = copy_sample("freeze-service", tmp_path)
    (project / "requirements.lock").unlink()
    shutil.copy(SAMPLES / "uv.lock", project)
    with pytest.raises(SourceError, match="folders that are not there"):
        read_service_source(project)
    (project / "lib" / "src").mkdir(parents=True)
    before = read_service_source(project).sha256
    (project / "lib" / "src" / "stubs.py").write_text("")
    source = read_service_source(project)
    assert source.sha256 != before
    search = source.copy_to(tmp_path / "copy")
    assert [path.relative_to(tmp_path / "copy").as_posix() for path in search] == ["0", "1", "1/src"]
    assert (search[2] / "stubs.py").is_file()
