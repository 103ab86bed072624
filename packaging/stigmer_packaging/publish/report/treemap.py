"""The contents of a bottle as rectangles sized by bytes: a group for each part, with a tile for each of its folders."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import squarify

SMALLEST = 0.004
"""The share of the total below which a group's tiles are merged into one."""


@dataclass(frozen=True)
class Tile:
    """A rectangle: its label, its size in bytes, and its position and dimensions in the units of the whole map."""

    label: str
    size: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Group:
    """One part of the keg with its tiles, largest first."""

    name: str
    size: int
    tiles: tuple[Tile, ...]


def part_of(path: str) -> tuple[str, str]:
    """Return the part of the keg that a file belongs to, such as `temporal`, `launcher`, `keg`, and its path in it."""
    parts = PurePosixPath(path).parts
    if parts[:2] == ("libexec", "components") and len(parts) > 2:
        return parts[2].removesuffix(".lib"), "/".join(parts[3:]) or parts[2]
    if parts[:2] == ("libexec", "launcher"):
        return "launcher", "/".join(parts[2:])
    return "keg", path


def draw_treemap(files: Iterable[tuple[str, int]], width: float, height: float) -> tuple[Group, ...]:
    """Lay out files (paths in the keg, sizes in bytes) in a map of the given size, with the largest part first."""
    sizes: dict[str, Counter[str]] = {}
    for path, size in files:
        part, place = part_of(path)
        if size:
            sizes.setdefault(part, Counter())[_folder(place)] += size
    parts = sorted(((counted.total(), part) for part, counted in sizes.items()), key=lambda each: (-each[0], each[1]))
    frames = _squarify([size for size, _ in parts], 0, 0, width, height)
    total = sum(size for size, _ in parts)
    return tuple(
        Group(part, size, _tiles(sizes[part], total * SMALLEST, frame))
        for (size, part), frame in zip(parts, frames, strict=True)
    )


def _folder(place: str) -> str:
    """Return the tile that a file is counted in: the top folder of its path, or the file itself if it has none."""
    first, slash, _ = place.removeprefix("lib/").partition("/")
    return f"{first}/" if slash else first


def _tiles(sizes: Mapping[str, int], threshold: float, frame: Mapping[str, float]) -> tuple[Tile, ...]:
    shown = Counter({name: size for name, size in sizes.items() if size >= threshold})
    if rest := sum(sizes.values()) - shown.total():
        shown["the rest"] += rest
    ordered = shown.most_common()
    places = _squarify([size for _, size in ordered], frame["x"], frame["y"], frame["dx"], frame["dy"])
    return tuple(
        Tile(name, size, place["x"], place["y"], place["dx"], place["dy"])
        for (name, size), place in zip(ordered, places, strict=True)
    )


def _squarify(sizes: list[int], x: float, y: float, width: float, height: float) -> list[dict[str, float]]:
    return list(squarify.squarify(squarify.normalize_sizes(sizes, width, height), x, y, width, height))
