"""Locks that are a graph: which packages a project leads to, and under which markers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stigmer_packaging.lib.errors import SourceError

Way = frozenset[str]
"""The markers that must all hold for one way from the project to a package."""


@dataclass(frozen=True)
class Edge:
    """A dependency: the package's name, its version where the lock has several, the extras asked for, and a marker."""

    name: str
    version: str | None = None
    extras: tuple[str, ...] = ()
    marker: str = ""


@dataclass(frozen=True)
class Node:
    """A locked package, what it depends on, and what each extra of it adds."""

    name: str
    version: str | None
    edges: Sequence[Edge] = ()
    extras: Mapping[str, Sequence[Edge]] = field(default_factory=dict)


def find_reached(edges: Sequence[Edge], nodes: Sequence[Node]) -> Iterator[tuple[int, str]]:
    """Yield the index of each node that the edges lead to, and the marker under which they do, empty for always.

    An extra is a place of its own beside its package. A way that includes a known one adds nothing, and is not gone.
    """
    ways: dict[tuple[int, str], set[Way]] = {}
    waiting: list[tuple[Edge, Way]] = [(edge, frozenset()) for edge in edges]
    while waiting:
        edge, before = waiting.pop()
        index = _target_of(edge, nodes)
        way = before | ({edge.marker} if edge.marker else set())
        for extra in ("", *edge.extras):
            known = ways.setdefault((index, extra), set())
            if not any(other <= way for other in known):
                ways[index, extra] = {other for other in known if not way <= other} | {way}
                further = nodes[index].extras.get(extra, ()) if extra else nodes[index].edges
                waiting += [(one, way) for one in further]
    for index in range(len(nodes)):
        if found := set[Way]().union(*(ways[place] for place in ways if place[0] == index)):
            yield index, _marker_of(found)


def _target_of(edge: Edge, nodes: Sequence[Node]) -> int:
    """Find the package an edge leads to: by its name, and by its version where there are several."""
    for index, node in enumerate(nodes):
        if node.name == edge.name and edge.version in {None, node.version}:
            return index
    remedy = "lock it again with the tool that made it, such as: uv lock"
    raise SourceError(f"the lock names {edge.name} and does not lock it", remedy)


def _marker_of(ways: set[Way]) -> str:
    """Give the marker under which one of the ways is open; nothing when one always is."""
    if frozenset[str]() in ways:
        return ""
    options = sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways)
    return " or ".join(f"({option})" for option in options)
