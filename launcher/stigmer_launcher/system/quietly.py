"""What the launcher needs of `contextlib`, without that module: with what it imports, it takes 2 ms of every start."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import suppress as suppress  # noqa: PLC0414 - said twice, it is exported
else:

    class suppress:  # noqa: N801 - it stands for the one of `contextlib`
        """Let what is done in a `with` end early by an error of the kinds given, and go on after it."""

        __slots__ = ("_kinds",)

        def __init__(self, *kinds: type[BaseException]) -> None:
            self._kinds = kinds

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: object) -> bool:
            return kind is not None and issubclass(kind, self._kinds)
