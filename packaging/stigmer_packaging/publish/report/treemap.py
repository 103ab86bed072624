"""What is in a bottle, as rectangles whose areas are sizes: one group for each part, one tile for each of its folders."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import squarify

SMALLEST = 0.004
"""The share of the whole below which a tile is put together with its group's other small ones."""


@dataclass(frozen=True)
class Tile:
    """One rectangle: what it stands for, its size in bytes, and its place in the units of the whole map."""

    label: str
    size: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Group:
    """One part of the keg, and its tiles, the largest first."""

    name: str
    size: int
    tiles: tuple[Tile, ...]


def part_of(path: str) -> tuple[str, str]:
    """Name the part a file of a keg belongs to, and its place in it: `temporal`, `launcher`, `agent-runner`, `keg`."""
    parts = PurePosixPath(path).parts
    if parts[:2] == ("libexec", "components") and len(parts) > 2:
        return parts[2].removesuffix(".lib"), "/".join(parts[3:]) or parts[2]
    if parts[:2] == ("libexec", "launcher"):
        return "launcher", "/".join(parts[2:])
    return "keg", path


def draw_treemap(files: Iterable[tuple[str, int]], width: float, height: float) -> tuple[Group, ...]:
    """Lay out the files (paths in the keg, sizes in bytes) in a map of that width and height; the largest part first."""
    sizes: dict[str, Counter[str]] = {}
    for path, size in files:
        part, place = part_of(path)
        if size:
            sizes.setdefault(part, Counter())[_folder(place)] += size
    totals = sorted(((counted.total(), part) for part, counted in sizes.items()), key=lambda each: (-each[0], each[1]))
    frames = _lay([size for size, _ in totals], 0, 0, width, height)
    whole = sum(size for size, _ in totals)
    return tuple(
        Group(part, size, _tiles(sizes[part], whole * SMALLEST, frame))
        for (size, part), frame in zip(totals, frames, strict=True)
    )


def _folder(place: str) -> str:
    """Name what a file is counted with: a package's folder, or the file itself where it lies at the top."""
    first, slash, _ = place.removeprefix("lib/").partition("/")
    return f"{first}/" if slash else first


def _tiles(counted: Mapping[str, int], least: float, frame: Mapping[str, float]) -> tuple[Tile, ...]:
    shown = Counter({name: size for name, size in counted.items() if size >= least})
    if rest := sum(counted.values()) - shown.total():
        shown["the rest"] += rest
    ordered = shown.most_common()
    places = _lay([size for _, size in ordered], frame["x"], frame["y"], frame["dx"], frame["dy"])
    return tuple(
        Tile(name, size, place["x"], place["y"], place["dx"], place["dy"])
        for (name, size), place in zip(ordered, places, strict=True)
    )


def _lay(sizes: list[int], x: float, y: float, width: float, height: float) -> list[dict[str, float]]:
    return list(squarify.squarify(squarify.normalize_sizes(sizes, width, height), x, y, width, height))
