"""Small wheels made on the spot, and pip told to find them and nothing else."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.manifest.model import WheelPin

TAGS = {
    "linux-amd64": "manylinux2014_x86_64",
    "linux-arm64": "manylinux_2_17_aarch64",
    "darwin-arm64": "macosx_11_0_arm64",
    "darwin-amd64": "macosx_10_9_x86_64",
}


def make_wheel(folder: Path, target: str, members: Mapping[str, bytes], *, version: str = "1.0") -> Path:
    """Write the wheel `tool` for a target, its members executable, as an index would serve it."""
    path = folder / f"tool-{version}-py3-none-{TAGS[target]}.whl"
    info = f"tool-{version}.dist-info"
    described = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tool\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: py3-none-{TAGS[target]}\n".encode(),
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, **described}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name in members else 0o644) << 16
            archive.writestr(entry, content)
    return path


def pin_of(*wheels: Path) -> WheelPin:
    """Pin these wheels by what they are."""
    targets = {tag: target for target, tag in TAGS.items()}
    found = {targets[path.stem.rsplit("-", 1)[1]]: hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}
    return WheelPin("tool", "1.0", found)


def pip_offline(folder: Path, search: str) -> dict[str, str]:
    """Give an environment in which pip finds the wheels of `folder` and asks no index."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PATH": search,
        "HOME": str(folder),
        "PIP_CONFIG_FILE": "/dev/null",
    }
