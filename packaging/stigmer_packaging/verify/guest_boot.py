"""What a virtual machine boots from: a distribution's own kernel, an initial root of busybox and three modules, a root.

All of it is taken from packages or made from a guest root; kept in the cache by the hash of its recipe. Sources: the
kernel's Documentation/filesystems/ramfs-rootfs-initramfs.rst (several archives in a row are one root).
"""

import lzma
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.apt import Mirror
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest_root import GuestRoot, Recipe, describe_root, unpack_debian

TEMPLATES = Path(__file__).parent / "templates"

_KERNELS = {
    ("debian", "amd64"): "linux-image-cloud-amd64",
    ("debian", "arm64"): "linux-image-cloud-arm64",
    ("ubuntu", "amd64"): "linux-image-virtual",
    ("ubuntu", "arm64"): "linux-image-virtual",
}
_MODULES = ("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_console")
_MODULES_TOO = ("virtio_blk", "squashfs", "overlay")
"""In the order in which they are loaded; what a kernel has built in is no file."""

_SQUASH = ("-comp", "zstd", "-Xcompression-level", "3", "-all-root", "-noappend", "-quiet", "-no-progress")


class Boot(NamedTuple):
    """A kernel and its initial root; `kernel` and `initramfs` are files, `version` the kernel's, `recipe` a hash."""

    kernel: Path
    initramfs: Path
    version: str
    recipe: str


def build_boot(cache: Path, mirror: Mirror, suite: str, target: Target, *, report: Callable[[str], None]) -> Boot:
    """Give kernel and initial root for a platform, of any architecture; made in about ten seconds when not in `cache`.

    MissingToolError for a distribution whose kernel package is not known.
    """
    package = _KERNELS.get((mirror.distribution, target.architecture))
    if not package:
        remedy = "run this on Debian or Ubuntu, or with --level sandbox"
        raise MissingToolError(f"no kernel is known for {target} of {mirror.distribution}", remedy)
    words = describe_root(mirror, Recipe(suite, target, (package, "busybox-static"), unpacked=True))
    init = (TEMPLATES / "init").read_text(encoding="utf-8")
    key = digest.sha256_of_value(words, init, _MODULES, _MODULES_TOO)
    place = cache / "boots" / f"{suite}-{target}-{key[:12]}"
    if not place.is_dir():
        report(f"making a kernel and its initial root of {mirror.distribution} {suite} for {target}")
    make_once(place, partial(_make_boot, words))
    version = (place / "version").read_text(encoding="utf-8")
    return Boot(place / "vmlinuz", place / "initramfs", version, digest.sha256_of_value(key, version))


def squash_root(root: GuestRoot) -> Path:
    """Give a guest root as one compressed file system in a file beside it, made in a second when it is not there."""

    def make(making: Path) -> Path:
        command.run(["mksquashfs", root.path, making / "root", *_SQUASH], seconds=300)
        return making / "root"

    return make_once(root.path.with_name(f"{root.path.name}.squashfs"), make)


def pack_initramfs(tree: Path, archive: Path) -> None:
    """Pack a folder as the kernel unpacks it, owned by root, readable for the guest's user whatever our umask is."""
    for path in (tree, *tree.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)
    names = [".", *sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*"))]
    options = ["--create", "--quiet", "--format=newc", "--owner=0:0", "--reproducible"]
    command.run(["cpio", *options, "-F", archive], cwd=tree, stdin="\n".join(names), seconds=120)


def _make_boot(words: list[str], making: Path) -> Path:
    root, made, tree = unpack_debian(words, making), making / "boot", making / "tree"
    kernel = next((root / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    for folder in (made, tree / "bin", tree / "modules"):
        folder.mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", tree / "bin/busybox")
    modules = {path.name.partition(".")[0]: path for path in (root / "usr/lib/modules" / version).rglob("*.ko*")}
    for number, name in enumerate((*_MODULES, *_MODULES_TOO)):
        if path := modules.get(name):
            (tree / "modules" / f"{number}-{name}.ko").write_bytes(_plain(path))
    shutil.copy(TEMPLATES / "init", tree / "init")
    (tree / "init").chmod(0o755)
    pack_initramfs(tree, made / "initramfs")
    shutil.copy(kernel, made / "vmlinuz")
    (made / "version").write_text(version, encoding="utf-8")
    return made


def _plain(module: Path) -> bytes:
    if module.suffix == ".zst":  # Ubuntu's
        command.run(["zstd", "--decompress", "--quiet", module])
        return module.with_suffix("").read_bytes()
    return lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
