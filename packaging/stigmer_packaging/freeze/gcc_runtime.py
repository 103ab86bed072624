"""GCC's runtime libraries, libgcc_s and libstdc++, which wheels for Linux require and Python does not include.

They are pinned packages of a Debian release that is old enough for every supported system. Mirrors will drop so old a
release: DEBIAN_FALLBACK contains the URLs of files that they no longer have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.debian import Archives, Package, download, parse_lock, unpack_package
from stigmer_packaging.lib.target import Target

LOCK = "gcc-runtime.lock"
_FOLDERS = ("lib/*", "usr/lib/*")


@dataclass(frozen=True)
class Runtime:
    """Packages unpacked below `root`, and their versions by name; both empty for a platform that needs none."""

    root: Path
    versions: dict[str, str]

    @property
    def libraries(self) -> tuple[Path, ...]:
        """The folders that contain libraries."""
        return tuple(path for pattern in _FOLDERS for path in sorted(self.root.glob(pattern)) if path.is_dir())


def read_packages(recipes: Path, target: Target) -> tuple[Package, ...]:
    """Return the pinned packages for a target, from the lock beside the recipe of the Python."""
    packages = parse_lock((recipes / LOCK).read_text(encoding="utf-8"))
    return tuple(package for package in packages if str(target) in package.targets)


def provide_runtime(packages: tuple[Package, ...], folder: Path, archives: Callable[[], Archives]) -> Runtime:
    """Return the libraries; download the packages and unpack them below `folder` if they are not there yet."""

    def unpack(staging: Path) -> Path:
        root = staging / "root"
        root.mkdir()
        for package in packages:
            file = folder / "downloads" / PurePosixPath(package.path).name
            unpack_package(download(archives(), package.path, package.sha256, file), root)
        return root

    key = digest.sha256_of_value([package.sha256 for package in packages])[:20]
    names = (PurePosixPath(package.path).name.split("_") for package in packages)
    return Runtime(
        make_once(folder / f"gcc-runtime-{key}", unpack, checked=True), {name: version for name, version, _ in names}
    )
