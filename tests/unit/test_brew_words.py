"""Homebrew's output is parsed correctly; the samples are from real runs of 5.0.16 and 6.0.18."""

from pathlib import Path

import pytest

from stigmer_packaging.verify.brew.client import (
    KEEPS_FILES,
    brew_environment,
    parse_installed,
    parse_outdated,
    parse_pours,
    parse_version,
)
from stigmer_packaging.verify.brew.local_tap import replace_root_url

UPGRADE = """==> Upgrading 1 outdated package:
stigmer/tap/stigmer 2.0.0 -> 2.0.1
==> Fetching downloads for: stigmer
✔︎ Bottle stigmer (2.0.1)
==> Upgrading stigmer/tap/stigmer
  2.0.0 -> 2.0.1 
==> Pouring stigmer-2.0.1.x86_64_linux.bottle.tar.gz
==> Caveats
Start everything:        stigmer server
==> Summary
/home/linuxbrew/.linuxbrew/Cellar/stigmer/2.0.1: 237 files, 376.9MB
==> Running `brew cleanup stigmer`...
"""  # noqa: W291 - brew ends a line with a blank
BUILT = """==> Fetching downloads for: stigmer
==> Installing stigmer from stigmer/tap
==> make install
/home/linuxbrew/.linuxbrew/Cellar/stigmer/2.0.0: 8 files, 1.2MB, built in 4 seconds
"""


def test_a_poured_bottle_is_distinguished_from_a_build() -> None:
    assert parse_pours(UPGRADE) == ("stigmer-2.0.1.x86_64_linux.bottle.tar.gz",)
    assert parse_pours(BUILT) == ()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Homebrew 5.0.16\n", (5, 0, 16)),
        ("Homebrew 5.1.15\n", KEEPS_FILES),
        ("Homebrew 6.0.18-12-gabcdef0\n", (6, 0, 18)),
        ("Homebrew >=4.3.0 (shallow or no git repository)\n", (4, 3, 0)),
        ("command not found", ()),
    ],
)
def test_a_version_is_parsed_into_numbers(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_installed_versions_are_read_despite_warnings_before_the_json() -> None:
    text = 'Warning: a note\n{"formulae": [{"installed": [{"version": "2.0.0", "poured_from_bottle": true}]}]}'
    assert parse_installed(text) == (("2.0.0", True),)


def test_outdated_formulae_are_parsed_with_both_versions() -> None:
    assert parse_outdated("stigmer/tap/stigmer (2.0.0) < 2.0.1\n") == (("stigmer/tap/stigmer", "2.0.0", "2.0.1"),)
    assert parse_outdated("") == ()


def test_brew_runs_with_a_private_home_and_without_tokens() -> None:
    caller = {"PATH": "/bin", "GITHUB_TOKEN": "x", "HOMEBREW_GITHUB_API_TOKEN": "x", "HOME": "/home/somebody"}
    env = brew_environment(caller, Path("/scratch"))
    assert env["HOME"] == "/scratch"
    assert env["HOMEBREW_CACHE"] == "/scratch/cache"
    assert not [name for name in env if "TOKEN" in name]


def test_the_root_url_is_replaced_only_in_a_formula_with_bottles() -> None:
    assert replace_root_url('    root_url "https://a.example/b"\n', "http://c") == '    root_url "http://c"\n'
    with pytest.raises(ValueError, match="no bottle block"):
        replace_root_url('  url "https://a.example"\n', "http://c")
