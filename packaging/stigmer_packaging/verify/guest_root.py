"""The root file system of a guest: Debian's or Ubuntu's essential packages, without Python or developer tools.

mmdebstrap makes it from a mirror; it is cached by the hash of its recipe and never changed afterwards.
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
"""Those of Debian's essential packages that a root of a foreign architecture contains."""

_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
_PASSWD = f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n"
_GROUP = f"{USER}:x:{UID}:\n"
_AWK = ("usr/bin/awk", "mawk")
"""The link that mawk's maintainer script would create in a root where no script was run."""

_SETUID = 0o6000


class GuestRoot(NamedTuple):
    """A root file system at `path`; `name` describes it (`debian trixie`), `recipe` is the hash of how it was made.

    `target` is the platform whose programs run in it, such as `linux-amd64`.
    """

    path: Path
    name: str
    recipe: str
    target: str


class Recipe(NamedTuple):
    """What a root consists of: a release, a platform, and packages in addition to the essential ones.

    An `unpacked` root has only these packages, and their scripts were not run: it may be of any architecture.
    """

    suite: str
    target: Target
    packages: tuple[str, ...] = ()
    unpacked: bool = False


def default_suite(mirror: Mirror) -> str:
    """Return Debian's stable release or this host's own: its glibc must not be older than that of the frozen parts."""
    return _DEBIAN_SUITE if mirror.distribution == "debian" else mirror.release


def build_root(cache: Path, mirror: Mirror, recipe: Recipe, *, report: Callable[[str], None]) -> GuestRoot:
    """Return the root of a recipe, made in about half a minute if it is not in `cache` yet; it takes 100 MB.

    Works as root, and for users who may create namespaces. Concurrent calls make it once.
    """
    arguments = describe_root(mirror, recipe)
    linked = [_AWK] if recipe.unpacked else []
    key = digest.sha256_of_value(arguments, _HOSTS, _PASSWD, _GROUP, *linked)
    labels = [recipe.suite, *recipe.packages[:1], *([str(recipe.target)] if recipe.unpacked else [])]
    name = f"{mirror.distribution} {recipe.suite}"
    place = cache / "roots" / f"{'-'.join(labels)}-{key[:12]}"
    if not place.is_dir():
        report(f"making a root of {name} without Python")
    return GuestRoot(make_once(place, partial(_make, arguments)), name, key, str(recipe.target))


def describe_root(mirror: Mirror, recipe: Recipe) -> list[str]:
    """Return mmdebstrap's arguments for a recipe, without mode and output archive; the source is the last one."""
    signed = f"[signed-by={mirror.keyring}] " if mirror.keyring else ""
    source = f"deb {signed}{mirror.uri} {recipe.suite} main"
    included = [f"--include={','.join(recipe.packages)}"] if recipe.packages else []
    unpacked = ["--variant=extract", "--skip=check/qemu", f"--architectures={recipe.target.architecture}"]
    variant = unpacked if recipe.unpacked else ["--variant=essential"]
    return [*variant, *_SETTINGS, *included, recipe.suite, source]


def unpack_debian(arguments: list[str], staging: Path) -> Path:
    """Make a root with mmdebstrap in the empty folder `staging`, owned by the current user, without devices."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    root, archive = staging / "root", staging / "root.tar"
    *options, source = arguments
    command.run(["mmdebstrap", f"--mode={mode}", *options, archive, source], seconds=900)
    root.mkdir()
    command.run(["tar", "-xf", archive, "-C", root, "--no-same-owner", "--exclude=./dev/*"], seconds=300)
    return root


def _make(arguments: list[str], staging: Path) -> Path:
    root = unpack_debian(arguments, staging)
    prepare_root(root)
    return root


def prepare_root(root: Path) -> None:
    """Remove traces of this host from a root, add the guest's user, and clear setuid bits.

    The guest's user can read what is written here, whatever our umask is.
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
