"""The launcher's own `suppress`: as `contextlib` has it."""

import contextlib
from typing import Any

import pytest

from stigmer_launcher.system import quietly

SUPPRESS = pytest.mark.parametrize("suppress", [quietly.suppress, contextlib.suppress], ids=["ours", "theirs"])


@SUPPRESS
@pytest.mark.parametrize("error", [OSError("a"), FileNotFoundError("a kind of it"), ValueError("the other")])
def test_errors_of_the_kinds_given_end_the_block_and_nothing_else(suppress: Any, error: Exception) -> None:
    def fail(reached: list[str]) -> None:
        with suppress(OSError, ValueError):
            reached.append("before")
            raise error

    reached: list[str] = []
    fail(reached)
    assert reached == ["before"]


@SUPPRESS
@pytest.mark.parametrize("kinds", [(), (OSError,), (KeyError, ValueError)])
def test_every_other_error_goes_on(suppress: Any, kinds: tuple[type[Exception], ...]) -> None:
    with pytest.raises(LookupError, match="this one"), suppress(*kinds):
        raise LookupError("this one")


@SUPPRESS
def test_a_block_without_an_error_is_a_block(suppress: Any) -> None:
    with suppress(OSError):
        value = 3
    assert value == 3
