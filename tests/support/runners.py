"""What the hosted runners have, as data: facts of the images that the workflows run on.

Source: the images' own build scripts and software lists (actions/runner-images; the software list of Ubuntu 24.04 that was read is of February 2025). The hosts in their apt sources are
replaced by names that exist nowhere.
"""

from pathlib import Path
from typing import NamedTuple


class UbuntuImage(NamedTuple):
    """A hosted Ubuntu: its label, its os-release, its files below /etc/apt, its default Go, and programs it does not list and their packages."""

    name: str
    os_release: str
    apt: dict[str, str]
    go: str
    lacks: tuple[str, ...]
    lacks_packages: tuple[str, ...]


_OS_RELEASE = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\n'
_SOURCES = """Types: deb
URIs: mirror+file:/etc/apt/apt-mirrors.txt
Suites: noble noble-updates noble-backports noble-security
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""
_MIRRORS = "http://far.invalid/ubuntu/\tpriority:2\nhttp://near.invalid/ubuntu/\tpriority:1\nhttps://last.invalid/ubuntu/\tpriority:3\n"
_VENDOR = (
    "deb [arch=amd64,arm64,armhf signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.invalid/prod noble main\n"
)
_APT = {
    "sources.list": "# see sources.list.d\n",
    "sources.list.d/ubuntu.sources": _SOURCES,
    "sources.list.d/microsoft-prod.list": _VENDOR,
    "apt-mirrors.txt": _MIRRORS,
}
_PACKAGES = ("bubblewrap", "mmdebstrap", "qemu-user-static", "qemu-system-x86")
_LACKS = ("bwrap", "mmdebstrap", "qemu-aarch64-static", "qemu-system-x86_64")

HOSTED_UBUNTU = (
    UbuntuImage("ubuntu-24.04", _OS_RELEASE, _APT, "1.24", _LACKS, _PACKAGES),
    UbuntuImage("ubuntu-24.04-arm", _OS_RELEASE, _APT, "1.24", _LACKS, _PACKAGES),
)


def write_etc(image: UbuntuImage, folder: Path) -> Path:
    """Write the /etc of an image, as far as packaging reads it."""
    (folder / "apt/sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text(image.os_release, encoding="utf-8")
    for name, text in image.apt.items():
        (folder / "apt" / name).write_text(text, encoding="utf-8")
    return folder
