"""Makes the files of a release: a bottle for each keg, and the source archive that the formula names.

Source of the bottle's layout: Homebrew's pour. The first member is `NAME/VERSION/`; a local install reads both from it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from stigmer_packaging.bottle.archive import Member, keg_members, write_archive
from stigmer_packaging.lib.errors import ArchiveError
from stigmer_packaging.manifest import naming
from stigmer_packaging.records.model import Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace


def make_bottle(keg: Keg, tag: str, *, rebuild: int, source_date_epoch: int, workspace: Workspace) -> ReleaseFile:
    """Pack a keg for `tag`.

    Equal kegs and times give equal bytes with the same libdeflate (see bottle.archive). Raise RecordError if the keg on
    disk differs from its record.
    """
    members = keg_members(workspace.verified_path(keg), keg.files, keg.links)
    relative = f"dist/{naming.bottle_name(keg.name, keg.version, tag, rebuild)}"
    with workspace.staging() as staging:
        write_archive(staging / "archive", f"{keg.name}/{keg.version}", members, mtime=source_date_epoch)
        facts = {"name": keg.name, "version": keg.version, "target": keg.target, "tag": tag, "rebuild": rebuild}
        return workspace.add_file(staging / "archive", f"bottle/{keg.target}", kind="bottle", path=relative, **facts)


def make_source_archive(
    product: tuple[str, str], checkout: Path, paths: Sequence[str], *, source_date_epoch: int, workspace: Workspace
) -> ReleaseFile:
    """Pack the given files of a checkout (relative POSIX paths) below `NAME-VERSION/`; `product` is the pair of both.

    The bytes are as reproducible as a bottle's. Raise ArchiveError if a path does not exist.
    """
    name, version = product
    facts = {"name": name, "version": version, "path": f"dist/{naming.source_archive_name(name, version)}"}
    with workspace.staging() as staging:
        members = _source_members(checkout, paths)
        write_archive(staging / "archive", f"{name}-{version}", members, mtime=source_date_epoch)
        return workspace.add_file(staging / "archive", "source", kind="source", **facts)


def _source_members(checkout: Path, paths: Sequence[str]) -> Iterator[Member]:
    for path in paths:
        source = checkout / path
        if source.is_symlink():
            yield Member(path, link=str(source.readlink()))
        elif source.is_file():
            yield Member(path, source, executable=bool(source.stat().st_mode & 0o100))
        else:
            raise ArchiveError(f"{path} belongs in the source archive but is not in the checkout")
