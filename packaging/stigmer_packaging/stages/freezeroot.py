"""Make the root in which frozen Linux parts are made: once for a recipe, whole or not at all, the same on any machine."""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stigmer_packaging.errors import ForeignTargetError
from stigmer_packaging.naming import Target, is_runnable
from stigmer_packaging.tools import buildroot, digest
from stigmer_packaging.tools.buildroot import FreezeRoot
from stigmer_packaging.tools.debian import Archives
from stigmer_packaging.tools.emulation import emulate, require_emulation
from stigmer_packaging.tools.rootbuild import Making, make_root
from stigmer_packaging.tools.rootrecipe import Recipe

_SEAL = "sha256"  # beside the finished root: the digest of all its files
_OTHERWISE = (
    "the freeze root for {target} came out as {made}, and {recorded} is recorded (packaging/freeze-root): "
    "what is frozen in it has other bytes than the same release made elsewhere"
)


def prepare_freeze_root(
    recipe: Recipe,
    *,
    host: Target,
    cache: Path,
    archives: Callable[[], Archives],
    environment: Mapping[str, str],
    jobs: int,
    report: Callable[[str], None],
) -> FreezeRoot:
    """Give the root that this recipe describes, made if the cache has it not, or has it damaged.

    It appears under its recipe's digest by one rename, so a run that was killed leaves nothing that is taken for whole.
    `archives` is asked only if something is to be downloaded; downloads stay in the cache. Raise ForeignTargetError on
    another platform, MissingToolError where bubblewrap is not or may not, DownloadError when the archives give other
    bytes than those pinned.
    """
    if not is_runnable(recipe.target, host):
        raise ForeignTargetError(f"the freeze root for {recipe.target} cannot be made or used on {host}")
    emulator = emulate(recipe.target, host, environment)
    place = place_of(recipe, cache)
    kept = place.parent
    with _alone(kept / "lock"):
        require_emulation(emulator, environment)
        if not is_whole(place):
            report(f"making the freeze root for {recipe.target}: some minutes, once")
            for litter in kept.glob("*.part"):
                shutil.rmtree(litter)
            part = place.with_suffix(".part")
            part.mkdir()
            root = make_root(Making(recipe, part, kept / "downloads", archives(), environment, jobs, report, emulator))
            made = digest.sha256_of_tree(root, ignored=())
            if recipe.recorded not in ("", made):
                report(f"ATTENTION: {_OTHERWISE.format(target=recipe.target, made=made, recorded=recipe.recorded)}")
            (part / _SEAL).write_text(made, encoding="ascii")
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
        buildroot.require_entry(place / "root", environment, emulator)
    glibc = tuple(map(int, recipe.settings.glibc.split(".")))
    return FreezeRoot(place / "root", recipe.settings.python, glibc, recipe.digest, emulator)


def place_of(recipe: Recipe, cache: Path) -> Path:
    """Give the folder of a recipe's root in the cache; the root itself is the folder `root` in it."""
    return cache / "freeze-root" / recipe.name


def is_whole(place: Path) -> bool:
    """Tell whether a root is there and every byte of it is what it was when it was made."""
    seal = place / _SEAL
    return seal.is_file() and seal.read_text(encoding="ascii") == digest.sha256_of_tree(place / "root", ignored=())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel lets go of it when we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
