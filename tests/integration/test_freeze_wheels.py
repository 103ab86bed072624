"""A lock's distributions for any platform: the right wheels, by hash, are unpacked; one without a wheel is an error."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest
from packaging.tags import mac_platforms

from stigmer_packaging.freeze.wheels import Platform, Site, provide_site, unpack_wheel
from stigmer_packaging.lib.distributions import read_distributions
from stigmer_packaging.lib.errors import CommandError, GateError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.sources.locks import Pin, parse_lock
from support.wheels import make_wheel, pip_offline

MAC = Platform(Target("darwin", "arm64"), "14.0", "3.13.5")
LINUX = Platform(Target("linux", "arm64"), "2.31", "3.13.5")


def pin(*wheels: Path, version: str = "1.0") -> Pin:
    hashes = tuple(f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels)
    return Pin("tool", version, None, hashes)


def provide(pins: list[Pin], platform: Platform, folder: Path) -> Site:
    env = pip_offline(folder, os.environ["PATH"])
    return provide_site(pins, platform, cache=folder / "cache", env=env, report=lambda _: None)


def test_each_platform_gets_its_own_wheel_whatever_this_machine_is(tmp_path: Path) -> None:
    targets = ("linux-arm64", "darwin-arm64", "linux-amd64", "darwin-amd64")
    wheels = [make_wheel(tmp_path, target, {"tool.py": target.encode()}) for target in targets]
    for target in targets:
        system, architecture = target.split("-")
        oldest = {"linux": "2.31", "darwin": "14.0"}[system]
        site = provide([pin(*wheels)], Platform(Target(system, architecture), oldest, "3.13.5"), tmp_path)
        assert (site.folder / "tool.py").read_text(encoding="utf-8") == target
        assert [str(each) for each in read_distributions(site.folder)] == ["tool 1.0"]


def test_a_distribution_without_a_wheel_is_refused_with_the_newest_version_that_has_one(tmp_path: Path) -> None:
    """Regression: the lock for all platforms named a version without a wheel for one of them."""
    make_wheel(tmp_path, "darwin-arm64", {"tool.py": b""}, version="1.0")
    make_wheel(tmp_path, "darwin-arm64", {"tool.py": b""}, version="1.2")
    linux = make_wheel(tmp_path, "linux-arm64", {"tool.py": b""}, version="2.0")
    with pytest.raises(GateError, match=r"tool 2\.0; the newest version that has one: 1\.2") as refused:
        provide([pin(linux, version="2.0")], MAC, tmp_path)
    assert "darwin-arm64 with macOS 14.0 and Python 3.13.5" in str(refused.value)
    assert "sys_platform == 'darwin' and platform_machine == 'arm64'" in refused.value.remedy
    assert list((tmp_path / "cache" / "sites").glob("*/*")) == []


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path, "linux-arm64", {"tool.py": b""})
    with pytest.raises(CommandError, match="DO NOT MATCH THE HASHES"):
        provide([Pin("tool", "1.0", None, (f"sha256:{'0' * 64}",))], LINUX, tmp_path)


def test_a_site_is_reused_without_pip(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "linux-arm64", {"tool.py": b""})
    known = pin(wheel)
    first = provide([known], LINUX, tmp_path)
    wheel.unlink()
    assert provide([known], LINUX, tmp_path) == first


def test_a_distribution_damaged_in_the_cache_is_unpacked_again(tmp_path: Path) -> None:
    """The cached files are frozen into bottles unchanged."""
    known = pin(make_wheel(tmp_path, "linux-arm64", {"tool.py": b"whole"}))
    (provide([known], LINUX, tmp_path).folder / "tool.py").write_bytes(b"")
    assert (provide([known], LINUX, tmp_path).folder / "tool.py").read_bytes() == b"whole"


def test_modules_beside_the_metadata_are_moved_to_the_top_but_scripts_are_not(tmp_path: Path) -> None:
    """RECORD then names the files' actual paths."""
    wheel = tmp_path / "tool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tool-1.0.data/platlib/tool/deep.py", "")
        archive.writestr("tool-1.0.data/scripts/tool", "#!python\n")
        archive.writestr("tool-1.0.dist-info/METADATA", "Name: tool\nVersion: 1.0\n")
        record = (
            "tool-1.0.data/platlib/tool/deep.py,sha256=x,0\ntool-1.0.data/scripts/tool,,\ntool-1.0.dist-info/RECORD,,\n"
        )
        archive.writestr("tool-1.0.dist-info/RECORD", record)
    unpack_wheel(wheel, tmp_path / "site")
    files = {
        path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*") if path.is_file()
    }
    assert files == {"tool/deep.py", "tool-1.0.dist-info/METADATA", "tool-1.0.dist-info/RECORD"}
    text = (tmp_path / "site/tool-1.0.dist-info/RECORD").read_text(encoding="utf-8")
    assert text == "tool/deep.py,sha256=x,0\ntool-1.0.dist-info/RECORD,,\n"


def test_a_lock_is_read_with_the_markers_of_the_platform() -> None:
    lock = parse_lock(
        "a==1 ; sys_platform == 'darwin' and platform_machine == 'arm64' --hash=sha256:0\n"
        "b==1 ; platform_system == 'Linux' and platform_machine == 'aarch64' --hash=sha256:0\n"
        "c==1 ; python_full_version < '3.13.5' --hash=sha256:0\n"
    )
    chosen = [{one.name for one in lock if one.applies(platform.markers)} for platform in (MAC, LINUX)]
    assert chosen == [{"a"}, {"b"}]


def test_wheels_may_not_require_a_newer_system_than_is_promised() -> None:
    assert LINUX.tags[0] == "manylinux_2_31_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64"} < set(LINUX.tags)
    assert MAC.tags == ("macosx_14_0_arm64",)
    assert set(MAC.tags) <= set(mac_platforms((14, 0), "arm64"))
