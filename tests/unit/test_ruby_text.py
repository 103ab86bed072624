"""Ruby literals made from any text: always that text, never code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmer_packaging.formula.ruby import quote, quote_words
from support.ruby_reading import ANY_TEXT, needs_ruby, read_literal, read_with_ruby


@given(ANY_TEXT)
def test_a_literal_holds_exactly_the_text_it_was_made_from(text: str) -> None:
    """The strict reader refuses everything that interpolates or ends the literal early."""
    assert read_literal(quote(text)) == text


@needs_ruby
@settings(max_examples=15, deadline=None)
@given(st.lists(ANY_TEXT, min_size=20))
def test_ruby_itself_reads_back_the_text(texts: list[str]) -> None:
    """One plain string literal each, whose value is the text; nothing else is in the tree."""
    plain, empty, *read = read_with_ruby('"plain"', '""', *map(quote, texts))
    for text, found in zip(texts, read, strict=True):
        assert found["tree"] == (plain if text else empty)["tree"]
        assert "".join(found["strings"]) == text


@pytest.mark.parametrize("source", ['"#{1}"', '"#$x"', '"a" + "b"', '"a\\"', '"\n"', "'a'", '"'])
def test_the_strict_reader_refuses_what_is_more_than_text(source: str) -> None:
    with pytest.raises(ValueError, match=r"not one literal|more than text"):
        read_literal(source)


@needs_ruby
def test_the_parser_tells_code_from_text() -> None:
    """The check fails for the right reason: an interpolation has another tree, broken Ruby has none."""
    plain, code, broken = read_with_ruby('"a"', '"#{a}"', '"a')
    assert code["tree"] != plain["tree"]
    assert broken["tree"] == "nil"


def test_half_a_surrogate_pair_is_refused() -> None:
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
def test_words_are_written_as_brews_style_asks(words: tuple[str, ...], literal: str) -> None:
    """From four words on as `%w[]`, and only plain words at that."""
    assert quote_words(words) == literal
