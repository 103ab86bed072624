"""Reads a bottle: its version, from its program or its index, and its files with their sizes and checksums."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.binaries.bottle_file import read_members
from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.bottle.keg_tree import CHECKSUMS, INDEX
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import PublicationError


def query_version(bottle: Path, name: str, version: str, *, scratch: Path, env: Mapping[str, str]) -> str:
    """Unpack a bottle of this platform into `scratch` and return the version that its program prints.

    PublicationError if it is not a keg of `name` and `version`, or if its program does not run.
    """
    unpack_archive(bottle, scratch)
    program = scratch / name / version / "bin" / name
    if not program.is_file():
        raise PublicationError(f"{bottle.name} contains no {name}/{version}/bin/{name}")
    with command.translate_failure(PublicationError, f"the program in {bottle.name} does not print its version"):
        output = command.run([program, "--version"], env=env, cwd=scratch, seconds=60).stdout.strip()
    return output.removeprefix(f"{name} ")


def read_version(bottle: Path, name: str, version: str) -> str:
    """Return the version in a bottle's payload index; PublicationError if it has no index."""
    index = f"{name}/{version}/{INDEX}"
    for member, content in read_members(bottle):
        if member.name == index:
            return str(json.loads(content)["version"])
    raise PublicationError(f"{bottle.name} contains no {index}")


def read_sizes(bottle: Path) -> tuple[tuple[str, int], ...]:
    """Return the files of a bottle with their sizes in bytes, in its order, by their paths below NAME/VERSION."""
    return tuple((member.name.split("/", 2)[-1], member.size) for member, _ in read_members(bottle) if member.isreg())


def read_checksums(bottle: Path, name: str, version: str) -> tuple[str, dict[str, str]]:
    """Return the text of the checksums in a bottle, and the sha256 of each of its files by path in the keg.

    PublicationError if it has no checksums.
    """
    root, text, files = f"{name}/{version}/", "", {}
    for member, content in read_members(bottle):
        path = member.name.removeprefix(root)
        if path == CHECKSUMS:
            text = content.decode()
        elif member.isreg():
            files[path] = hashlib.sha256(content).hexdigest()
    if not text:
        raise PublicationError(f"{bottle.name} contains no {root}{CHECKSUMS}")
    return text, files
