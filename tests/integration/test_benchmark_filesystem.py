"""The fresh file system of the benchmarks: it holds the keg, hard links work, and nothing of it is left."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import filesystem
from support.mounts import can_mount


@pytest.mark.skipif(
    not (filesystem.FILE in filesystem.kinds() and can_mount()),
    reason="needs root, a loop device and mkfs.ext4 for a file system",
)
def test_the_keg_is_on_the_new_file_system_and_the_mount_is_gone_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "keg").mkdir()
    (tmp_path / "keg/file").write_text("{}")
    fresh = filesystem.prepare(tmp_path / "keg", tmp_path)
    script = 'ln "$0/file" "$1/linked" && stat -f -c %T "$1" && stat -c %h "$1/linked"'
    words = [*fresh.prefix, "sh", "-c", script, str(fresh.keg), str(fresh.folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("ext2/ext3\n2\n", "")
    assert list((tmp_path / "filesystem").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_without_root_only_the_kegs_own_disk_is_left_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert filesystem.kinds() == (filesystem.DISK,)
    assert "a disk in use" in filesystem.describe(filesystem.DISK)
    assert filesystem.place_of(filesystem.DISK, Path("/work")) == Path("/work")
