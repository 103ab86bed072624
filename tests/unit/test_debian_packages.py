"""Debian packages are pinned by sha256 and unpacked without dpkg, and without scripts, devices and privileges."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.lib import debian
from stigmer_packaging.lib.debian import Archives, Package
from stigmer_packaging.lib.errors import ArchiveError, RecordError
from support.tiny_packages import deb_of, device_entry, file_entry, link_entry

SHA256 = "ab" * 32


def unpacked(folder: Path, deb: bytes) -> Path:
    (folder / "some.deb").write_bytes(deb)
    root = folder / "root"
    root.mkdir()
    debian.unpack_package(folder / "some.deb", root)
    return root


def test_files_links_and_modes_of_a_package_are_unpacked(tmp_path: Path) -> None:
    entries = [
        file_entry("usr/bin/tool", b"tool", 0o755),
        link_entry("usr/bin/same", "./usr/bin/tool", hard=True),
        link_entry("lib64/ld.so", "/lib/ld.so"),
    ]
    root = unpacked(tmp_path, deb_of(entries))
    assert (root / "usr/bin/tool").read_bytes() == b"tool"
    assert (root / "usr/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (root / "usr/bin/same").samefile(root / "usr/bin/tool")
    assert (root / "lib64/ld.so").readlink() == Path("/lib/ld.so")


def test_setuid_bits_and_devices_of_a_package_are_not_unpacked(tmp_path: Path) -> None:
    root = unpacked(tmp_path, deb_of([file_entry("usr/bin/su", b"", 0o6777), device_entry("dev/mem")]))
    status = (root / "usr/bin/su").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o755, os.geteuid(), os.getegid())
    assert not (root / "dev/mem").exists()


def test_only_the_licence_is_unpacked_from_the_documentation(tmp_path: Path) -> None:
    entries = [
        file_entry("usr/share/doc/x/README"),
        file_entry("usr/share/doc/x/copyright"),
        file_entry("usr/share/x/a"),
    ]
    root = unpacked(tmp_path, deb_of(entries))
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == ["a", "copyright"]


@pytest.mark.parametrize(
    "entries",
    [
        [file_entry("../outside")],
        [link_entry("etc", "/tmp"), file_entry("etc/outside")],  # noqa: S108 - a path outside the root
    ],
)
def test_a_package_with_a_path_outside_the_root_is_refused(tmp_path: Path, entries: list[object]) -> None:
    with pytest.raises(ArchiveError, match=r"some\.deb cannot be unpacked"):
        unpacked(tmp_path, deb_of(entries))  # type: ignore[arg-type]  # entries of either kind
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "broken", [b"", b"!<arch>\n", b"no package", deb_of([file_entry("a", os.urandom(4096))])[:-600]]
)
def test_an_incomplete_package_is_refused(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpacked(tmp_path, broken)


def test_a_package_with_damaged_compressed_data_is_refused(tmp_path: Path) -> None:
    whole = deb_of([file_entry("a", os.urandom(1 << 20))])
    with pytest.raises(ArchiveError, match=r"some\.deb cannot be unpacked"):
        unpacked(tmp_path, whole[:-2500] + bytes(600) + whole[-1900:])


def test_a_lock_lists_checksum_and_targets_of_each_package() -> None:
    text = f"# a comment\n{SHA256} pool/main/a.deb linux-amd64 linux-arm64\n{SHA256} pool/main/b.deb linux-arm64\n"
    assert debian.parse_lock(text) == (
        Package("pool/main/a.deb", SHA256, ("linux-amd64", "linux-arm64")),
        Package("pool/main/b.deb", SHA256, ("linux-arm64",)),
    )


@pytest.mark.parametrize(
    "line", ["pool/main/a.deb linux-amd64", f"{SHA256} pool/main/a.deb", f"{SHA256[1:]} pool/a.deb linux-amd64"]
)
def test_a_line_of_a_lock_without_checksum_or_target_is_refused(line: str) -> None:
    with pytest.raises(RecordError, match="invalid lines"):
        debian.parse_lock(line)


def test_both_archives_are_read_from_the_apt_sources_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt/sources.list").write_text(
        "deb http://vendor.invalid/debian-like stable main\n"
        "deb http://mirror.invalid/debian/ bookworm main\n"
        "deb http://mirror.invalid/debian bookworm-updates main\n"
        "deb http://mirror.invalid/debian-security bookworm-security main\n",
        encoding="utf-8",
    )
    archives = debian.find_archives("", {}, tmp_path)
    assert archives == Archives("http://mirror.invalid/debian", "http://mirror.invalid/debian-security")
    assert archives.urls("pool/main/a.deb", SHA256) == ("http://mirror.invalid/debian/pool/main/a.deb",)
