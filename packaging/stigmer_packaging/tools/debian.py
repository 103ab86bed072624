"""Debian without Debian's tools: the machine's mirror, packages pinned by sha256, and what is in a package file.

Sources: sources.list(5) for both its formats, deb(5) for the package file, ar(5) for the archive it is.
"""

import io
import re
import tarfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stigmer_packaging.errors import ArchiveError, MissingToolError, RecordError

SECURITY = "pool/updates/"
DOCUMENTATION = ("usr/share/doc/", "usr/share/info/", "usr/share/lintian/", "usr/share/locale/", "usr/share/man/")
_HEADER = 60  # bytes before each member of an ar archive


@dataclass(frozen=True)
class Mirror:
    """Where Debian's archive and its security archive are: URLs without a slash at the end."""

    archive: str
    security: str

    def url(self, path: str) -> str:
        """Give the URL of a file named by its path on a mirror, such as `pool/main/b/bash/…`."""
        return f"{self.security if path.startswith(SECURITY) else self.archive}/{path}"


@dataclass(frozen=True)
class Package:
    """A package file: its path on a mirror, its sha256 in hex, and which roots it belongs to."""

    path: str
    sha256: str
    roots: tuple[str, ...]


def parse_lock(text: str) -> tuple[Package, ...]:
    """Read lines of `SHA256 PATH ROOT…`; a line that begins with # is a comment. RecordError with every other line."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    wrong = [line for line in lines if len(line) < 3 or not re.fullmatch("[0-9a-f]{64}", line[0])]
    if wrong:
        raise RecordError("the package lock has wrong lines:\n  " + "\n  ".join(" ".join(line) for line in wrong))
    return tuple(Package(path, sha256, tuple(roots)) for sha256, path, *roots in lines)


def render_lock(packages: Iterable[Package]) -> str:
    """Give the lines that `parse_lock` reads, sorted by path."""
    ordered = sorted(packages, key=lambda package: package.path)
    return "".join(f"{package.sha256} {package.path} {' '.join(package.roots)}\n" for package in ordered)


def read_mirror(apt: Path) -> Mirror:
    """Read the mirror this machine is set up with from apt's configuration folder, such as /etc/apt.

    MissingToolError when there is none of Debian's, as on another distribution.
    """
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    texts = [(file.suffix, file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    entries = [entry for suffix, text in texts for entry in parse_sources(text, deb822=suffix == ".sources")]
    found = dict(reversed([(suite.endswith("-security"), url) for url, suite in entries if _is_debian(url)]))
    if set(found) != {False, True}:
        raise MissingToolError(
            f"{apt} names no Debian archive with its security archive",
            "name a Debian mirror: a URL below which debian/ and debian-security/ are",
        )
    return Mirror(found[False], found[True])


def mirror_below(url: str) -> Mirror:
    """Give the mirror whose two archives have their usual names below `url`."""
    return Mirror(f"{url.rstrip('/')}/debian", f"{url.rstrip('/')}/debian-security")


def parse_sources(text: str, *, deb822: bool) -> list[tuple[str, str]]:
    """List URL and suite of every binary archive that a sources file names, in its order."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return list(_stanzas(lines) if deb822 else _one_liners(lines))


def _one_liners(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if match := re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line):
            yield match[1].rstrip("/"), match[2].rstrip("/")


def _stanzas(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        folded = re.sub(r"\n[ \t]+", " ", stanza)
        fields = {name.lower(): value.split() for name, _, value in (row.partition(":") for row in folded.splitlines())}
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            yield from (
                (url.rstrip("/"), suite) for url in fields.get("uris", []) for suite in fields.get("suites", [])
            )


def _is_debian(url: str) -> bool:
    return url.startswith(("http://", "https://")) and url.rsplit("/", 1)[-1] in {"debian", "debian-security"}


def unpack_package(package: Path, root: Path, *, without: Collection[str] = DOCUMENTATION) -> None:
    """Unpack a package's files below `root`, owned by whoever we are, without setuid bits and devices.

    Paths that begin with one of `without` are left out. No script of the package is run. ArchiveError for a damaged
    package, and for one that would write outside `root`.
    """
    left_out = tuple(without)

    def admit(info: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
        if info.isdev() or info.name.removeprefix("./").startswith(left_out):
            return None
        return tarfile.tar_filter(info, place).replace(uid=0, gid=0, uname="", gname="", deep=False)

    try:
        with package.open("rb") as stream:
            data = io.BytesIO(_member(stream, "data.tar"))
        with tarfile.open(fileobj=data) as tar:
            tar.extractall(root, filter=admit)  # noqa: S202 - admit refuses what leads outside
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ArchiveError(f"{package.name} cannot be unpacked: {error}") from error


def _member(stream: IO[bytes], name: str) -> bytes:
    """Read the member of an ar archive whose name begins with `name`."""
    if stream.read(8) != b"!<arch>\n":
        raise tarfile.ReadError("it is not a package file")
    while header := stream.read(_HEADER):
        size = int(header[48:58])
        if header.startswith(name.encode()):
            return stream.read(size)
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise tarfile.ReadError(f"it has no {name}")
