"""Installation as tests run it, and checks of everything a user may rely on afterwards."""

import os
from pathlib import Path
from typing import NamedTuple

from stigmer_launcher.install import filecopy, manifest, payload, versions
from stigmer_launcher.install.install import install
from stigmer_launcher.system.places import Places

LINK = filecopy.METHODS[1:]
COPY = filecopy.METHODS[2:]


class Installed(NamedTuple):
    """The installed version and its directory, and whether the call had to install anything."""

    changed: bool
    id: str
    directory: str


def put(keg: Path, places: Places, **options: object) -> Installed:
    """Install, silently unless a `report` is given, and check the result."""
    defaults: dict[str, object] = {"report": lambda _: None}
    known = payload.read_keg(str(keg))
    changed = install(known, places, **defaults | options)  # type: ignore[arg-type]
    assert_intact(keg, places)
    return Installed(changed, known.id, versions.directory_of(places, known.id))


def names_in(directory: str) -> list[str]:
    return sorted(path.name for path in Path(directory).iterdir())


def assert_intact(keg: Path, places: Places) -> None:
    known = payload.read_keg(str(keg))
    assert str(Path(places.bin).readlink()) == f"versions/{known.id}"
    for entry in payload.files_of(known.payload):
        assert manifest.flaw(f"{places.bin}/{entry.path}", entry) == ""
    expected = {entry.path for entry in payload.files_of(known.payload)} | {".manifest", ".version"}
    assert {str(path.relative_to(places.bin)) for path in Path(places.bin).rglob("*") if not path.is_dir()} == expected
    assert Path(places.bin, ".version").read_text() == f"{known.payload.version}\n"
    assert [name for name in names_in(places.versions) if name.startswith(".")] == []
    assert not os.path.lexists(f"{places.bin}.new")


def snapshot(root: str) -> dict[str, tuple[int, int, int]]:
    """Return the inode, mtime and ctime in nanoseconds of every file below a directory."""
    found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    seen = {str(path): path.lstat() for path in found}
    return {path: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns) for path, status in seen.items()}
