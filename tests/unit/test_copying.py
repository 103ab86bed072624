"""Copies of source trees can be modified and removed."""

from pathlib import Path

from stigmer_packaging.lib.copying import copy_tree


def test_the_copy_of_a_read_only_tree_is_writable_and_otherwise_identical(tmp_path: Path) -> None:
    """Some build systems make their checkouts read-only."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "program").write_text("program", encoding="ascii")
    (source / "deep" / "program").chmod(0o555)
    (source / "link").symlink_to("/no/such/file")
    for folder in (source / "deep", source):
        folder.chmod(0o555)
    try:
        copied = copy_tree(source, tmp_path / "copy", symlinks=True)
    finally:
        for folder in (source, source / "deep"):
            folder.chmod(0o755)
    modes = {path.name: path.lstat().st_mode & 0o777 for path in (copied, *copied.rglob("*")) if not path.is_symlink()}
    assert modes == {"copy": 0o755, "deep": 0o755, "program": 0o755}
    assert (copied / "link").readlink() == Path("/no/such/file")
