"""The home holds the keg's components whole, whatever was there before, and only what changed is made again."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_launcher import clone, inventory, locks, verify, versions
from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.materialise import LOCK, Installed, materialise
from stigmer_launcher.places import Places, find_places
from support.launcher_payloads import Part, build_libexec, part, stigmer_parts

LINK = clone.starting_with("link")
COPY = clone.starting_with("copy")


@pytest.fixture(name="places")
def _places(tmp_path: Path) -> Places:
    return find_places({"STIGMER_HOME": str(tmp_path / "home")})


@pytest.fixture(name="keg")
def _keg(tmp_path: Path) -> Path:
    return build_libexec(tmp_path / "keg")


def put(keg: Path, places: Places, **options: object) -> Installed:
    """Materialise without a word."""
    return materialise(inventory.read_keg(str(keg)), places, lambda _: None, **options)  # type: ignore[arg-type]


def steps_of(keg: Path, places: Places, **options: object) -> list[str]:
    """Materialise and tell the steps."""
    steps: list[str] = []
    put(keg, places, step=steps.append, **options)
    return steps


def names_in(directory: str) -> list[str]:
    """Name what is in a directory, sorted."""
    return sorted(path.name for path in Path(directory).iterdir())


def assert_whole(keg: Path, places: Places) -> None:
    """Check everything a user may rely on, by content."""
    known = inventory.read_keg(str(keg))
    assert str(Path(places.bin).readlink()) == f"versions/{known.id}"
    for entry in inventory.files_of(known.payload):
        assert verify.flaw(f"{places.bin}/{entry.path}", entry) == ""
    assert Path(places.bin, ".version").read_text() == f"{known.payload.version}\n"
    assert [name for name in names_in(places.versions) if name.startswith(".")] == []
    assert not os.path.lexists(f"{places.bin}.new")


def snapshot(root: str) -> dict[str, tuple[int, int, int]]:
    """Identify every file below a directory: inode, change of content and of status."""
    found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    seen = {str(path): path.lstat() for path in found}
    return {path: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns) for path, status in seen.items()}


@pytest.mark.parametrize("methods", [clone.METHODS, LINK, COPY], ids=["best", "link", "copy"])
def test_a_first_start_makes_everything(keg: Path, places: Places, methods: clone.Methods) -> None:
    installed = put(keg, places, methods=methods)
    assert installed.made
    assert installed.directory == f"{places.versions}/{installed.id}"
    assert_whole(keg, places)
    server = Path(places.bin, "stigmer-server")
    assert stat.S_IMODE(server.stat().st_mode) == 0o755
    assert installed.method == methods[0][0] or methods is clone.METHODS
    assert server.samefile(keg / "components/stigmer-server") == (installed.method == "link")


def test_a_second_start_touches_nothing(keg: Path, places: Places) -> None:
    put(keg, places)
    before = snapshot(places.home)
    steps: list[str] = []
    assert not put(keg, places, step=steps.append).made
    assert steps == []
    assert snapshot(places.home) == before


def test_a_second_start_reads_no_component(keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cost is one look at each file, not its content."""
    put(keg, places)

    def unread(path: str) -> str:
        pytest.fail(f"{path} was read")

    monkeypatch.setattr(verify, "sha256_of", unread)
    put(keg, places)


def test_the_old_keg_is_not_needed_once_the_components_are_there(keg: Path, places: Places, tmp_path: Path) -> None:
    """`brew upgrade` deletes the keg under a running server."""
    installed = put(keg, places)
    versions.remove_tree(str(keg.parent))
    assert os.access(f"{installed.directory}/temporal", os.X_OK)
    with pytest.raises(KegError, match="cannot read") as caught:
        put(keg, places)
    assert "brew reinstall" in caught.value.remedy


def damage_by_writing(path: Path) -> None:
    """Replace a file by another of the same size."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[::-1])
    path.chmod(0o755)


def damage_by_truncating(path: Path) -> None:
    """Replace a file by its first half."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    path.chmod(0o755)


def damage_by_a_directory(path: Path) -> None:
    """Put a directory in a file's place."""
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("")


def damage_by_a_link(path: Path) -> None:
    """Put a link to something else in a file's place."""
    path.unlink()
    path.symlink_to("/bin/sh")


@pytest.mark.parametrize(
    "damage", [Path.unlink, damage_by_writing, damage_by_truncating, damage_by_a_directory, damage_by_a_link]
)
@pytest.mark.parametrize("name", ["temporal", "agent-runner.lib/a/1.so"])
@pytest.mark.parametrize("methods", [LINK, COPY], ids=["link", "copy"])
def test_a_damaged_file_is_healed_from_the_keg_and_no_other_is_touched(
    keg: Path, places: Places, damage: Callable[[Path], None], name: str, methods: clone.Methods
) -> None:
    put(keg, places, methods=methods)
    before = snapshot(places.versions)
    damage(Path(places.bin, name))
    told: list[str] = []
    assert materialise(inventory.read_keg(str(keg)), places, told.append, methods=methods).made
    assert_whole(keg, places)
    assert len(told) == 1
    assert name in told[0]
    after = snapshot(places.versions)
    changed = {Path(path).name for path in after if after[path] != before.get(path)}
    assert changed - {".stamp", ".version"} == {Path(name).name}
    assert not put(keg, places).made


def test_a_whole_directory_that_is_missing_is_healed(keg: Path, places: Places) -> None:
    put(keg, places)
    versions.remove_tree(f"{places.bin}/agent-runner.lib")
    put(keg, places)
    assert_whole(keg, places)


def test_a_file_that_may_no_longer_be_executed_is_healed(keg: Path, places: Places) -> None:
    put(keg, places, methods=COPY)
    Path(places.bin, "temporal").chmod(0o644)
    put(keg, places, methods=COPY)
    assert_whole(keg, places)


def test_a_file_that_was_only_touched_is_kept(keg: Path, places: Places) -> None:
    """Restored from a backup, times and inodes differ; what counts is the content."""
    put(keg, places, methods=COPY)
    inode = Path(places.bin, "temporal").stat().st_ino
    os.utime(Path(places.bin, "temporal"))
    assert "make temporal again" not in steps_of(keg, places)
    assert Path(places.bin, "temporal").stat().st_ino == inode
    assert steps_of(keg, places) == []


def test_damage_that_a_hard_link_shares_with_the_keg_is_told_as_the_kegs(keg: Path, places: Places) -> None:
    """Both names are one file: only Homebrew has another one."""
    put(keg, places, methods=LINK)
    with Path(places.bin, "temporal").open("r+b") as stream:
        stream.write(b"#!/bin/zz")
    with pytest.raises(KegError, match="components/temporal has another content than was released") as caught:
        put(keg, places, methods=LINK)
    assert caught.value.remedy == "run `brew reinstall stigmer`"
    damage = keg / "components/temporal"
    damage.unlink()
    build_libexec(keg.parent)
    put(keg, places, methods=LINK)
    assert_whole(keg, places)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "is missing"),
        (damage_by_truncating, r"has \d+ bytes instead of \d+"),
        (damage_by_a_directory, "is not a regular file"),
    ],
)
@pytest.mark.parametrize("methods", [LINK, COPY], ids=["link", "copy"])
def test_a_damaged_keg_is_refused_with_the_files_name_and_leaves_nothing(
    keg: Path, places: Places, damage: Callable[[Path], None], words: str, methods: clone.Methods
) -> None:
    damage(keg / "components/temporal")
    with pytest.raises(KegError, match=f"components/temporal {words}") as caught:
        put(keg, places, methods=methods)
    assert "brew reinstall" in caught.value.remedy
    assert not os.path.lexists(places.bin)
    assert names_in(places.versions) == []


def test_a_keg_that_lost_a_permission_is_refused_where_its_file_would_be_shared(keg: Path, places: Places) -> None:
    """A link has the mode of the keg's file; a copy has the one it should have."""
    (keg / "components/temporal").chmod(0o644)
    with pytest.raises(KegError, match="components/temporal has lost its permission to execute"):
        put(keg, places, methods=LINK)
    put(keg, places, methods=COPY)
    assert_whole(keg, places)


def test_a_component_for_another_machine_is_refused(tmp_path: Path, places: Places) -> None:
    foreign = part("temporal")
    content = b"\x7fELF\x02\x01\x01" + bytes(11) + (243).to_bytes(2, "little")
    entry = foreign.component.files[0]._replace(size=len(content))
    wrong = Part(foreign.component._replace(files=(entry,)), {"temporal": (content, 0o755)})
    with pytest.raises(KegError, match="components/temporal is built for another machine"):
        put(build_libexec(tmp_path / "keg", (wrong,)), places)


def test_a_keg_for_another_machine_is_refused_before_anything_is_made(tmp_path: Path, places: Places) -> None:
    with pytest.raises(KegError, match="built for linux-mips"):
        put(build_libexec(tmp_path / "keg", target="linux-mips"), places)
    assert not Path(places.home).exists()


def test_an_upgrade_switches_everything_at_once_and_removes_the_old_version(
    keg: Path, places: Places, tmp_path: Path
) -> None:
    old = put(keg, places)
    newer = build_libexec(tmp_path / "newer", stigmer_parts(temporal="exit 7"), version="1.1.0")
    new = put(newer, places)
    assert_whole(newer, places)
    assert new.id != old.id
    assert names_in(places.versions) == [new.id]


def test_a_version_that_a_running_server_uses_stays_until_it_no_longer_does(
    keg: Path, places: Places, tmp_path: Path
) -> None:
    old = put(keg, places)
    newer = build_libexec(tmp_path / "newer", version="1.1.0")
    new = put(newer, places, in_use=lambda: (old.id,))
    assert names_in(places.versions) == sorted([old.id, new.id])
    assert_whole(newer, places)
    put(newer, places, in_use=lambda: (old.id,))
    assert Path(old.directory, "temporal").exists()
    put(newer, places)
    assert names_in(places.versions) == [new.id]


def test_what_is_in_use_is_asked_while_nobody_can_begin_to_use_anything(
    keg: Path, places: Places, tmp_path: Path
) -> None:
    """Asked any earlier, a version could go that another start has just decided to run."""
    old = put(keg, places)
    holders: list[int] = []

    def in_use() -> tuple[str, ...]:
        holders.append(locks.holder(str(Path(places.run, LOCK))))
        return (old.id,) if len(holders) == 1 else ()

    newer = build_libexec(tmp_path / "newer", version="1.1.0")
    new = put(newer, places, in_use=in_use)
    assert names_in(places.versions) == sorted([old.id, new.id])
    put(newer, places, in_use=in_use)
    assert names_in(places.versions) == [new.id]
    assert holders == [os.getpid(), 0, os.getpid()], "the second is a first look: does anything have to go at all?"


def test_a_downgrade_to_a_version_that_is_still_there_only_switches(keg: Path, places: Places, tmp_path: Path) -> None:
    old = put(keg, places)
    newer = build_libexec(tmp_path / "newer", version="1.1.0")
    new = put(newer, places, in_use=lambda: (old.id,))
    assert steps_of(keg, places, in_use=lambda: (new.id,)) == ["clear", "make the link", "switch", "done"]
    assert_whole(keg, places)


def test_where_files_must_be_copied_only_those_that_changed_are(keg: Path, places: Places, tmp_path: Path) -> None:
    put(keg, places, methods=COPY)
    before = {
        name: Path(places.bin, name).stat().st_ino for name in ("temporal", "stigmer-server", "agent-runner.lib/a/1.so")
    }
    newer = build_libexec(tmp_path / "newer", stigmer_parts(temporal="exit 7"), version="1.1.0")
    put(newer, places, methods=COPY)
    after = {name: Path(places.bin, name).stat().st_ino for name in before}
    assert {name for name in before if before[name] != after[name]} == {"temporal"}
    assert_whole(newer, places)


def test_a_damaged_file_of_the_old_version_is_not_taken_over(keg: Path, places: Places, tmp_path: Path) -> None:
    put(keg, places, methods=COPY)
    damage_by_writing(Path(places.bin, "stigmer-server"))
    newer = build_libexec(tmp_path / "newer", version="1.1.0")
    put(newer, places, methods=COPY)
    assert_whole(newer, places)


def test_where_links_are_possible_an_upgrade_does_not_keep_the_old_kegs_files_on_disk(
    keg: Path, places: Places, tmp_path: Path
) -> None:
    """A link to the old file would hold its space; a link to the new keg's costs nothing."""
    put(keg, places, methods=LINK)
    newer = build_libexec(tmp_path / "newer", version="1.1.0")
    put(newer, places, methods=LINK)
    assert Path(places.bin, "temporal").samefile(newer / "components/temporal")


def test_what_an_earlier_stigmer_left_at_bin_is_moved_aside_and_kept(keg: Path, places: Places) -> None:
    Path(places.bin).mkdir(parents=True)
    Path(places.bin, "temporal").write_text("downloaded")
    installed = put(keg, places)
    assert_whole(keg, places)
    assert Path(f"{places.bin}.before-{installed.id}", "temporal").read_text() == "downloaded"


@pytest.mark.parametrize("link", ["/elsewhere", "nowhere/x"])
def test_a_link_at_bin_that_is_not_ours_is_moved_aside_and_kept(keg: Path, places: Places, link: str) -> None:
    Path(places.home).mkdir()
    Path(places.bin).symlink_to(link)
    for name in ("", "-2"):
        installed = put(keg, places)
        assert str(Path(f"{places.bin}.before-{installed.id}{name}").readlink()) == link
        assert_whole(keg, places)
        Path(places.bin).unlink()
        Path(places.bin).symlink_to(link)


def test_a_directory_in_versions_that_is_not_ours_is_left_alone(keg: Path, places: Places) -> None:
    Path(places.versions, "mine").mkdir(parents=True)
    put(keg, places)
    put(keg, places)
    assert Path(places.versions, "mine").is_dir()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 1, "id": "x", "method": "link", "files": [[1]]}', "\0" * 90]
)
def test_a_stamp_that_cannot_be_read_means_that_nothing_is_trusted(keg: Path, places: Places, content: str) -> None:
    """A power cut may leave any of these."""
    put(keg, places, methods=COPY)
    damage_by_writing(Path(places.bin, "temporal"))
    Path(places.bin, ".stamp").write_text(content)
    assert put(keg, places, methods=COPY).made
    assert_whole(keg, places)
    assert not put(keg, places, methods=COPY).made


@pytest.mark.parametrize("kept", range(8))
def test_a_stamp_cut_after_any_line_is_made_again(keg: Path, places: Places, kept: int) -> None:
    """What a power cut leaves of it must not pass for all of it."""
    put(keg, places)
    stamp = Path(places.bin, ".stamp")
    whole = stamp.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    stamp.write_text("".join(lines[: min(kept, len(lines) - 1)]), encoding="utf-8")
    Path(places.bin, "temporal").unlink()
    put(keg, places)
    assert_whole(keg, places)
    assert len(stamp.read_text(encoding="utf-8").splitlines()) == len(lines)


@pytest.mark.parametrize("name", [".version", ".stamp"])
def test_a_version_file_that_was_removed_or_changed_comes_back(keg: Path, places: Places, name: str) -> None:
    put(keg, places)
    for damage in (Path.unlink, lambda path: path.write_text("9.9.9\n")):
        damage(Path(places.bin, name))
        assert put(keg, places).made
        assert_whole(keg, places)


@pytest.mark.parametrize("home", ["with spaces and 'quotes'", "ünïcödé-日本", "x" * 200, "new\nline"])
def test_a_home_may_have_any_name(keg: Path, tmp_path: Path, home: str) -> None:
    places = find_places({"STIGMER_HOME": str(tmp_path / home)})
    put(keg, places)
    assert_whole(keg, places)


def test_a_home_may_be_a_link_and_may_be_moved(keg: Path, tmp_path: Path) -> None:
    """`bin` leads to its version by a relative way."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    put(keg, find_places({"STIGMER_HOME": str(tmp_path / "link")}))
    (tmp_path / "real").rename(tmp_path / "moved")
    moved = find_places({"STIGMER_HOME": str(tmp_path / "moved")})
    assert not put(keg, moved).made
    assert_whole(keg, moved)


def test_the_current_directory_plays_no_part(
    keg: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    put(keg, places)
    assert_whole(keg, places)


def test_components_can_be_executed_under_a_strict_umask(keg: Path, places: Places) -> None:
    before = os.umask(0o077)
    try:
        put(keg, places, methods=COPY)
    finally:
        os.umask(before)
    assert_whole(keg, places)


def test_a_disk_that_fills_up_on_the_way_leaves_nothing_and_is_told(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str, mode: int) -> None:
        if source.endswith("2.so"):
            raise OSError(errno.ENOSPC, "No space left on device", target)
        clone.copy(source, target, mode)

    with pytest.raises(HomeError, match="there is no space left in") as caught:
        put(keg, places, methods=(("copy", full),))
    assert "free some space" in caught.value.remedy
    assert names_in(places.versions) == []
    assert not os.path.lexists(places.bin)
    put(keg, places)
    assert_whole(keg, places)


def test_a_home_without_room_for_copies_is_refused_before_the_first_one(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_free(path: str) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 10, 0, 0, 10, 10, 10, 0, 255))

    copied: list[str] = []

    def copying(source: str, target: str, mode: int) -> None:
        copied.append(Path(source).name)
        clone.copy(source, target, mode)

    monkeypatch.setattr(os, "statvfs", nothing_free)
    with pytest.raises(HomeError, match="MB free, and the components need"):
        put(keg, places, methods=(("copy", copying),))
    assert copied == ["payload.json"], "the trial that showed that copies are needed"
    put(keg, places, methods=LINK)
    assert_whole(keg, places)


def test_what_is_going_on_is_reported_once(keg: Path, places: Places) -> None:
    told: list[str] = []
    materialise(inventory.read_keg(str(keg)), places, told.append)
    materialise(inventory.read_keg(str(keg)), places, told.append)
    assert told == [f"preparing stigmer 1.0.0 in {places.bin}"]


def relocated(keg: Path, name: str, prefix: str) -> None:
    """Do to a file what Homebrew before 5.1.15 does when it pours: another loader, another size."""
    (keg / "components" / name).write_bytes(b"\x7fELF" + bytes(60) + f"{prefix}/lib/ld.so\0".encode())


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="Homebrew changes ELF files on Linux alone")
def test_a_keg_that_an_old_homebrew_relocated_is_not_called_damaged(tmp_path: Path, places: Places) -> None:
    keg = build_libexec(tmp_path / "Cellar/stigmer/1.0.0")
    relocated(keg, "agent-runner.lib/a/1.so", str(tmp_path))
    put(keg, places)
    assert not put(keg, places).made
    Path(places.bin, "agent-runner.lib/a/1.so").unlink()
    assert put(keg, places).made
    relocated(keg, "agent-runner.lib/a/2.so", "/another/prefix")
    Path(places.bin, "agent-runner.lib/a/2.so").unlink()
    with pytest.raises(KegError, match=r"2\.so has"):
        put(keg, places)
