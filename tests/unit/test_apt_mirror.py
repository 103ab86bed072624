"""The apt mirror is the one configured on this machine, in the one-line or the deb822 format."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.apt import Mirror, find_mirror
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.verify.guest_root import default_suite

BOOKWORM = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_CODENAME=bookworm\n'
NOBLE = "ID=ubuntu\nVERSION_CODENAME=noble\n"
DEB822 = """Types: deb
# a comment
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg
"""


def etc(folder: Path, release: str, **sources: str) -> Path:
    """Write an /etc with these files below apt; `__` in a name stands for a dot."""
    (folder / "apt/sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text(release, encoding="utf-8")
    for name, text in sources.items():
        path = folder / "apt" / ("" if name == "sources__list" else "sources.list.d") / name.replace("__", ".")
        path.write_text(text, encoding="utf-8")
    return folder


def test_the_deb822_source_of_this_release_is_found_among_others(tmp_path: Path) -> None:
    vendor = "Types: deb\nURIs: https://vendor.invalid/apt\nSuites: nodistro\nComponents: main\n"
    found = find_mirror(etc(tmp_path, BOOKWORM, a__sources=vendor, b__sources=DEB822))
    assert found == Mirror("http://mirror.invalid/debian", "debian", "bookworm", "/usr/share/keyrings/debian.gpg")


@pytest.mark.parametrize(
    ("line", "keyring"),
    [
        ("deb http://mirror.invalid/ubuntu noble main universe", ""),
        ("deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/ubuntu noble main # ours", "/k.gpg"),
    ],
)
def test_a_one_line_source_is_found(tmp_path: Path, line: str, keyring: str) -> None:
    text = f"# deb http://old.invalid/ubuntu noble main\ndeb-src http://src.invalid/ubuntu noble main\n{line}\n"
    found = find_mirror(etc(tmp_path, NOBLE, sources__list=text))
    assert found == Mirror("http://mirror.invalid/ubuntu", "ubuntu", "noble", keyring)


@pytest.mark.parametrize("word", ["no", "No", "false", "without", "off", "disable", "0"])
def test_a_disabled_stanza_is_skipped_for_every_spelling_that_apt_accepts(tmp_path: Path, word: str) -> None:
    text = DEB822 + f"Enabled: {word}\n\n" + DEB822.replace("mirror", "second")
    assert find_mirror(etc(tmp_path, BOOKWORM, a__sources=text)).uri == "http://second.invalid/debian"


def test_an_inline_key_is_not_mistaken_for_a_keyring_file(tmp_path: Path) -> None:
    text = DEB822.replace("/usr/share/keyrings/debian.gpg", "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc")
    assert find_mirror(etc(tmp_path, BOOKWORM, a__sources=text)).keyring == ""


def test_a_machine_without_a_source_of_its_release_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="apt sources lack"):
        find_mirror(tmp_path)
    with pytest.raises(MissingToolError, match="apt sources lack"):
        find_mirror(etc(tmp_path, NOBLE, a__sources=DEB822))


@pytest.mark.parametrize(("release", "suite"), [("debian", "trixie"), ("ubuntu", "noble")])
def test_the_default_suite_is_debian_stable_or_the_release_of_an_ubuntu_host(release: str, suite: str) -> None:
    assert default_suite(Mirror("http://mirror.invalid", release, "noble", "")) == suite
