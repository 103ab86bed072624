"""The runtime libraries of GCC, libgcc_s and libstdc++, which wheels for Linux count on and no Python brings.

They are Debian's, pinned, of a release that is old enough for every system we promise to run on; so old that mirrors
will drop it: DEBIAN_FALLBACK names the place of files that they no longer have.
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
    """Unpacked packages below `root`, with their versions by name; nothing for a platform that needs none."""

    root: Path
    versions: dict[str, str]

    @property
    def libraries(self) -> tuple[Path, ...]:
        """The folders that hold libraries."""
        return tuple(path for pattern in _FOLDERS for path in sorted(self.root.glob(pattern)) if path.is_dir())


def read_packages(recipes: Path, target: Target) -> tuple[Package, ...]:
    """Give the pinned packages for a target from the lock beside the recipe of the Python."""
    packages = parse_lock((recipes / LOCK).read_text(encoding="utf-8"))
    return tuple(package for package in packages if str(target) in package.targets)


def provide_runtime(packages: tuple[Package, ...], folder: Path, archives: Callable[[], Archives]) -> Runtime:
    """Give the libraries, downloaded and unpacked below `folder` if they are not there."""

    def make(making: Path) -> Path:
        made = making / "made"
        made.mkdir()
        for package in packages:
            file = folder / "downloads" / PurePosixPath(package.path).name
            unpack_package(download(archives(), package.path, package.sha256, file), made)
        return made

    key = digest.sha256_of_value([package.sha256 for package in packages])[:20]
    names = (PurePosixPath(package.path).name.split("_") for package in packages)
    return Runtime(
        make_once(folder / f"gcc-runtime-{key}", make, checked=True), {name: version for name, version, _ in names}
    )
