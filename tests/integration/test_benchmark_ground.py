"""The benchmark's own file system: the keg is on it, links work on it, and nothing of it is left."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import ground
from support.mounts import can_mount


@pytest.mark.skipif(
    not (ground.is_possible() and can_mount()), reason="needs root, a loop device and mkfs.ext4 for a file system"
)
def test_the_keg_is_on_the_new_file_system_and_the_mount_is_gone_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "libexec").mkdir()
    (tmp_path / "libexec/payload.json").write_text("{}")
    made = ground.prepare(tmp_path / "libexec", tmp_path)
    script = 'mkdir "$1" && ln "$0/payload.json" "$1/linked" && stat -f -c %T "$1" && stat -c %h "$1/linked"'
    words = [*made.prefix, "sh", "-c", script, str(made.libexec), str(made.folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("ext2/ext3\n2\n", "")
    assert list((tmp_path / "ground").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_where_none_can_be_made_the_kegs_own_disk_is_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "is_possible", lambda: False)
    made = ground.prepare(tmp_path / "libexec", tmp_path)
    assert made == ground.Ground(tmp_path / "libexec", tmp_path / "laid")
    assert list(tmp_path.iterdir()) == []
    assert "on the disk of the keg" in ground.describe()
