"""The payload of the single file: a tree as zstd frames, their index, and a trailer. packaging/program reads it.

The format stands in packaging/program/payload.go; both sides are tried against each other in the tests.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import zstandard

from stigmer_packaging.records.model import FileRecord

MAGIC = b"stigmer-program1"
FORMAT = 1
LEVEL = 9
"""zstd's level: 12 takes three times as long for 1 % less (packaging/SIZE.md)."""

CHUNK = 8 << 20
"""How much of a file is one frame, in bytes: so that all processors unpack even the largest file."""


@dataclass(frozen=True)
class Tree:
    """What the single file unpacks below a directory named `id`, and starts: `entry`. `time` is that of all files.

    `answers` are command lines, each with the file that holds what is printed then: nothing is unpacked for these.
    """

    name: str
    version: str
    target: str
    id: str
    entry: str
    time: int
    files: tuple[FileRecord, ...]
    links: tuple[tuple[str, str], ...]
    answers: tuple[tuple[tuple[str, ...], str], ...] = ()


def write_payload(tree: Tree, root: Path, payload: IO[bytes]) -> None:
    """Append the payload of the tree below `root`: equal trees give equal bytes with the same libzstd."""
    chunks: dict[str, list[dict[str, Any]]] = {file.path: [] for file in tree.files}
    offset = 0
    with ThreadPoolExecutor() as pool:
        for batch in _batches(tree.files, root):
            for path, size, sha256, frame in pool.map(_pack, batch):
                chunks[path].append({"offset": offset, "packed": len(frame), "size": size, "sha256": sha256})
                payload.write(frame)
                offset += len(frame)
    index = json.dumps(_index(tree, chunks), sort_keys=True, separators=(",", ":")).encode()
    payload.write(index + MAGIC + struct.pack("<QQ", offset, len(index)) + hashlib.sha256(index).digest())


def _index(tree: Tree, chunks: Mapping[str, Sequence[object]]) -> dict[str, Any]:
    files = [
        {"path": file.path, "size": file.size, "mode": file.mode, "chunks": chunks[file.path]} for file in tree.files
    ]
    answers = [{"words": words, "path": path} for words, path in tree.answers]
    return {"format": FORMAT, **asdict(tree), "files": files, "links": tree.links, "answers": answers}


def _batches(files: Sequence[FileRecord], root: Path, size: int = 8) -> Iterator[list[tuple[str, bytes]]]:
    """Give the files' chunks, a few at a time: what is in memory stays little."""
    chunks = chain.from_iterable(_chunks(file, root) for file in files)
    while batch := [chunk for _, chunk in zip(range(size), chunks, strict=False)]:
        yield batch


def _chunks(file: FileRecord, root: Path) -> Iterator[tuple[str, bytes]]:
    with (root / file.path).open("rb") as stream:
        yield file.path, stream.read(CHUNK)
        while content := stream.read(CHUNK):
            yield file.path, content


def _pack(chunk: tuple[str, bytes]) -> tuple[str, int, str, bytes]:
    path, content = chunk
    frame = zstandard.ZstdCompressor(level=LEVEL).compress(content)
    return path, len(content), hashlib.sha256(content).hexdigest(), frame
