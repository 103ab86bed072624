"""Handmade Go programs and modules, without network or builds."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

_FENCE = b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6"


def program(go: str, text: str) -> bytes:
    """Return a file with Go's build information, `text` being that on modules. Source: Go's debug/buildinfo."""
    modules = _FENCE + text.encode() + _FENCE[::-1]
    head = b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16)
    return b"\x7fELF" + bytes(1000) + head + _string(go.encode()) + _string(modules) + bytes(100)


def _string(content: bytes) -> bytes:
    length, head = len(content), b""
    while length >= 0x80:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    return head + bytes([length]) + content


def serve_module(folder: Path, path: str, version: str, files: Mapping[str, str], go: str = "") -> str:
    """Add a module to a directory laid out as a module proxy; return its checksum. Source: Go's module reference.

    `go` is the Go version that its go.mod requires.
    """
    module = f"module {path}\n" + (f"go {go}\n" if go else "")
    place = folder / path / "@v"
    place.mkdir(parents=True, exist_ok=True)
    content = {f"{path}@{version}/{name}": text for name, text in {"go.mod": module, **files}.items()}
    (place / f"{version}.mod").write_text(module, encoding="utf-8")
    (place / f"{version}.info").write_text(json.dumps({"Version": version}), encoding="utf-8")
    with zipfile.ZipFile(place / f"{version}.zip", "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    lines = [f"{hashlib.sha256(content[name].encode()).hexdigest()}  {name}\n" for name in sorted(content)]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()
