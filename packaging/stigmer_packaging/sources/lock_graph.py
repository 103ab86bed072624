"""Finds the packages that a project depends on in a lock that is a graph, and their markers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stigmer_packaging.lib.errors import SourceError

Markers = frozenset[str]
"""The markers on one path from the project to a package, which must all hold."""


@dataclass(frozen=True)
class Edge:
    """A dependency: the package's name, its version if the lock has several, the requested extras, and a marker."""

    name: str
    version: str | None = None
    extras: tuple[str, ...] = ()
    marker: str = ""


@dataclass(frozen=True)
class Node:
    """A locked package, its dependencies, and those that each of its extras adds."""

    name: str
    version: str | None
    edges: Sequence[Edge] = ()
    extras: Mapping[str, Sequence[Edge]] = field(default_factory=dict)


def find_reached(edges: Sequence[Edge], nodes: Sequence[Node]) -> Iterator[tuple[int, str]]:
    """Yield the index of each node that the edges lead to, with the marker under which they do, empty for always.

    An extra is visited separately from its package. A path is not followed if its markers include those of a known
    path.
    """
    paths: dict[tuple[int, str], set[Markers]] = {}
    queue: list[tuple[Edge, Markers]] = [(edge, frozenset()) for edge in edges]
    while queue:
        edge, before = queue.pop()
        index = _target_of(edge, nodes)
        markers = before | ({edge.marker} if edge.marker else set())
        for extra in ("", *edge.extras):
            known = paths.setdefault((index, extra), set())
            if not any(other <= markers for other in known):
                paths[index, extra] = {other for other in known if not markers <= other} | {markers}
                following = nodes[index].extras.get(extra, ()) if extra else nodes[index].edges
                queue += [(each, markers) for each in following]
    for index in range(len(nodes)):
        if reaching := set[Markers]().union(*(paths[visited] for visited in paths if visited[0] == index)):
            yield index, _marker_of(reaching)


def _target_of(edge: Edge, nodes: Sequence[Node]) -> int:
    """Return the index of the node that an edge leads to, by its name, and by its version if the edge has one."""
    for index, node in enumerate(nodes):
        if node.name == edge.name and edge.version in {None, node.version}:
            return index
    remedy = "lock again with the tool that created it, such as: uv lock"
    raise SourceError(f"the lock refers to {edge.name}, but does not contain it", remedy)


def _marker_of(paths: set[Markers]) -> str:
    """Return the marker that holds if one of the paths does, empty if one always does."""
    if frozenset[str]() in paths:
        return ""
    options = sorted(" and ".join(f"({marker})" for marker in sorted(markers)) for markers in paths)
    return " or ".join(f"({option})" for option in options)
