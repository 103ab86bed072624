"""The payload of the single file: a tree as zstd frames, their index, and a trailer.

packaging/program/payload.go defines the format, and reads it.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import zstandard

from stigmer_packaging.records.model import FileRecord

MAGIC = b"stigmer-program1"
FORMAT = 1
LEVEL = 9
"""The compression level of zstd: 12 takes three times as long, for 1 % (packaging/SIZE.md)."""

CHUNK = 8 << 20
"""The most bytes of a file in one frame: all processors share the unpacking even of the largest file."""

_BATCH = 8
"""The number of chunks in memory."""


def write_payload(description: Mapping[str, object], sources: Mapping[FileRecord, Path], payload: IO[bytes]) -> None:
    """Write the payload of these files, each read from its source. Equal files give equal bytes with the same libzstd.

    `description` contains the other fields of the index, as packaging/program/payload.go names them.
    """
    packed: dict[str, list[dict[str, Any]]] = {file.path: [] for file in sources}
    chunks = chain.from_iterable(_chunks(file.path, source) for file, source in sources.items())
    offset = 0
    with ThreadPoolExecutor() as pool:
        while batch := tuple(islice(chunks, _BATCH)):
            for path, size, sha256, frame in pool.map(_pack, batch):
                packed[path].append({"offset": offset, "packed": len(frame), "size": size, "sha256": sha256})
                payload.write(frame)
                offset += len(frame)
    entries = [
        {"path": file.path, "size": file.size, "mode": file.mode, "chunks": packed[file.path]} for file in sources
    ]
    fields = {"format": FORMAT, **description, "files": entries}
    index = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    payload.write(index + MAGIC + struct.pack("<QQ", offset, len(index)) + hashlib.sha256(index).digest())


def _chunks(path: str, source: Path) -> Iterator[tuple[str, bytes]]:
    with source.open("rb") as stream:
        yield path, stream.read(CHUNK)
        while content := stream.read(CHUNK):
            yield path, content


def _pack(chunk: tuple[str, bytes]) -> tuple[str, int, str, bytes]:
    path, content = chunk
    frame = zstandard.ZstdCompressor(level=LEVEL).compress(content)
    return path, len(content), hashlib.sha256(content).hexdigest(), frame
