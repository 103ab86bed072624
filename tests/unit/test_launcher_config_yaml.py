"""The YAML subset: accepted files have the meaning of YAML, errors have line numbers, and edits keep the rest."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stigmer_launcher.config import yaml_subset
from stigmer_launcher.config.yaml_subset import SubsetError

EXAMPLE = """\
# first line
backend:
  type: local   # a comment
  local:
      llm:  # deeper by four, which is fine
          model: "qwen2.5-coder:7b"
          base_url: http://localhost:11434/#x

context:
  organization: 'it''s'
  environment:
"""


def values(text: str) -> dict[str, str]:
    return {line.path: line.value for line in yaml_subset.parse(text).values()}


def flat(tree: Any, prefix: str = "") -> dict[str, str]:
    """Flatten the result of a full YAML parser into paths and texts."""
    if not isinstance(tree, dict):
        return {}
    found: dict[str, str] = {}
    for key, value in tree.items():
        found[f"{prefix}{key}"] = "" if value is None or isinstance(value, dict) else str(value)
        found |= flat(value, f"{prefix}{key}.")
    return found


def test_maps_comments_and_quotes_are_read() -> None:
    assert values(EXAMPLE) == {
        "backend": "",
        "backend.type": "local",
        "backend.local": "",
        "backend.local.llm": "",
        "backend.local.llm.model": "qwen2.5-coder:7b",
        "backend.local.llm.base_url": "http://localhost:11434/#x",
        "context": "",
        "context.organization": "it's",
        "context.environment": "",
    }


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {}),
        ("\n\n", {}),
        ("# only a comment", {}),
        ("   \n  # indented", {}),
        ("---\na: b\n", {"a": "b"}),
        ("# first\n\n--- # begin\na: b\n", {"a": "b"}),
        ("{}\n", {}),
        ("---\n{} # nothing\n", {}),
        ("a: {}\nb: c\n", {"a": "{}", "b": "c"}),
        ("a: b\t# a tab\n", {"a": "b"}),
        ('a: "b"\t# a tab\n', {"a": "b"}),
        ("a: b # in\ta comment\n", {"a": "b"}),
        ("a: # nothing\t\n", {"a": ""}),
        ("a: b\t\n", {"a": "b"}),
        ("a:\t# a tab\n\t\n", {"a": ""}),
        ("a : b\n", {"a": "b"}),
        ("a :\n  b : c\n", {"a": "", "a.b": "c"}),
    ],
)
def test_files_written_by_other_programs_are_read(text: str, read: dict[str, str]) -> None:
    assert values(text) == read


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a:\n\tb: 1", 2, "a tab; use spaces"),
        ("a: b\tc", 1, "a tab; use spaces"),
        ("a:\n  - b", 2, "a list is not supported"),
        ("a: [b]", 1, "a list in brackets"),
        ("a: {b: c}", 1, "a map in braces"),
        ("{a: b}", 1, "a map in braces"),
        ("a: - b", 1, "a list"),
        ("? a", 1, "a complex key"),
        ("%YAML 1.2", 1, "a directive"),
        ("a: b\n---\nc: d", 2, "a document marker"),
        ("---\n---\na: b", 2, "a document marker"),
        ("--- a: b", 1, "a document marker"),
        ("{}\na: b", 2, "something follows the map in braces"),
        ("a: b\n{}", 2, "a map in braces"),
        ("a:\tb", 1, "a tab; use spaces"),
        ('a: "b\tc"', 1, "a tab; use spaces"),
        ("a: b\n...", 2, "a document marker"),
        ("a: &b c", 1, "an anchor"),
        ("a: *b", 1, "an alias"),
        ("a: !!str b", 1, "a tag"),
        ("a: |\n  text", 1, "a block of text"),
        ("a: >-\n  text", 1, "a folded block"),
        ("a: @b", 1, "@ is not supported as a value"),
        ("a: %b", 1, "a directive"),
        ('"a": b', 1, "a quoted key"),
        ("<<: b", 1, "is no key"),
        ("a b: c", 1, "is no key"),
        (": c", 1, "is no key"),
        ("a: b\n  c: d", 2, "indented below a, which has a value"),
        ("a:\n    b: 1\n  c: 2", 3, "that of no map above"),
        ("  a: 1", 1, "that of no map above"),
        ("a: b\nc", 2, "expected `key: value`"),
        ("a:b", 1, "expected `key: value`"),
        ("a: b: c", 1, "a second colon"),
        ("a: b:", 1, "a second colon"),
        ('a: "b', 1, "a quote that is not closed"),
        ("a: 'b", 1, "a quote that is not closed"),
        ('a: "b" c', 1, "follows the closing quote"),
        ('a: "b"#c', 1, "follows the closing quote"),
        (r'a: "\x41"', 1, r"the escape \x is not supported"),
        ("a: 1\nb: 2\na: 3", 3, "the key a is here a second time"),
        ("a:\n  b: 1\n  b: 2", 3, "the key a.b is here a second time"),
        ("a: b\x07", 1, "the character 0x07"),
        ("a: b\x7f", 1, "the character 0x7f"),
        ("# c\u2028b: 1\na: 2", 1, "the character 0x2028"),
        ('a: 1\nb: "\ufffe"', 2, "the character 0xfffe"),
    ],
)
def test_the_error_about_an_unsupported_line_has_its_number_and_reason(text: str, line: int, problem: str) -> None:
    with pytest.raises(SubsetError) as caught:
        yaml_subset.parse(text)
    number, message = caught.value.args
    assert (number, problem in message) == (line, True), message


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a: |", "a block of text"),
        ("a: [b]", "a list in brackets"),
        ("a: b: c", "a second colon"),
        ('a: "b', "a quote that is not closed"),
        ('a: "b" c', "follows the closing quote"),
        (r'a: "\x41"', r"the escape \x is not supported"),
        ("a b: c", "'a b' is no key"),
    ],
)
def test_an_unsupported_indented_line_has_the_same_error(row: str, problem: str) -> None:
    """Most settings are indented; all such lines used to be reported as lines without a key."""
    with pytest.raises(SubsetError) as caught:
        yaml_subset.parse(f"top:\n  {row}")
    assert problem in caught.value.args[1]


MARKS = (*"ab:#\"'-{}[,&*!|~1\\é%@?", "key", "{}", "null", "true", "http://x:1", "---", "...", "<<")
SPACED = ("\t#", " : ", " ", "  ", "\n", "\n  ", "\n    ", ": ", "- ", "? ", "\t", "\r\n", "a: ", "b:", "\nc: ")
WORDS = st.sampled_from([*MARKS, *SPACED])


@given(st.lists(WORDS, max_size=12).map("".join))
def test_accepted_files_mean_the_same_to_a_complete_parser(text: str) -> None:
    """The subset may refuse valid YAML, but must never read a different value."""
    try:
        lines = yaml_subset.parse(text)
    except SubsetError:
        return
    try:
        tree = YAML(typ="base", pure=True).load(
            text.replace("\t", " ")
        )  # ruamel refuses a tab before a comment, which YAML 1.2 (6.6) allows
    except YAMLError as error:
        pytest.fail(f"{text!r} is accepted, but is not YAML: {error}")
    assert {line.path: "" if line.scalar == yaml_subset.EMPTY_MAP else line.value for line in lines.values()} == flat(
        tree
    )


@given(st.text(st.characters() | st.sampled_from("\n\t\x85\u2028\ufeff\ufffe\U0001fffe"), max_size=20))
def test_every_printable_text_is_read_back_unchanged(text: str) -> None:
    if not yaml_subset.is_printable(text):
        return
    written = f"a: {yaml_subset.render(text)}\n"
    assert values(written) == {"a": text}
    assert YAML(typ="base", pure=True).load(written) == {"a": text}


@pytest.mark.parametrize(
    "char", ["\0", "\x1f", "\r", "\x7f", "\x85", "\x9f", " \u2028", "\u2029 ", "\ud800", "\ufffe", "\uffff"]
)
def test_text_that_other_parsers_cannot_read_is_refused(char: str) -> None:
    """It used to be written unchanged, so that only the launcher could read the file."""
    assert not yaml_subset.is_printable(char)
    with pytest.raises((YAMLError, AssertionError)):
        assert YAML(typ="base", pure=True).load(f'a: "x{char}y"\n') == {"a": f"x{char}y"}


@pytest.mark.parametrize("text", ["", "true", "No", "null", "~", "-", "- a", "a b", "a: b", "a #b", "1", "http://x:1/"])
def test_quotes_are_used_only_if_they_are_needed(text: str) -> None:
    assert yaml_subset.render(text).startswith('"') == (text not in ("1", "http://x:1/"))


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("backend.type", "type: local   # a comment", "type: new   # a comment"),
        ("backend.local.llm.model", 'model: "qwen2.5-coder:7b"', "model: new"),
        ("context.organization", "organization: 'it''s'", "organization: new"),
        ("context.environment", "environment:\n", "environment: new\n"),
    ],
)
def test_assigning_a_value_changes_nothing_else(path: str, before: str, after: str) -> None:
    assert yaml_subset.assign(EXAMPLE, path, "new") == EXAMPLE.replace(before, after)


@pytest.mark.parametrize(
    ("text", "path", "after"),
    [
        ("", "a", "a: v\n"),
        ("", "a.b.c", "a:\n  b:\n    c: v\n"),
        ("x: 1\n", "a", "x: 1\na: v\n"),
        ("x: 1", "a", "x: 1\na: v\n"),
        ("a:\n    b: 1\n# end\n", "a.c", "a:\n    b: 1\n    c: v\n# end\n"),
        ("a:\n  b:\n    c: 1\nx: 1\n", "a.d", "a:\n  b:\n    c: 1\n  d: v\nx: 1\n"),
        ("a:\n  b:\nx: 1\n", "a.b.c", "a:\n  b:\n    c: v\nx: 1\n"),
        ("a: # why\nx: 1\n", "a.b", "a: # why\n  b: v\nx: 1\n"),
        ("ab: 1\na:\n  c: 1\n", "a.b", "ab: 1\na:\n  c: 1\n  b: v\n"),
        ("x: 1\r\n", "a.b", "x: 1\r\na:\r\n  b: v\r\n"),
        ("x: 1\r\ny: 1", "a", "x: 1\r\ny: 1\r\na: v\r\n"),
        ("a:\n  b: 1\nx: 1", "a.c", "a:\n  b: 1\n  c: v\nx: 1\n"),
        ("# only a comment\n", "a", "# only a comment\na: v\n"),
        ("---\n", "a.b", "---\na:\n  b: v\n"),
        ("{}", "a.b", "a:\n  b: v\n"),
        ("# mine\n{}\n", "a", "# mine\na: v\n"),
        ("{} # mine\n", "a", "# mine\na: v\n"),
        ("# {}\r\n {} # mine\r\n", "a", "# {}\r\n# mine\r\na: v\r\n"),
        ("a: {} # why\nx: 1\n", "a.b", "a:  # why\n  b: v\nx: 1\n"),
    ],
)
def test_a_new_key_is_inserted_into_its_map(text: str, path: str, after: str) -> None:
    assert yaml_subset.assign(text, path, "v") == after
    assert values(after)[path] == "v"


@pytest.mark.parametrize(
    ("path", "after"),
    [
        ("a.b", "a:\n  # why\n  c:\n    d: 2\nx: 3\n"),
        ("a.c", "a:\n  b: 1\n  # why\nx: 3\n"),
        ("x", "a:\n  b: 1\n  # why\n  c:\n    d: 2\n"),
        ("y", "a:\n  b: 1\n  # why\n  c:\n    d: 2\nx: 3\n"),
    ],
)
def test_a_key_is_removed_with_the_keys_below_it(path: str, after: str) -> None:
    text = "a:\n  b: 1\n  # why\n  c:\n    d: 2\nx: 3\n"
    assert yaml_subset.remove(text, path) == after


@pytest.mark.parametrize("text", ["a: 1\n", "a: ~\n", 'a: ""\n'])
def test_a_key_is_not_inserted_below_a_value(text: str) -> None:
    with pytest.raises(SubsetError, match="a has a value here"):
        yaml_subset.assign(text, "a.b", "v")


KEYS = st.sampled_from(["a", "b", "c", "a.d", "a.e", "b.d", "b.d.f", "c.d.f.g"])


@given(st.lists(st.tuples(KEYS, st.text("xyz #:'\"\\", max_size=6)), max_size=8))
def test_any_series_of_edits_is_read_back_exactly(edits: list[tuple[str, str]]) -> None:
    text, expected = "# kept\nb:\n   d: # also kept\n\n# last\n", dict[str, str]()
    for path, value in edits:
        if any(line.path.startswith(f"{path}.") for line in yaml_subset.parse(text).values()):
            continue  # the path is a map
        with contextlib.suppress(SubsetError):
            text = yaml_subset.assign(text, path, yaml_subset.render(value))
            expected[path] = value
    read = values(text)
    assert {path: read[path] for path in expected} == expected
    assert all(comment in text for comment in ("# kept", "# also kept", "# last"))
