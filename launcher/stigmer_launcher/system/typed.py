"""What the launcher needs of `typing` and `collections.abc`, without those modules: they take 3 ms of every start.

The making of 50 NamedTuples would take another 3. A type checker sees the modules themselves.
NamedTuple keeps what is used of it: positions, names, defaults, `_replace`, `_asdict`.
"""

import sys

TYPE_CHECKING = False
__all__ = (
    "TYPE_CHECKING",
    "Any",
    "Callable",
    "Iterable",
    "Iterator",
    "Mapping",
    "NamedTuple",
    "NoReturn",
    "Self",
    "Sequence",
    "TextIO",
)

if TYPE_CHECKING or sys.version_info >= (3, 14):  # from there on, annotations are not in a class's namespace
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, NamedTuple, NoReturn, Self, TextIO
else:
    from _collections import _tuplegetter  # what `collections.namedtuple` itself takes
    from _collections_abc import Callable, Iterable, Iterator, Mapping, Sequence  # as `os` has them already

    Any = NoReturn = Self = TextIO = object

    class _Fields(type):
        """Makes of a class's annotations the names of a tuple's places, and of its values their defaults."""

        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> type:
            fields = tuple(namespace.get("__annotations__", ()))
            namespace["_defaults"] = {field: namespace[field] for field in fields if field in namespace}
            namespace |= {field: _tuplegetter(place, None) for place, field in enumerate(fields)}
            namespace["_fields"] = namespace["__match_args__"] = fields
            namespace["__slots__"] = ()
            return type.__new__(cls, name, bases, namespace)

    class NamedTuple(tuple, metaclass=_Fields):  # noqa: SLOT001 - the metaclass gives each class its slots
        """A tuple whose places have names."""

        def __new__(cls, *values: object, **named: object) -> Self:
            """Take the fields by position or by name; TypeError when one is missing, unknown, or given twice."""
            if named or len(values) != len(cls._fields):
                known = {**cls._defaults, **dict(zip(cls._fields, values, strict=False)), **named}
                if len(values) > len(cls._fields) or set(known) != set(cls._fields):
                    raise TypeError(f"{cls.__name__} takes {cls._fields}, not {len(values)} values and {sorted(named)}")
                if not named.keys().isdisjoint(cls._fields[: len(values)]):
                    raise TypeError(f"{cls.__name__} was given a field twice: {sorted(named)}")
                values = map(known.__getitem__, cls._fields)
            return tuple.__new__(cls, values)

        def _replace(self, **named: object) -> Self:
            """Give the same with other values; TypeError for a name that is no field."""
            values = tuple(map(named.pop, self._fields, self))
            if named:
                raise TypeError(f"{type(self).__name__} has no {sorted(named)}")
            return tuple.__new__(type(self), values)

        def _asdict(self) -> dict[str, object]:
            """Give the values by their names, in their order."""
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self) -> str:
            """Say every field, as `typing.NamedTuple` does."""
            said = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({said})"
