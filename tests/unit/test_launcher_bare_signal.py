"""Signals as plain numbers: the same as `signal` has them."""

import signal

import pytest

from stigmer_launcher.system import bare_signal


@pytest.mark.parametrize("name", [name for name in vars(bare_signal) if name.startswith("SIG")])
def test_a_constant_is_that_of_the_module_signal(name: str) -> None:
    """And a number, of which no enumeration is made."""
    assert getattr(bare_signal, name) == getattr(signal, name)
    assert type(getattr(bare_signal, name)) is int


@pytest.mark.parametrize("number", sorted(set(signal.Signals)))
def test_a_signal_has_the_name_that_people_know(number: signal.Signals) -> None:
    """As `kill -l` prints it."""
    assert bare_signal.name_of(number) == number.name


def test_a_number_without_a_name_is_said_as_such() -> None:
    """Such as one of the real-time signals."""
    assert bare_signal.name_of(40) == "signal 40"
