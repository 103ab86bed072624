"""A root file system that never saw a developer: Debian's or Ubuntu's essential packages, without Python.

Made by mmdebstrap from a mirror, kept in the cache by the hash of its recipe, never changed afterwards.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.apt import Mirror
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.target import Target

USER = "tester"
UID = 1000

_DEBIAN_SUITE = "trixie"
_SETTINGS = ('--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Check-Valid-Until "false"', "--format=tar")
FOREIGN_PACKAGES = (
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "dpkg", "findutils", "grep", "gzip"),
    *("hostname", "libc-bin", "mawk", "ncurses-base", "perl-base", "sed", "tar", "util-linux"),
)
"""What of Debian's essential packages a root of a foreign architecture has."""

_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
_PASSWD = f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n"
_GROUP = f"{USER}:x:{UID}:\n"
_AWK = ("usr/bin/awk", "mawk")
"""What mawk's own script would link, where no script was run."""

_SETUID = 0o6000


class GuestRoot(NamedTuple):
    """A root at `path`; `name` says what it is (`debian trixie`), `recipe` is the hash of how it was made.

    `target` is the platform whose programs run in it, such as `linux-amd64`.
    """

    path: Path
    name: str
    recipe: str
    target: str


class Recipe(NamedTuple):
    """Which root is wanted: a release, a platform, and packages besides the essential ones.

    An `unpacked` root has these packages alone, and no script of theirs was run: it may be of any architecture.
    """

    suite: str
    target: Target
    packages: tuple[str, ...] = ()
    unpacked: bool = False


def default_suite(mirror: Mirror) -> str:
    """Give Debian's stable release, else this host's own: a C library no older than what the frozen parts were made with."""
    return _DEBIAN_SUITE if mirror.distribution == "debian" else mirror.release


def build_root(cache: Path, mirror: Mirror, recipe: Recipe, *, report: Callable[[str], None]) -> GuestRoot:
    """Give the root of a recipe, made when it is not in `cache` yet (about half a minute, 100 MB).

    Works as root, and as a user who may make namespaces. Concurrent calls make it once.
    """
    words = describe_root(mirror, recipe)
    linked = [_AWK] if recipe.unpacked else []
    key = digest.sha256_of_value(words, _HOSTS, _PASSWD, _GROUP, *linked)
    marks = [recipe.suite, *recipe.packages[:1], *([str(recipe.target)] if recipe.unpacked else [])]
    name = f"{mirror.distribution} {recipe.suite}"
    place = cache / "roots" / f"{'-'.join(marks)}-{key[:12]}"
    if not place.is_dir():
        report(f"making a root of {name} without Python")
    return GuestRoot(make_once(place, partial(_make, words)), name, key, str(recipe.target))


def describe_root(mirror: Mirror, recipe: Recipe) -> list[str]:
    """Give mmdebstrap's arguments for a recipe, but for its mode and the archive it writes: the source comes last."""
    signed = f"[signed-by={mirror.keyring}] " if mirror.keyring else ""
    source = f"deb {signed}{mirror.uri} {recipe.suite} main"
    included = [f"--include={','.join(recipe.packages)}"] if recipe.packages else []
    unpacked = ["--variant=extract", "--skip=check/qemu", f"--architectures={recipe.target.architecture}"]
    variant = unpacked if recipe.unpacked else ["--variant=essential"]
    return [*variant, *_SETTINGS, *included, recipe.suite, source]


def unpack_debian(words: list[str], making: Path) -> Path:
    """Have mmdebstrap make a root in the empty folder `making`; owned by whoever we are, without devices."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    root, archive = making / "root", making / "root.tar"
    *options, source = words
    command.run(["mmdebstrap", f"--mode={mode}", *options, archive, source], seconds=900)
    root.mkdir()
    command.run(["tar", "-xf", archive, "-C", root, "--no-same-owner", "--exclude=./dev/*"], seconds=300)
    return root


def _make(words: list[str], making: Path) -> Path:
    root = unpack_debian(words, making)
    settle_root(root)
    return root


def settle_root(root: Path) -> None:
    """Take this host's traces out of a system, name the guest's user, and leave nothing setuid in the cache.

    The user can read what is written, whatever our umask is.
    """
    for name in ("resolv.conf", "hostname"):
        (root / "etc" / name).unlink(missing_ok=True)
    (root / "etc/hosts").write_text(_HOSTS, encoding="utf-8")
    link, program = _AWK
    if not (root / link).is_symlink() and (root / link).with_name(program).exists():
        (root / link).symlink_to(program)
    for name, line in (("passwd", _PASSWD), ("group", _GROUP)):
        place, master = root / "etc" / name, root / "usr/share/base-passwd" / f"{name}.master"
        known = place if place.is_file() else master
        place.write_text(known.read_text(encoding="utf-8") + line, encoding="utf-8")
    for name in ("hosts", "passwd", "group"):
        (root / "etc" / name).chmod(0o644)
    root.chmod(0o755)
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if not path.is_symlink() and path.stat().st_mode & _SETUID:
                path.chmod(path.stat().st_mode & 0o777)
