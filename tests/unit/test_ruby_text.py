"""Ruby literals for any text: always that text, never code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmer_packaging.formula.ruby import quote, quote_words
from support.ruby_reading import ANY_TEXT, needs_ruby, read_literal, read_with_ruby


@given(ANY_TEXT)
def test_a_literal_has_exactly_the_value_of_its_text(text: str) -> None:
    """The strict reader refuses interpolation and anything that ends the literal early."""
    assert read_literal(quote(text)) == text


@needs_ruby
@settings(max_examples=15, deadline=None)
@given(st.lists(ANY_TEXT, min_size=20))
def test_ruby_itself_reads_back_the_text(texts: list[str]) -> None:
    """Each is one plain string literal with the text as its value; the syntax tree has nothing else."""
    plain, empty, *read = read_with_ruby('"plain"', '""', *map(quote, texts))
    for text, found in zip(texts, read, strict=True):
        assert found["tree"] == (plain if text else empty)["tree"]
        assert "".join(found["strings"]) == text


@pytest.mark.parametrize("source", ['"#{1}"', '"#$x"', '"a" + "b"', '"a\\"', '"\n"', "'a'", '"'])
def test_the_strict_reader_refuses_anything_but_plain_text(source: str) -> None:
    with pytest.raises(ValueError, match=r"not one literal|more than text"):
        read_literal(source)


@needs_ruby
def test_the_parser_distinguishes_code_from_text() -> None:
    """The check above can fail: an interpolation has another tree, and broken Ruby has none."""
    plain, code, broken = read_with_ruby('"a"', '"#{a}"', '"a')
    assert code["tree"] != plain["tree"]
    assert broken["tree"] == "nil"


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        quote("\ud800")


@pytest.mark.parametrize(
    ("words", "literal"),
    [
        ((), "[]"),
        (("one",), '["one"]'),
        (("a", "b", "c"), '["a", "b", "c"]'),
        (("a", "b", "c", "d-e"), "%w[a b c d-e]"),
        (("a", "b", "c", "d]e"), '["a", "b", "c", "d]e"]'),
        (("a", "b", "c", "#{d}"), '["a", "b", "c", "\\#{d}"]'),
    ],
)
def test_lists_of_words_follow_brews_style(words: tuple[str, ...], literal: str) -> None:
    """Four or more words are written as `%w[]`, but only if all are plain."""
    assert quote_words(words) == literal
