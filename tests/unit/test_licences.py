"""Licences are told by what a text says; packages are believed before their texts."""

from pathlib import Path

import pytest

from stigmer_packaging.licensing.licences import conclude, identify, is_licence_file, key_of, purl_of, read_text

MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software, to deal in it.
The above copyright notice and this permission notice shall be included in all copies.
"""
BSD2 = "Redistributions of source code must retain the above copyright notice. Redistributions in binary form too.\n"
BSD3 = BSD2 + "Neither the name of the author may be used to endorse or promote products.\n"
ISC = (
    "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is granted.\n"
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (MIT, ("MIT",)),
        (MIT.replace(" ", "\n   "), ("MIT",)),
        (BSD2, ("BSD-2-Clause",)),
        (BSD3, ("BSD-3-Clause",)),
        (ISC, ("ISC",)),
        ("Apache License\n   Version 2.0, January 2004", ("Apache-2.0",)),
        ("Mozilla Public License Version 2.0", ("MPL-2.0",)),
        (MIT + BSD3, ("BSD-3-Clause", "MIT")),
        ("All rights reserved.", ()),
    ],
)
def test_a_text_is_the_licences_it_says(text: str, names: tuple[str, ...]) -> None:
    assert identify(text) == names


def test_our_own_licence_is_what_we_say_it_is() -> None:
    assert identify((Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")) == ("Apache-2.0",)


@pytest.mark.parametrize(
    ("declared", "texts", "concluded"),
    [
        (["MPL-2.0 AND (Apache-2.0 OR MIT)"], [MIT], "MPL-2.0 AND (Apache-2.0 OR MIT)"),
        (["Apache 2.0"], [], "Apache-2.0"),
        (["mit"], [], "MIT"),
        (["see the file", "MIT License"], [BSD3], "MIT"),
        (["see the file"], [BSD3, MIT], "BSD-3-Clause AND MIT"),
        ([], [], "NOASSERTION"),
    ],
)
def test_the_first_word_that_is_a_licence_counts_and_else_the_texts(
    declared: list[str], texts: list[str], concluded: str
) -> None:
    assert conclude(declared, texts) == concluded


def test_texts_that_are_broken_into_lines_otherwise_are_one() -> None:
    assert key_of(read_text(b"\xef\xbb\xbfone  two\r\nthree \r\n")) == key_of("one two three\n")
    assert key_of("one two") != key_of("one three")


def test_a_licence_is_known_by_its_files_name_and_code_about_licences_is_none() -> None:
    own = ["LICENSE", "LICENCE.md", "license.txt", "LICENSE-APACHE", "COPYING", "NOTICE", "PATENTS", "COPYRIGHT"]
    others = ["licenses.go", "notice_test.go", "licensing.md", "README", "license.py"]
    assert [name for name in (*own, *others) if is_licence_file(f"module/{name}")] == own


def test_a_package_url_is_escaped() -> None:
    """Source: the package URL specification."""
    assert purl_of("golang", "a.example/b/v2", "v1.0.0+old") == "pkg:golang/a.example/b/v2@v1.0.0%2Bold"
    assert purl_of("deb/debian", "libstdc++6", "1:2~3") == "pkg:deb/debian/libstdc%2B%2B6@1:2~3"
    assert purl_of("generic", "zlib", "") == "pkg:generic/zlib"
