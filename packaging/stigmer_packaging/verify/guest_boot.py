"""What a virtual machine boots from: a distribution's kernel, an initramfs of busybox and modules, and a squashed root.

All of it comes from packages or from a guest root, and is cached by the hash of its recipe. Source: the kernel's
Documentation/filesystems/ramfs-rootfs-initramfs.rst (several concatenated archives make one root).
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
"""Modules in the order in which they are loaded; modules that a kernel has built in have no file."""

_SQUASH = ("-comp", "zstd", "-Xcompression-level", "3", "-all-root", "-noappend", "-quiet", "-no-progress")


class Boot(NamedTuple):
    """The files `kernel` and `initramfs`, the kernel's `version`, and the hash of the recipe."""

    kernel: Path
    initramfs: Path
    version: str
    recipe: str


def build_boot(cache: Path, mirror: Mirror, suite: str, target: Target, *, report: Callable[[str], None]) -> Boot:
    """Return kernel and initramfs for a platform of any architecture, made in about ten seconds if not in `cache`.

    MissingToolError for a distribution without a known kernel package.
    """
    package = _KERNELS.get((mirror.distribution, target.architecture))
    if not package:
        remedy = "run this on Debian or Ubuntu, or with --level sandbox"
        raise MissingToolError(f"no kernel package is known for {target} on {mirror.distribution}", remedy)
    arguments = describe_root(mirror, Recipe(suite, target, (package, "busybox-static"), unpacked=True))
    init = (TEMPLATES / "init").read_text(encoding="utf-8")
    key = digest.sha256_of_value(arguments, init, _MODULES, _MODULES_TOO)
    place = cache / "boots" / f"{suite}-{target}-{key[:12]}"
    if not place.is_dir():
        report(f"making a kernel and initramfs from {mirror.distribution} {suite} for {target}")
    make_once(place, partial(_make_boot, arguments))
    version = (place / "version").read_text(encoding="utf-8")
    return Boot(place / "vmlinuz", place / "initramfs", version, digest.sha256_of_value(key, version))


def squash_root(root: GuestRoot) -> Path:
    """Return a guest root as a squashfs file beside it, made in a second if it does not exist."""

    def make(staging: Path) -> Path:
        command.run(["mksquashfs", root.path, staging / "root", *_SQUASH], seconds=300)
        return staging / "root"

    return make_once(root.path.with_name(f"{root.path.name}.squashfs"), make)


def pack_initramfs(tree: Path, archive: Path) -> None:
    """Pack a folder as a cpio archive, owned by root and readable for the guest's user, whatever our umask is."""
    for path in (tree, *tree.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
    names = [".", *sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*"))]
    options = ["--create", "--quiet", "--format=newc", "--owner=0:0", "--reproducible"]
    command.run(["cpio", *options, "-F", archive], cwd=tree, stdin="\n".join(names), seconds=120)


def _make_boot(arguments: list[str], staging: Path) -> Path:
    root, output, tree = unpack_debian(arguments, staging), staging / "boot", staging / "tree"
    kernel = next((root / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    for folder in (output, tree / "bin", tree / "modules"):
        folder.mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", tree / "bin/busybox")
    modules = {path.name.partition(".")[0]: path for path in (root / "usr/lib/modules" / version).rglob("*.ko*")}
    for number, name in enumerate((*_MODULES, *_MODULES_TOO)):
        if path := modules.get(name):
            (tree / "modules" / f"{number}-{name}.ko").write_bytes(_read_module(path))
    shutil.copy(TEMPLATES / "init", tree / "init")
    (tree / "init").chmod(0o755)
    pack_initramfs(tree, output / "initramfs")
    shutil.copy(kernel, output / "vmlinuz")
    (output / "version").write_text(version, encoding="utf-8")
    return output


def _read_module(module: Path) -> bytes:
    if module.suffix == ".zst":  # Ubuntu's
        command.run(["zstd", "--decompress", "--quiet", module])
        return module.with_suffix("").read_bytes()
    return lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
