"""The digest of a folder covers everything that a build could read, and works for any folder."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.lib.digest import sha256_of_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("one", "two"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text(name, encoding="ascii")
    (root / "chosen").symlink_to("one")
    (root / "link").symlink_to("one/file")
    return root


def retarget(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "one/file").write_text("eno", encoding="ascii"),
        lambda root: (root / "one/file").chmod(0o755),
        lambda root: (root / "one/file").rename(root / "one/other"),
        lambda root: retarget(root / "link", "two/file"),
        lambda root: retarget(root / "chosen", "two"),
        lambda root: (root / "chosen").unlink(),
    ],
    ids=["content", "executable", "name", "link", "link to a folder", "link to a folder removed"],
)
def test_every_change_in_a_folder_changes_its_digest(change: Callable[[Path], object], tree: Path) -> None:
    before = sha256_of_tree(tree)
    assert sha256_of_tree(tree) == before
    change(tree)
    assert sha256_of_tree(tree) != before


def test_a_folder_may_contain_a_pipe_a_socket_and_a_name_that_is_not_utf8(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Editors and development servers leave them in source trees, and reading a pipe would block forever."""
    before = sha256_of_tree(tree)
    os.mkfifo(tree / "pipe")
    with contextlib.suppress(OSError):  # macOS does not allow such names
        Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).touch()
    monkeypatch.chdir(tree)  # the length of a socket's path is limited
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    assert sha256_of_tree(tree) != before
