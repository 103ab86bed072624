"""Damaged files in the home are repaired from the keg, and a damaged keg is an error."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stigmer_launcher.errors import KegError
from stigmer_launcher.install import filecopy, versions
from stigmer_launcher.install.install import install
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.system.places import Places
from support.installing import COPY, LINK, names_in, put, snapshot
from support.launcher_payloads import Part, build_libexec, part


def damage_by_writing(path: Path, length: int | None = None) -> None:
    """Replace a file by one with other content, and with the same size unless `length` is given."""
    content = path.read_bytes()[::-1]
    path.unlink()
    path.write_bytes(content[:length])
    path.chmod(0o755)


def damage_by_truncating(path: Path) -> None:
    damage_by_writing(path, 5)


def damage_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("")


def damage_by_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/sh")


@pytest.mark.parametrize(
    "damage", [Path.unlink, damage_by_writing, damage_by_truncating, damage_by_a_directory, damage_by_a_link]
)
@pytest.mark.parametrize("name", ["temporal", "agent-runner.lib/a/1.so"])
@pytest.mark.parametrize("methods", [LINK, COPY], ids=["link", "copy"])
def test_a_damaged_file_is_repaired_from_the_keg_and_no_other_file_changes(
    keg: Path, places: Places, damage: Callable[[Path], None], name: str, methods: filecopy.Methods
) -> None:
    put(keg, places, methods=methods)
    before = snapshot(places.versions)
    damage(Path(places.bin, name))
    messages: list[str] = []
    assert put(keg, places, report=messages.append, methods=methods).changed
    assert len(messages) == 1
    assert name in messages[0]
    after = snapshot(places.versions)
    changed = {Path(path).name for path in after if after[path] != before.get(path)}
    assert changed - {".manifest", ".version"} == {Path(name).name}
    assert not put(keg, places).changed


def test_a_missing_directory_and_a_file_that_is_not_executable_are_repaired(keg: Path, places: Places) -> None:
    put(keg, places, methods=COPY)
    versions.remove_tree(f"{places.bin}/agent-runner.lib")
    Path(places.bin, "temporal").chmod(0o644)
    put(keg, places, methods=COPY)


def test_an_unmodified_file_with_another_time_is_kept(keg: Path, places: Places) -> None:
    """Files restored from a backup have other times and inodes; only their content counts."""
    put(keg, places, methods=COPY)
    inode = Path(places.bin, "temporal").stat().st_ino
    os.utime(Path(places.bin, "temporal"))
    assert put(keg, places).changed
    assert Path(places.bin, "temporal").stat().st_ino == inode
    assert not put(keg, places).changed


def test_damage_shared_with_the_keg_through_a_hard_link_is_an_error_of_the_keg(keg: Path, places: Places) -> None:
    """Both names are the same file, so only Homebrew can restore it."""
    put(keg, places, methods=LINK)
    with Path(places.bin, "temporal").open("r+b") as stream:
        stream.write(b"#!/bin/zz")
    with pytest.raises(KegError, match="components/temporal does not have the released content") as caught:
        put(keg, places, methods=LINK)
    assert caught.value.remedy == "run `brew reinstall stigmer`; without Homebrew, unpack the archive again"
    (keg / "components/temporal").unlink()
    build_libexec(keg.parent)
    put(keg, places, methods=LINK)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (Path.unlink, "is missing"),
        (damage_by_truncating, r"has \d+ bytes instead of \d+"),
        (damage_by_a_directory, "is not a regular file"),
    ],
)
@pytest.mark.parametrize("methods", [LINK, COPY], ids=["link", "copy"])
def test_a_damaged_keg_is_refused_with_the_name_of_the_file_and_leaves_no_files(
    keg: Path, places: Places, damage: Callable[[Path], None], problem: str, methods: filecopy.Methods
) -> None:
    damage(keg / "components/temporal")
    with pytest.raises(KegError, match=f"components/temporal {problem}") as caught:
        put(keg, places, methods=methods)
    assert "brew reinstall" in caught.value.remedy
    assert not os.path.lexists(places.bin)
    assert names_in(places.versions) == []


def test_a_keg_without_its_components_is_an_error(keg: Path, places: Places) -> None:
    versions.remove_tree(str(keg / "components"))
    with pytest.raises(KegError, match="components/temporal is missing"):
        put(keg, places, methods=LINK)


def test_a_keg_file_without_execute_permission_is_refused_if_it_would_be_linked(keg: Path, places: Places) -> None:
    """A hard link shares the mode of the keg's file; a copy gets the correct mode."""
    (keg / "components/temporal").chmod(0o644)
    with pytest.raises(KegError, match="components/temporal has lost its permission to execute"):
        put(keg, places, methods=LINK)
    put(keg, places, methods=COPY)


def test_a_component_for_another_machine_is_refused(tmp_path: Path, places: Places) -> None:
    foreign = part("temporal")
    content = b"\x7fELF\x02\x01\x01" + bytes(11) + (243).to_bytes(2, "little")
    entry = foreign.component.files[0]._replace(size=len(content))
    rebuilt = Part(foreign.component._replace(files=(entry,)), {"temporal": (content, 0o755)})
    with pytest.raises(KegError, match="components/temporal is built for another machine"):
        put(build_libexec(tmp_path / "keg", (rebuilt,)), places)


def test_a_keg_for_another_machine_is_refused_before_the_home_is_created(tmp_path: Path, places: Places) -> None:
    with pytest.raises(KegError, match="built for linux-mips"):
        put(build_libexec(tmp_path / "keg", target="linux-mips"), places)
    assert not Path(places.home).exists()


def test_a_damaged_file_of_the_old_version_is_not_reused(keg: Path, places: Places, tmp_path: Path) -> None:
    put(keg, places, methods=COPY)
    damage_by_writing(Path(places.bin, "stigmer-server"))
    newer = build_libexec(tmp_path / "newer", version="1.1.0")
    put(newer, places, methods=COPY)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", "1", "[" * 100_000, '{"another": {".version": 1}}', "\0" * 90),
        *(f'{{"%s": {files}}}' for files in ("[]", '[".version"]', "null", "{}")),
    ],
)
def test_without_a_readable_manifest_no_file_is_trusted(keg: Path, places: Places, content: str) -> None:
    """A power failure or a user may leave any of these contents."""
    put(keg, places, methods=COPY)
    damage_by_writing(Path(places.bin, "temporal"))
    Path(places.bin, ".manifest").write_text(content.replace("%s", Path(places.bin).resolve().name))
    assert put(keg, places, methods=COPY).changed
    assert not put(keg, places, methods=COPY).changed


@pytest.mark.parametrize("kept", range(8))
def test_a_truncated_manifest_is_rewritten(keg: Path, places: Places, kept: int) -> None:
    """After a power failure, part of a manifest must not count as a complete one."""
    put(keg, places)
    manifest = Path(places.bin, ".manifest")
    complete = manifest.read_text(encoding="utf-8")
    manifest.write_text(complete[: len(complete) * kept // 8], encoding="utf-8")
    Path(places.bin, "temporal").unlink()
    put(keg, places)
    (listed,), (expected,) = json.loads(manifest.read_text(encoding="utf-8")).values(), json.loads(complete).values()
    assert listed.keys() == expected.keys()


@pytest.mark.parametrize("name", [".version", ".manifest"])
def test_a_removed_or_changed_version_file_is_restored(keg: Path, places: Places, name: str) -> None:
    put(keg, places)
    for damage in (Path.unlink, lambda path: path.write_text("9.9.9\n")):
        damage(Path(places.bin, name))
        assert put(keg, places).changed


def relocate(keg: Path, name: str, prefix: str) -> None:
    """Change a file like Homebrew before 5.1.15 when it pours a bottle: another loader, another size."""
    (keg / "components" / name).write_bytes(b"\x7fELF" + bytes(60) + f"{prefix}/lib/ld.so\0".encode())


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="Homebrew changes ELF files only on Linux")
def test_a_keg_relocated_by_an_old_homebrew_is_not_reported_as_damaged(tmp_path: Path, places: Places) -> None:
    keg = build_libexec(tmp_path / "Cellar/stigmer/1.0.0")
    start = partial(install, read_keg(str(keg)), places, lambda _: None)
    relocate(keg, "agent-runner.lib/a/1.so", str(tmp_path))
    start()
    assert not start()
    Path(places.bin, "agent-runner.lib/a/1.so").unlink()
    assert start()
    relocate(keg, "agent-runner.lib/a/2.so", "/another/prefix")
    Path(places.bin, "agent-runner.lib/a/2.so").unlink()
    with pytest.raises(KegError, match=r"2\.so has"):
        start()


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="Homebrew changes ELF files only on Linux")
def test_a_relocated_file_with_another_time_is_relinked_without_leftovers(tmp_path: Path, places: Places) -> None:
    """Renaming one hard link of a file onto another removes neither of them."""
    keg = build_libexec(tmp_path / "Cellar/stigmer/1.0.0")
    start = partial(install, read_keg(str(keg)), places, lambda _: None, methods=LINK)
    relocate(keg, "agent-runner.lib/a/1.so", str(tmp_path))
    start()
    os.utime(Path(places.bin, "agent-runner.lib/a/1.so"))
    assert start()
    assert not start()
    assert [name for name in names_in(places.versions) if name.startswith(".")] == []
