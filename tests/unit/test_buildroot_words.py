"""The words that enter a freeze root: what the root holds is read-only, and folders of ours find a place anywhere."""

from pathlib import Path

import pytest

from stigmer_packaging.tools.buildroot import enter


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """Lay a small root."""
    root = tmp_path / "root"
    for name in ("etc/passwd", "usr/bin/sh", "var/lib/dpkg/status", "var/cache/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x", encoding="ascii")
    (root / "var/tmp").mkdir()
    (root / "bin").symlink_to("usr/bin")
    return root


def bound(root: Path, shared: str) -> dict[str, str]:
    """Give what is bound read-only, by its place inside."""
    words = enter(root, shared=[Path(shared)], environment={})
    return {words[index + 2]: words[index + 1] for index, word in enumerate(words) if word == "--ro-bind"}


def test_what_a_root_holds_is_bound_read_only_folder_by_folder(root: Path) -> None:
    found = bound(root, "/home/me/cache")
    assert {"/usr", "/var", "/etc/passwd"} <= set(found)
    assert "/etc" not in found, "names and certificates of the machine find a place there"
    assert "--symlink" in enter(root, shared=(), environment={})


@pytest.mark.parametrize(
    "shared", ["/var/spool/cache", "/var/lib/builder/cache", "/usr/local/cache", "/var/cache/stigmer"]
)
def test_a_folder_of_ours_has_room_inside_a_folder_that_the_root_has_too(root: Path, shared: str) -> None:
    """Once a cache below /var could not be bound: its parents were read-only."""
    found = bound(root, shared)
    assert not any(Path(place) in Path(shared).parents for place in found if place != str(root))
    for kept in ("usr/bin/sh", "var/lib/dpkg/status", "var/cache/x"):
        assert any((root / kept).is_relative_to(real) for real in found.values())
