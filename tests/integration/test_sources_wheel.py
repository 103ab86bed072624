"""Executables from wheels: for any target on any host, exactly the pinned bytes or an error."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import DownloadError, SourceError
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest.model import WheelPin, WheelSource
from stigmer_packaging.sources.wheel import FromWheel, extract_all
from support.wheels import TAGS, make_wheel, pin_of, pip_offline

SCRIPT = "tool-1.0.data/scripts/tool"


def source(pin: WheelPin, index: Path, target: str = "linux-amd64", member: str = "scripts/tool") -> FromWheel:
    env = pip_offline(index, os.environ["PATH"])
    return FromWheel(WheelSource(pin, member), parse_target(target), index.parent / "cache", env, lambda _: None)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for target in TAGS:
        make_wheel(folder, target, {SCRIPT: target.encode(), "tool/data.bin": b"data"})
    return folder


@pytest.mark.parametrize("target", TAGS)
def test_every_target_gets_its_own_executable_on_any_host(index: Path, tmp_path: Path, target: str) -> None:
    source(pin_of(*index.glob("*.whl")), index, target).fetch(tmp_path / "tool")
    assert (tmp_path / "tool").read_bytes() == target.encode()
    assert (tmp_path / "tool").stat().st_mode & 0o777 == 0o755


def test_a_wheel_is_fetched_once_and_again_when_it_is_damaged_in_the_cache(index: Path, tmp_path: Path) -> None:
    fetched = source(pin_of(*index.glob("*.whl")), index)
    fetched.fetch(tmp_path / "tool")
    (kept,) = (tmp_path / "cache" / "wheels").glob("*.whl")
    kept.write_bytes(b"damaged")
    fetched.fetch(tmp_path / "again")
    for path in index.glob("*.whl"):
        path.unlink()
    fetched.fetch(tmp_path / "from-cache")
    assert [(tmp_path / name).read_bytes() for name in ("again", "from-cache")] == [b"linux-amd64"] * 2


@pytest.mark.parametrize("version", ["1.0", "2.0"], ids=["another hash", "not there"])
def test_a_wheel_that_is_unavailable_as_pinned_is_refused(index: Path, tmp_path: Path, version: str) -> None:
    pin = WheelPin("tool", version, {"linux-amd64": "0" * 64})
    with pytest.raises(DownloadError, match=rf"tool {version} for linux-amd64 could not be downloaded"):
        source(pin, index).fetch(tmp_path / "tool")
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_a_missing_member_is_an_error_that_lists_the_existing_ones(index: Path, tmp_path: Path) -> None:
    pin = pin_of(*index.glob("*.whl"))
    source(pin, index, member="tool/data.bin").fetch(tmp_path / "tool")
    assert (tmp_path / "tool").read_bytes() == b"data"
    with pytest.raises(SourceError, match=r"no member scripts/other; it contains .*scripts/tool"):
        source(pin, index, member="scripts/other").fetch(tmp_path / "tool")


def test_facts_are_of_this_target_alone(index: Path) -> None:
    pin = pin_of(*index.glob("*.whl"))
    assert len({str(source(pin, index, target).facts()) for target in TAGS}) == len(TAGS)


def test_only_what_is_executable_in_a_wheel_is_executable_when_it_is_unpacked(tmp_path: Path) -> None:
    modes = {"bin/tool": 0o755, "data/table": 0o644, "data/private": 0o600}
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name, mode in modes.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, name)
    extract_all(tmp_path / "x.whl", tmp_path / "x")
    found = {name: (tmp_path / "x" / name).stat().st_mode & 0o7777 for name in modes}
    assert found == {"bin/tool": 0o755, "data/table": 0o644, "data/private": 0o644}
