"""A root file system that never saw a developer: Debian's or Ubuntu's essential packages, without Python.

Made by mmdebstrap from this machine's own mirror, kept in the cache by the hash of its recipe, never changed afterwards.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.tools import command, digest
from stigmer_packaging.tools.apt import Mirror

USER = "tester"
UID = 1000

_DEBIAN_SUITE = "trixie"
_OPTIONS = ("--variant=essential", '--aptopt=Acquire::Languages "none"', "--format=tar")
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
_PASSWD = f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n"
_SETUID = 0o6000


class GuestRoot(NamedTuple):
    """A root at `path`; `name` says what it is (`debian trixie`), `recipe` is the hash of how it was made."""

    path: Path
    name: str
    recipe: str


def default_suite(mirror: Mirror) -> str:
    """Give Debian's stable release, else this host's own: a C library no older than what the frozen parts were made with."""
    return _DEBIAN_SUITE if mirror.distribution == "debian" else mirror.release


def build_root(cache: Path, mirror: Mirror, suite: str, *, report: Callable[[str], None]) -> GuestRoot:
    """Give the root of a suite, made when it is not in `cache` yet (about half a minute, 100 MB).

    Works as root, and as a user who may make namespaces. Concurrent calls make it once.
    """
    recipe = digest.sha256_of_value(_OPTIONS, _HOSTS, _PASSWD, mirror.uri, suite)
    roots = cache / "roots"
    roots.mkdir(parents=True, exist_ok=True)
    place = roots / f"{suite}-{recipe[:12]}"
    with _lock(roots / f"{place.name}.lock"):
        if not place.is_dir():
            report(f"making a root of {mirror.distribution} {suite} without Python")
            _make(place, mirror, suite)
    return GuestRoot(place, f"{mirror.distribution} {suite}", recipe)


def _make(place: Path, mirror: Mirror, suite: str) -> None:
    for litter in place.parent.glob(f"making-{place.name}-*"):
        shutil.rmtree(litter)
    making = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"making-{place.name}-"))
    try:
        root, archive = making / "root", making / "root.tar"
        mode = "root" if os.geteuid() == 0 else "unshare"
        signed = f"[signed-by={mirror.keyring}] " if mirror.keyring else ""
        source = f"deb {signed}{mirror.uri} {suite} main"
        command.run(["mmdebstrap", f"--mode={mode}", *_OPTIONS, suite, archive, source], seconds=900)
        root.mkdir()
        command.run(["tar", "-xf", archive, "-C", root, "--no-same-owner", "--exclude=./dev/*"], seconds=300)
        _finish(root)
        root.rename(place)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _finish(root: Path) -> None:
    """Take this host's traces out, name the guest's user, and leave nothing setuid in the cache."""
    for name in ("resolv.conf", "hostname"):
        (root / "etc" / name).unlink(missing_ok=True)
    (root / "etc/hosts").write_text(_HOSTS, encoding="utf-8")
    with (root / "etc/passwd").open("a", encoding="utf-8") as users:
        users.write(_PASSWD)
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if not path.is_symlink() and path.stat().st_mode & _SETUID:
                path.chmod(path.stat().st_mode & 0o777)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
