"""Debian packages without Debian's tools: archives, packages pinned by sha256, and the contents of a package file.

Sources: deb(5) for package files, ar(5) for the archive format they use.
"""

import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from stigmer_packaging.lib import apt, http
from stigmer_packaging.lib.errors import ArchiveError, DownloadError, MissingToolError, RecordError, raise_if_any
from stigmer_packaging.lib.unpacking import unpack_tree

SECURITY = "pool/updates/"
MIRROR = "DEBIAN_MIRROR"
"""Environment variable: the URL that has debian/ and debian-security/ below it."""
FALLBACK = "DEBIAN_FALLBACK"
"""Environment variable: URLs of files that mirrors have removed, with placeholders {archive}, {path} and {sha256}."""
# The licence, or a symbolic link to another package's documentation folder. Source: Debian Policy 12.5.
_LICENCE = re.compile(r"usr/share/doc/[^/]+(/copyright)?")
_DOCUMENTATION = ("usr/share/doc/", "usr/share/info/", "usr/share/lintian/", "usr/share/locale/", "usr/share/man/")
_HEADER = 60  # bytes before each member of an ar archive


@dataclass(frozen=True)
class Archives:
    """The URLs of Debian's archive and its security archive, without a trailing slash.

    `fallbacks` are URLs for files that these have removed, such as a snapshot or the assets of a release; `{archive}`,
    `{path}` and `{sha256}` in them stand for the archive's name, the file's path and its hash.
    """

    main: str
    security: str
    fallbacks: tuple[str, ...] = ()

    def urls(self, path: str, sha256: str) -> tuple[str, ...]:
        """Return the URLs of a file in the order to try them; `path` is such as `pool/main/b/bash/…`."""
        name, mirror = ("debian-security", self.security) if path.startswith(SECURITY) else ("debian", self.main)
        fallbacks = (place.format(archive=name, path=path, sha256=sha256) for place in self.fallbacks)
        return (f"{mirror}/{path}", *fallbacks)


@dataclass(frozen=True)
class Package:
    """A package file: its path on a mirror, its sha256 in hex, and the targets it is for."""

    path: str
    sha256: str
    targets: tuple[str, ...]


def parse_lock(text: str) -> tuple[Package, ...]:
    """Parse lines of `SHA256 PATH TARGET…`; lines starting with # are comments. RecordError lists all invalid lines."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    invalid = (line for line in lines if len(line) < 3 or not re.fullmatch("[0-9a-f]{64}", line[0]))
    raise_if_any(RecordError, "the package lock has invalid lines", map(" ".join, invalid))
    return tuple(Package(path, sha256, tuple(targets)) for sha256, path, *targets in lines)


def _read_archives(etc: Path) -> Archives:
    found: dict[bool, str] = {}
    for entry in apt.read_entries(etc / "apt"):
        if entry.uri.rstrip("/").rsplit("/", 1)[-1] in {"debian", "debian-security"}:
            found.setdefault(any(suite.endswith("-security") for suite in entry.suites), entry.uri.rstrip("/"))
    if set(found) != {False, True}:
        raise MissingToolError(
            "this machine's apt sources do not include both Debian's archive and its security archive",
            f"name a Debian mirror with --debian URL or {MIRROR}=URL, with debian/ and debian-security/ below it",
        )
    return Archives(found[False], found[True])


def find_archives(mirror: str, env: Mapping[str, str], etc: Path = Path("/etc")) -> Archives:
    """Return the archives below `mirror`, or DEBIAN_MIRROR, or of this machine, with the fallbacks of DEBIAN_FALLBACK.

    MissingToolError if this machine has none, or for a fallback with an unknown placeholder, or with neither `{path}`
    nor `{sha256}`.
    """
    mirror = (mirror or env.get(MIRROR, "")).rstrip("/")
    fallbacks = tuple(env.get(FALLBACK, "").split())
    for url in fallbacks:
        _check_fallback(url)
    if mirror:
        return Archives(f"{mirror}/debian", f"{mirror}/debian-security", fallbacks)
    return replace(_read_archives(etc), fallbacks=fallbacks)


def _check_fallback(url: str) -> None:
    unknown = set(re.findall(r"[{}]", re.sub(r"\{(archive|path|sha256)\}", "", url)))
    if unknown or not re.search(r"\{(path|sha256)\}", url):
        raise MissingToolError(
            f"{FALLBACK} contains {url}, which does not identify a file",
            f"use URLs with {{archive}}/{{path}} or {{sha256}}, such as {FALLBACK}=https://HOST/pinned/{{sha256}}",
        )


def download(archives: Archives, path: str, sha256: str, destination: Path) -> Path:
    """Fetch a pinned file from the first URL that has it; DownloadError with the answers of all URLs."""
    answers = []
    for url in archives.urls(path, sha256):
        try:
            return http.download(url, sha256, destination)
        except DownloadError as error:
            answers.append(str(error))
    raise DownloadError(
        "\n".join(answers),
        f"the mirror may have moved on to another version: update the pin in packaging/python, or name another mirror "
        f"with {MIRROR}, or URLs of files that mirrors have removed with {FALLBACK}",
    )


def unpack_package(package: Path, root: Path) -> None:
    """Unpack the files of a package below `root`, owned by the current user, without setuid bits and devices.

    Only the licence is taken from the documentation. No maintainer scripts are run. ArchiveError for a damaged package,
    and for one that would write outside `root`.
    """
    try:
        with package.open("rb") as stream:
            data = io.BytesIO(_member(stream, "data.tar"))
        with tarfile.open(fileobj=data) as tar:
            unpack_tree(tar, root, _is_wanted)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        raise ArchiveError(f"{package.name} cannot be unpacked: {error}") from error


def _is_wanted(path: str) -> bool:
    return not path.startswith(_DOCUMENTATION) or bool(_LICENCE.fullmatch(path))


def _member(stream: IO[bytes], name: str) -> bytes:
    """Return the content of the first member of an ar archive whose name begins with `name`."""
    if stream.read(8) != b"!<arch>\n":
        raise tarfile.ReadError("not a package file")
    while header := stream.read(_HEADER):
        size = int(header[48:58])
        if header.startswith(name.encode()):
            return stream.read(size)
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise tarfile.ReadError(f"it has no {name}")
