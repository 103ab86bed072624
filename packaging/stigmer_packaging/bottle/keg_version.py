"""Which version a bottle says it is: its program is asked where it can run, its payload's index where it cannot."""

import json
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.binaries.bottle_file import read_members
from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, PublicationError


def ask_version(bottle: Path, name: str, version: str, *, scratch: Path, env: Mapping[str, str]) -> str:
    """Unpack a bottle of this platform into `scratch` and give the version its program says.

    PublicationError when it is no keg of `name` and `version`, or its program does not run.
    """
    unpack_archive(bottle, scratch)
    program = scratch / name / version / "bin" / name
    if not program.is_file():
        raise PublicationError(f"{bottle.name} holds no {name}/{version}/bin/{name}")
    try:
        said = command.run([program, "--version"], env=env, cwd=scratch, seconds=60).stdout.strip()
    except CommandError as error:
        raise PublicationError(f"the program in {bottle.name} does not say its version:\n{error}") from error
    return said.removeprefix(f"{name} ")


def read_version(bottle: Path, name: str, version: str) -> str:
    """Give the version that a bottle's payload index records; PublicationError when there is none."""
    index = f"{name}/{version}/libexec/payload.json"
    for member, content in read_members(bottle):
        if member.name == index:
            return str(json.loads(content)["version"])
    raise PublicationError(f"{bottle.name} holds no {index}")
