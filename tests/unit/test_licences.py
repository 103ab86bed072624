"""Licences are identified by their texts; what a package declares takes precedence over its texts."""

from pathlib import Path

import pytest

from stigmer_packaging.licensing.licences import (
    determine_licence,
    identify,
    is_licence_file,
    key_of,
    purl_of,
    read_text,
)

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
        ("This is free and unencumbered software released into the public domain.", ("Unlicense",)),
        ("CC0 1.0 Universal", ("CC0-1.0",)),
        ("PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2", ("PSF-2.0",)),
        ("Altered source versions must be plainly marked as such.", ("Zlib",)),
        (MIT + BSD3, ("BSD-3-Clause", "MIT")),
        ("All rights reserved.", ()),
    ],
)
def test_licences_are_identified_by_their_text(text: str, names: tuple[str, ...]) -> None:
    assert identify(text) == names


def test_the_licence_of_this_repository_is_apache_2() -> None:
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
def test_the_first_declared_licence_counts_and_otherwise_the_texts(
    declared: list[str], texts: list[str], concluded: str
) -> None:
    assert determine_licence(declared, texts) == concluded


def test_texts_that_differ_only_in_white_space_are_the_same() -> None:
    assert key_of(read_text(b"\xef\xbb\xbfone  two\r\nthree \r\n")) == key_of("one two three\n")
    assert key_of("one two") != key_of("one three")


def test_licence_files_are_recognised_by_name_and_source_files_are_not() -> None:
    licences = ["LICENSE", "LICENCE.md", "license.txt", "LICENSE-APACHE", "COPYING", "NOTICE", "PATENTS", "COPYRIGHT"]
    code = [f"license.{end}" for end in ("go", "html", "js", "json", "py", "sh", "tmpl", "toml", "tpl", "yaml", "yml")]
    others = [*code, "notice_test.go", "licensing.md", "README"]
    assert [name for name in (*licences, *others) if is_licence_file(f"module/{name}")] == licences


def test_a_package_url_is_escaped() -> None:
    """Source: the package URL specification."""
    assert purl_of("golang", "a.example/b/v2", "v1.0.0+old") == "pkg:golang/a.example/b/v2@v1.0.0%2Bold"
    assert purl_of("deb/debian", "libstdc++6", "1:2~3") == "pkg:deb/debian/libstdc%2B%2B6@1:2~3"
    assert purl_of("generic", "zlib", "") == "pkg:generic/zlib"
