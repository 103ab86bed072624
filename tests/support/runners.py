"""The hosted Ubuntu 24.04 runner image, as data; its image for arm64 does not differ in any of it.

Source: the images' build scripts and software lists (actions/runner-images; the list for Ubuntu 24.04 as of February
2025). The hosts in the apt sources are replaced by names that do not exist.
"""

from pathlib import Path

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
_ETC = {
    "os-release": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\n',
    "apt/sources.list": "# see sources.list.d\n",
    "apt/sources.list.d/ubuntu.sources": _SOURCES,
    "apt/sources.list.d/microsoft-prod.list": _VENDOR,
    "apt/apt-mirrors.txt": _MIRRORS,
}
GO = "1.24"
"""The version of Go on its PATH."""

LACKS = {
    "bwrap": "bubblewrap",
    "mmdebstrap": "mmdebstrap",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-system-x86_64": "qemu-system-x86",
}
"""Programs that the image lacks, and their packages."""


def write_etc(folder: Path) -> Path:
    """Write those files of the image's /etc that packaging reads; return `folder`."""
    (folder / "apt/sources.list.d").mkdir(parents=True)
    for name, text in _ETC.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
