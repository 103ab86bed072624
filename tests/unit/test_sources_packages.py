"""A tree that lacks what the manifest builds is refused with all that is missing, and with what it has instead."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.sources.packages import check_packages
from support.manifest_texts import PATH

COMPONENTS = load_manifest(PATH).components
MAIN = "package main\n\nfunc main() {}\n"
HASHES = "lock again with hashes, such as: uv pip compile --generate-hashes pyproject.toml -o requirements.lock"
WHOLE = {
    "backend/services/stigmer-server/cmd/server/main.go": MAIN,
    "backend/services/workflow-runner/cmd/worker/main.go": f"// Package main is the worker.\n{MAIN}",
    "backend/services/agent-runner/pyproject.toml": "",
    "backend/services/agent-runner/main.py": "",
    "backend/services/agent-runner/requirements.lock": "",
}


def tree_of(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def without(*beginnings: str) -> dict[str, str]:
    return {path: text for path, text in WHOLE.items() if not path.startswith(beginnings)}


def problems_of(tree: Path) -> list[str]:
    with pytest.raises(SourceError) as caught:
        check_packages(tree, COMPONENTS, "product@main")
    assert str(caught.value).startswith("the source tree product@main does not contain what the manifest builds:\n")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_tree_that_holds_every_package_is_accepted(tmp_path: Path) -> None:
    check_packages(tree_of(tmp_path, WHOLE), COMPONENTS, "product")


def test_every_missing_package_is_named_at_once_with_its_component_and_folder(tmp_path: Path) -> None:
    found = problems_of(tree_of(tmp_path, {"cmd/product/main.go": MAIN, "docs/x": "", ".github/x": ""}))
    assert [line.split(";")[0] for line in found] == [
        "stigmer-server: there is no folder ./backend/services/stigmer-server/cmd/server",
        "workflow-runner: there is no folder ./backend/services/workflow-runner/cmd/worker",
        "agent-runner: there is no folder ./backend/services/agent-runner",
    ]
    assert all(line.endswith("; . has cmd, docs") for line in found)


@pytest.mark.parametrize("kept", [True, False])
def test_a_submodule_that_is_not_there_is_told_with_what_brings_it(
    kept: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
) -> None:
    """Git leaves its folder empty in a clone, and in the tree of a commit."""
    modules = '[submodule "workers"]\n\tpath = backend/services/workflow-runner\n\turl = ../workers\n'
    tree = tree_of(tmp_path, {**without("backend/services/workflow"), ".gitmodules": modules})
    if kept:
        (tree / "backend/services/workflow-runner").mkdir()
    (found,) = problems_of(tree)
    assert found.startswith("workflow-runner: the git submodule backend/services/workflow-runner is empty; run")
    check_packages(tree_of(tmp_path, WHOLE), COMPONENTS, "product")


def test_what_stands_where_the_path_ends_is_listed(tmp_path: Path) -> None:
    (found,) = problems_of(tree_of(tmp_path, without("backend/services/workflow")))
    assert found.endswith("; ./backend/services has agent-runner, stigmer-server")


def test_a_package_that_has_moved_is_found_elsewhere_the_most_alike_first(tmp_path: Path) -> None:
    """Later layouts of a product have its services in other folders."""
    files = {path.replace("backend/services/stigmer-", "servers/stigmer-"): text for path, text in WHOLE.items()}
    files |= {"pkg/server/x.go": "package server\n", "node_modules/stigmer-server/cmd/server/x": ""}
    (found,) = problems_of(tree_of(tmp_path, files))
    assert found.endswith("similar: ./servers/stigmer-server/cmd/server, ./pkg/server, ./servers/stigmer-server")


def test_a_folder_without_a_go_program_is_a_problem(tmp_path: Path) -> None:
    """A library that took the folder's place, and a test that is a program by itself."""
    library = {"backend/services/stigmer-server/cmd/server/main.go": "package server\n"}
    library["backend/services/stigmer-server/cmd/server/main_test.go"] = MAIN
    assert problems_of(tree_of(tmp_path, {**WHOLE, **library})) == [
        "stigmer-server: no Go file in ./backend/services/stigmer-server/cmd/server declares `package main`"
    ]


def test_a_program_that_has_moved_within_its_service_is_named(tmp_path: Path) -> None:
    """A folder keeps its name and becomes a library; its program goes to the service's own folder."""
    service = "backend/services/stigmer-server"
    files = {**WHOLE, f"{service}/cmd/server/main.go": "package server\n"}
    files |= {f"{service}/main.go": MAIN, f"{service}/cmd/tool/main.go": MAIN}
    (found,) = problems_of(tree_of(tmp_path, files))
    assert found.endswith(f"; programs nearby: ./{service}, ./{service}/cmd/tool")


def test_a_python_service_without_entry_and_lock_is_two_problems(tmp_path: Path) -> None:
    service = "backend/services/agent-runner/"
    found = problems_of(tree_of(tmp_path, without(f"{service}main.py", f"{service}requirements.lock")))
    assert len(found) == 2
    assert "main.py" in found[0]
    assert "no lock" in found[1]


def test_a_lock_without_hashes_does_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    loose = {"backend/services/agent-runner/requirements.lock": "six>=1\n"}
    found = problems_of(tree_of(tmp_path, {**without("backend/services/stigmer-server"), **loose}))
    assert found[0].startswith("stigmer-server: there is no folder")
    assert found[1:] == ["agent-runner: the lock does not pin these exactly, with a hash:", f"six>=1; {HASHES}"]


def test_a_problem_comes_with_the_line_that_solves_it(tmp_path: Path) -> None:
    service = "backend/services/agent-runner/"
    specs = {f"{service}{name}.spec": "Analysis(['main.py'])" for name in ("one", "two")}
    (found,) = problems_of(tree_of(tmp_path, {**WHOLE, **specs}))
    assert "`freeze: {spec: one.spec}`" in found
