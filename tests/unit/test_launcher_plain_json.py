"""JSON without `json`: the same values, the same texts, and a refusal of everything else."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.system.plain_json import dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_a_value_comes_back_as_it_went(value: object) -> None:
    """And each way understands the other's text."""
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value
    assert loads(json.dumps(value, indent=1)) == value


@given(VALUES)
def test_the_text_is_that_of_json_with_sorted_keys_on_one_line(value: object) -> None:
    """So that a line of a pipe is an event."""
    assert dumps(value) == json.dumps(value, sort_keys=True)
    assert "\n" not in dumps(value)


@pytest.mark.parametrize(
    "text", ["", "  ", "{", '{"a": 1', "[1,]", "{} {}", "1 2", "NaN", "[Infinity]", "'a'", "nul", '"\n"']
)
def test_what_is_no_json_is_refused(text: str) -> None:
    """By the one error that readers of a file expect."""
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize("value", [math.nan, [math.inf], {1, 2}, {"a": object()}, b"bytes"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """It would not be read again."""
    with pytest.raises((TypeError, ValueError)):
        dumps(value)
