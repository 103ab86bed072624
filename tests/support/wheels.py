"""Small wheels, an environment in which pip finds only these, and installed distributions."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stigmer_packaging.manifest.model import WheelPin

TAGS = {
    "linux-amd64": "manylinux2014_x86_64",
    "linux-arm64": "manylinux_2_17_aarch64",
    "darwin-arm64": "macosx_11_0_arm64",
    "darwin-amd64": "macosx_10_9_x86_64",
}
NONE: Mapping[str, str] = MappingProxyType({})


def make_wheel(folder: Path, target: str, members: Mapping[str, bytes], *, version: str = "1.0") -> Path:
    """Write a wheel of the distribution `tool` for a target, with executable members."""
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
    targets = {tag: target for target, tag in TAGS.items()}
    found = {targets[path.stem.rsplit("-", 1)[1]]: hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}
    return WheelPin("tool", "1.0", found)


def pip_offline(folder: Path, search: str) -> dict[str, str]:
    """Return an environment in which pip finds the wheels in `folder` and uses no index."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PATH": search,
        "HOME": str(folder),
        "PIP_CONFIG_FILE": "/dev/null",
    }


def install(
    site: Path, name: str, *, metadata: str = "", described: Mapping[str, str] = NONE, modules: Mapping[str, str] = NONE
) -> None:
    """Install version 1.0 of a distribution into a site-packages directory, with a complete RECORD.

    `described` are files beside its METADATA, `modules` files below the directory, as text by path.
    """
    folder = f"{name}-1.0.dist-info"
    dist_info = {"METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}\n", **described}
    files = {**{f"{folder}/{path}": text for path, text in dist_info.items()}, **modules}
    rows = [f"{folder}/RECORD,,\n"]
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, encoding="utf-8")
        checksum = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={checksum},{len(text)}\n")
    (site / folder / "RECORD").write_text("".join(rows), encoding="utf-8")
