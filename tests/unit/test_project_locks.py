"""The same project locked by uv, Poetry and PDM gives the same pins; a file without a hash is refused.

The samples were made by uv 0.13, Poetry 2.5 (each package's first file kept) and PDM 2.29, hosts replaced; `pylock.toml`
by `pdm export`, `pylock.service.toml` by `uv export --no-dev`, `expected.txt` by `uv export --no-dev --no-emit-project
--no-hashes`. Poetry 1's lock has the form of Poetry 2's without groups and markers.
"""

import re
import shutil
from pathlib import Path

import pytest
from packaging.markers import Marker

from stigmer_packaging.lib.errors import GateError, SourceError
from stigmer_packaging.sources.project_locks import Locked, read_project_lock
from stigmer_packaging.sources.service_source import read_service_source
from support.freezing import copy_sample

SAMPLES = Path(__file__).parents[1] / "samples" / "project-locks"
POETRY, PDM = ((SAMPLES / name).read_text(encoding="utf-8") for name in ("poetry.lock", "pdm.lock"))
HERE = {"sys_platform": "linux", "python_version": "3.13", "python_full_version": "3.13.5", "extra": ""}
WINDOWS = {**HERE, "sys_platform": "win32"}
PYPROJECT = """
[tool.poetry.dependencies]
python = ">=3.11"
certifi = "*"
click = ">=8"
colorama = { version = "*", markers = "sys_platform == 'win32'" }
httpx = { version = "*", extras = ["http2"] }
local-lib = { path = "lib" }
rich = { version = "*", optional = true }

[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
DUPLICATED = """
[[package]]
name = "one"
version = "1"
[[package]]
name = "one"
version = "2"
[metadata]
lock-version = "2.0"
"""
PYLOCK = """
lock-version = "1.0"
created-by = "hand"
[[packages]]
name = "one"
"""
PYLOCK_VCS = PYLOCK + 'vcs = { type = "git", url = "https://x.invalid/one", commit-id = "a" }\n'
PYLOCK_ARCHIVE = PYLOCK + 'archive = { url = "https://x.invalid/one.tar.gz", hashes = { sha256 = "a" } }'
SDIST = 'sdist = { hash = "sha256:bb", url = "https://x.invalid/one-1.tar.gz", hashes = { sha256 = "bb" } }'
PINNED, UNPINNED = "six==1.17.0 --hash=sha256:aa\n", "six>=1\n"


def uv_lock(edges: str) -> str:
    return f"""version = 1
[[package]]
name = "greeter"
version = "1"
source = {{ virtual = "." }}
dependencies = [{edges}]
[[package]]
name = "one"
version = "1"
source = {{ registry = "r" }}
dependencies = [{{ name = "two", marker = "python_version < '3.12'" }}]
wheels = [{{ hash = "sha256:aa" }}]
[[package]]
name = "two"
version = "2"
source = {{ registry = "r" }}
dependencies = [{{ name = "one" }}]
wheels = [{{ hash = "sha256:bb" }}]
[[package]]
name = "two"
version = "3"
source = {{ git = "https://example.invalid/two" }}
"""


def read(project: Path, name: str, text: str) -> Locked:
    (project / name).write_text(text, encoding="utf-8")
    return read_project_lock(project, name)


@pytest.fixture(params=["uv.lock", "poetry.lock", "poetry 1", "pdm.lock", "pylock.toml", "pylock.service.toml"])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Locked:
    if request.param == "poetry 1":
        (tmp_path / "pyproject.toml").write_text(PYPROJECT)
        text = re.sub(r"^(groups|markers) = .*\n", "", POETRY, flags=re.MULTILINE).replace('"2.1"', '"2.0"')
        return read(tmp_path, "poetry.lock", text)
    return read_project_lock(SAMPLES, request.param)


def wanted(locked: Locked, where: dict[str, str]) -> list[str]:
    return sorted(f"{pin.name}=={pin.version}" for pin in locked.pins if pin.applies(where))


@pytest.mark.parametrize("where", [HERE, WINDOWS], ids=["linux", "windows"])
def test_every_kind_of_lock_gives_the_pins_that_uv_exports(sample: Locked, where: dict[str, str]) -> None:
    """Without pytest of the group dev and rich of the extra, but with an extra that is required."""
    lines = (SAMPLES / "expected.txt").read_text(encoding="utf-8").splitlines()
    named = (line.partition(" ; ") for line in lines)
    assert wanted(sample, where) == [name for name, _, marker in named if not marker or Marker(marker).evaluate(where)]


def test_every_pin_has_hashes_and_a_folder_of_the_tree_is_not_a_pin(sample: Locked) -> None:
    assert [Path(folder).as_posix() for folder in sample.folders] == ["lib"]
    assert all("--hash=sha256:" in pin.requirement for pin in sample.pins)
    assert not [pin for pin in sample.pins if pin.source_only], "all have a wheel"


def test_markers_are_combined_along_a_path_and_one_path_is_enough(tmp_path: Path) -> None:
    """`two` is reached through `one` on an old Python, or directly on Windows; the cycle between them must end."""
    edges = """{ name = "one", marker = "sys_platform == 'linux'" }, { name = "two", version = "2", marker = "sys_platform == 'win32'" }"""
    locked = read(tmp_path, "uv.lock", uv_lock(edges))
    assert wanted(locked, HERE) == ["one==1"]
    assert wanted(locked, HERE | {"python_version": "3.11"}) == ["one==1", "two==2"]
    assert wanted(locked, WINDOWS) == ["one==1", "two==2"]


@pytest.mark.parametrize(
    ("name", "text", "reason", "remedy"),
    [
        ("uv.lock", uv_lock('{ name = "two", version = "3" }'), "the kind 'git', which is not a package index", "from a pack"),
        ("uv.lock", uv_lock('{ name = "three" }'), "does not contain it", "uv lock"),
        ("uv.lock", uv_lock("").replace("version = 1\n", "version = 9\n", 1), "version 9", "uv export"),
        ("uv.lock", uv_lock("").replace('virtual = "."', 'virtual = "a"'), "locks a workspace, and no project", "uv export"),
        ("poetry.lock", DUPLICATED, r"lock-version 2\.0 locks one more than once", "poetry lock"),
        ("poetry.lock", DUPLICATED.replace('"2.0"', '"1.1"'), r"lock-version 1\.1", "poetry lock"),
        ("poetry.lock", DUPLICATED.replace("one", "two", 1), r"needs \[tool\.poetry\.dependencies\]", "poetry lock"),
        ("pdm.lock", PDM.replace('"inherit_metadata"', ""), "the groups of packages", "pdm lock -S inherit_metadata"),
        ("pylock.toml", PYLOCK_VCS, "of the kind 'vcs'", "take one from a package index"),
        ("pylock.toml", PYLOCK_ARCHIVE, "the kind 'archive'", "take one from a package index"),
        ("pylock.toml", PYLOCK.replace('"1.0"', '"2.0"'), "does not follow PEP 751", "lock again"),
        ("pylock.toml", PYLOCK, "does not follow PEP 751", "lock again"),
        ("poetry.lock", "[[package]]\n", r"poetry\.lock cannot be read as a lock", ""),
    ],
)  # fmt: skip
def test_a_lock_that_cannot_be_used_is_refused_with_a_remedy(
    tmp_path: Path, name: str, text: str, reason: str, remedy: str
) -> None:
    with pytest.raises(SourceError, match=reason) as refused:
        read(tmp_path, name, text)
    assert remedy in refused.value.remedy


def test_a_file_that_pdm_locks_without_a_hash_belongs_to_the_tree(tmp_path: Path) -> None:
    package = """
[[package]]
name = "local"
version = "1"
groups = ["default"]
path = "./local.whl"
files = [{file = "local.whl"}]
"""
    assert "./local.whl" in read(tmp_path, "pdm.lock", PDM + package).folders


@pytest.mark.parametrize(
    ("name", "text", "package"),
    [
        ("poetry.lock", POETRY.replace("click-8.5.1-py3-none-any.whl", "click-8.5.1.tar.gz"), "click"),
        ("uv.lock", uv_lock('{ name = "one" }').replace('wheels = [{ hash = "sha256:bb" }]', SDIST), "two"),
        ("pylock.toml", f'{PYLOCK}version = "1"\n{SDIST}', "one"),
    ],
)
def test_a_package_without_a_wheel_is_marked_as_source_only(tmp_path: Path, name: str, text: str, package: str) -> None:
    """It is built on the machine where the others are installed."""
    assert [pin.name for pin in read(tmp_path, name, text).pins if pin.source_only] == [package]


def test_a_file_without_a_hash_is_refused_by_the_name_of_its_distribution(tmp_path: Path) -> None:
    """Some package indexes provide no hashes."""
    text = uv_lock('{ name = "two", version = "2" }')
    with pytest.raises(GateError, match="two==2"):
        read(tmp_path, "uv.lock", text.replace('hash = "sha256:bb"', 'url = "https://x.invalid/two.whl"'))


def test_a_vcs_dependency_of_another_group_is_ignored(tmp_path: Path) -> None:
    assert read(tmp_path, "pylock.toml", PYLOCK_VCS + "marker = \"'dev' in dependency_groups\"").pins == ()


@pytest.mark.parametrize(
    ("directory", "folders"),
    [
        ('path = "./"', ()),
        ('path = "./lib/"', ("lib",)),
        ('path = "lib"}\nmarker = "\'dev\' in dependency_groups"#', ()),
    ],
)
def test_the_project_itself_and_folders_of_other_groups_in_a_pylock_are_ignored(
    tmp_path: Path, directory: str, folders: tuple[str, ...]
) -> None:
    assert read(tmp_path, "pylock.toml", f"{PYLOCK}directory = {{ {directory} }}").folders == folders


@pytest.mark.parametrize(
    ("files", "named", "taken"),
    [
        (("requirements.lock", "pylock.toml", "uv.lock", "poetry.lock", "pdm.lock"), "", "requirements.lock"),
        (("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock"), "", "pylock.toml"),
        (("uv.lock", "poetry.lock", "pdm.lock"), "", "uv.lock"),
        (("poetry.lock", "pdm.lock", "requirements.txt"), "", "poetry.lock"),
        (("pdm.lock", "requirements.txt"), "", "pdm.lock"),
        (("pylock.service.toml", "requirements.txt"), "", "pylock.service.toml"),
        (("requirements.txt",), "", "requirements.txt"),
        (("uv.lock", "poetry.lock", "pdm.lock"), "pdm.lock", "pdm.lock"),
    ],
)
def test_the_named_lock_is_used_or_else_the_first_of_several(
    tmp_path: Path, files: tuple[str, ...], named: str, taken: str
) -> None:
    for name in files:
        text = PINNED if name.startswith("requirements") else (SAMPLES / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text)
    assert read_project_lock(tmp_path, named).name == taken


def test_the_kind_of_a_lock_in_another_folder_is_recognised(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES, tmp_path / "locks")
    assert read_project_lock(tmp_path, "locks/uv.lock").pins == read_project_lock(SAMPLES, "uv.lock").pins


def test_a_missing_lock_is_refused_with_the_known_names_and_several_with_theirs(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(UNPINNED)
    with pytest.raises(SourceError, match=r"no lock: .*uv\.lock.*; its requirements\.txt does not pin everything"):
        read_project_lock(tmp_path)
    with pytest.raises(SourceError, match=r"no uv\.lock, which `lock`"):
        read_project_lock(tmp_path, "uv.lock")
    for name in ("pylock.a.toml", "pylock.b.toml"):
        (tmp_path / name).write_text(PYLOCK)
    with pytest.raises(SourceError, match=r"several locks: pylock\.a\.toml, pylock\.b\.toml"):
        read_project_lock(tmp_path)


def test_links_that_cannot_be_followed_are_not_copied(tmp_path: Path) -> None:
    """Work trees may have links to another machine's files, to themselves and to a parent folder."""
    project = copy_sample("freeze-service", tmp_path)
    (project / "linked.py").symlink_to("main.py")
    for name, target in (("gone", "/no/such/file"), ("loop", "loop"), ("above", "..")):
        (project / name).symlink_to(target)
    copy, *_ = read_service_source(project).copy_to(tmp_path / "copy")
    assert (copy / "linked.py").read_bytes() == (project / "main.py").read_bytes()
    assert not {"gone", "loop", "above"} & {path.name for path in copy.iterdir()}


def test_a_lock_beside_the_project_is_part_of_the_digest(tmp_path: Path) -> None:
    """Several services of a tree may share one lock."""
    project, lock = tmp_path / "project", tmp_path / "requirements.lock"
    project.mkdir()
    (project / "main.py").touch()
    digests = set()
    for version in ("1.0", "1.1"):
        lock.write_text(f"one=={version} --hash=sha256:0\n", encoding="ascii")
        digests.add(read_service_source(project, {"lock": "../requirements.lock"}).sha256)
    assert len(digests) == 2


@pytest.mark.parametrize("linked", ["shared", "shared/rules.py"])
def test_the_target_of_a_link_is_part_of_the_digest(linked: str, tmp_path: Path) -> None:
    """It is copied and frozen; a service that linked to another's code was once not rebuilt when that changed."""
    project, rules = tmp_path / "project", tmp_path / "shared" / "rules.py"
    for folder in (project, rules.parent):
        folder.mkdir()
    rules.write_text("ONE = 1\n", encoding="ascii")
    (project / "main.py").touch()
    (project / "requirements.lock").write_text("one==1.0 --hash=sha256:0\n", encoding="ascii")
    (project / "link.py").symlink_to(tmp_path / linked)
    source = read_service_source(project)
    before = source.sha256
    rules.write_text("ONE = 2\n", encoding="ascii")
    assert source.sha256 != before
    after = source.sha256
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "main.pyc").touch()
    assert source.sha256 == after


def test_a_folder_that_the_lock_names_is_searched_for_modules_and_is_part_of_the_digest(tmp_path: Path) -> None:
    """The product's stubs are such a folder; if it has a `src`, the modules are in there."""
    project = copy_sample("freeze-service", tmp_path)
    (project / "requirements.lock").unlink()
    shutil.copy(SAMPLES / "uv.lock", project)
    with pytest.raises(SourceError, match="folders that do not exist"):
        read_service_source(project)
    (project / "lib" / "src").mkdir(parents=True)
    before = read_service_source(project).sha256
    (project / "lib" / "src" / "stubs.py").write_text("")
    source = read_service_source(project)
    assert source.sha256 != before
    search = source.copy_to(tmp_path / "copy")
    assert [path.relative_to(tmp_path / "copy").as_posix() for path in search] == ["0", "1", "1/src"]
    assert (search[2] / "stubs.py").is_file()


def test_a_folder_beside_the_project_is_part_of_the_digest(tmp_path: Path) -> None:
    """The members of a workspace depend on each other this way."""
    project, stubs = tmp_path / "project", tmp_path / "stubs"
    for folder in (project, stubs):
        folder.mkdir()
    (project / "main.py").touch()
    lock = uv_lock('{ name = "one" }').replace('{ registry = "r" }', '{ directory = "../stubs" }', 1)
    (project / "uv.lock").write_text(lock, encoding="utf-8")
    before = read_service_source(project).sha256
    (stubs / "stubs.py").touch()
    assert read_service_source(project).sha256 != before
