"""What a bottle says of itself: its version, by its program where it can run or by its index, its files and their checksums."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.binaries.bottle_file import read_members
from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.bottle.keg_tree import CHECKSUMS, INDEX
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import PublicationError


def ask_version(bottle: Path, name: str, version: str, *, scratch: Path, env: Mapping[str, str]) -> str:
    """Unpack a bottle of this platform into `scratch` and give the version its program says.

    PublicationError when it is no keg of `name` and `version`, or its program does not run.
    """
    unpack_archive(bottle, scratch)
    program = scratch / name / version / "bin" / name
    if not program.is_file():
        raise PublicationError(f"{bottle.name} holds no {name}/{version}/bin/{name}")
    with command.failing_as(PublicationError, f"the program in {bottle.name} does not say its version"):
        said = command.run([program, "--version"], env=env, cwd=scratch, seconds=60).stdout.strip()
    return said.removeprefix(f"{name} ")


def read_version(bottle: Path, name: str, version: str) -> str:
    """Give the version that a bottle's payload index records; PublicationError when there is none."""
    index = f"{name}/{version}/{INDEX}"
    for member, content in read_members(bottle):
        if member.name == index:
            return str(json.loads(content)["version"])
    raise PublicationError(f"{bottle.name} holds no {index}")


def read_sizes(bottle: Path) -> tuple[tuple[str, int], ...]:
    """List the files of a bottle with their sizes in bytes, in its order, by their paths below NAME/VERSION."""
    return tuple((member.name.split("/", 2)[-1], member.size) for member, _ in read_members(bottle) if member.isreg())


def read_checksums(bottle: Path, name: str, version: str) -> tuple[str, dict[str, str]]:
    """Give the checksums that a bottle holds, and the sha256 of each of its files by its path in the keg.

    PublicationError when it holds none.
    """
    root, text, files = f"{name}/{version}/", "", {}
    for member, content in read_members(bottle):
        path = member.name.removeprefix(root)
        if path == CHECKSUMS:
            text = content.decode()
        elif member.isreg():
            files[path] = hashlib.sha256(content).hexdigest()
    if not text:
        raise PublicationError(f"{bottle.name} holds no {root}{CHECKSUMS}")
    return text, files
