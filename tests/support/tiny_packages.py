"""Small archives and Debian packages, made for a test, and a directory to serve files from."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Entry = tuple[tarfile.TarInfo, bytes]
Entries = Iterable[Entry]


def file_entry(name: str, content: bytes = b"", mode: int = 0o644) -> Entry:
    """Return a file of a package, owned by another user."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uid, info.gid, info.uname = len(content), mode, 4711, 4711, "stranger"
    return info, content


def link_entry(name: str, points_at: str, *, hard: bool = False) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = (tarfile.LNKTYPE if hard else tarfile.SYMTYPE), points_at, 0o755
    return info, b""


def device_entry(name: str, kind: bytes = tarfile.CHRTYPE) -> Entry:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info, b""


def tar_of(entries: Entries, *, compression: str = "xz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]  # the mode is a text
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def deb_of(entries: Entries) -> bytes:
    """Return a Debian package of these entries, with names as dpkg writes them."""
    top = tarfile.TarInfo("./")
    top.type, top.mode = tarfile.DIRTYPE, 0o755
    named = [(top, b""), *entries]
    for info, _ in named[1:]:
        info.name = f"./{info.name}"
    members = (("debian-binary", b"2.0\n"), ("control.tar.xz", tar_of([])), ("data.tar.xz", tar_of(named)))
    return b"!<arch>\n" + b"".join(_ar_member(name, content) for name, content in members)


def _ar_member(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode("ascii")
    return header + content + b"\n" * (len(content) % 2)


def place_files(folder: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write an archive's files below `folder`; return their sha256 by path."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
