"""Debian's files on a machine that has no Debian mirror, and files that a mirror no longer has."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_packaging.freeze.gcc_runtime import provide_runtime
from stigmer_packaging.lib import debian
from stigmer_packaging.lib.apt import Mirror, find_mirror
from stigmer_packaging.lib.errors import DownloadError, MissingToolError
from stigmer_packaging.lib.loopback import serving
from support.runners import write_etc
from support.tiny_packages import deb_of, file_entry

GONE = "pool/updates/main/o/openssl/openssl_1.orig.tar.gz"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as url:
        yield url, folder


def test_the_mirror_of_a_hosted_ubuntu_is_read_from_its_list_of_mirrors(tmp_path: Path) -> None:
    """Its own source is `mirror+file:`, which mmdebstrap cannot fetch from inside the root that it makes."""
    found = find_mirror(write_etc(tmp_path))
    assert found == Mirror(
        "http://near.invalid/ubuntu/", "ubuntu", "noble", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
    )


def test_a_list_of_mirrors_that_is_not_there_is_no_mirror(tmp_path: Path) -> None:
    etc = write_etc(tmp_path)
    for name in ("apt-mirrors.txt", "sources.list.d/microsoft-prod.list"):
        (etc / "apt" / name).unlink()
    with pytest.raises(MissingToolError, match="apt sources lack"):
        find_mirror(etc)


def test_a_hosted_ubuntu_takes_the_debian_mirror_of_the_variable(tmp_path: Path) -> None:
    etc = write_etc(tmp_path)
    found = debian.find_archives("", {"DEBIAN_MIRROR": "http://mirror.invalid/"}, etc)
    assert (found.main, found.security) == ("http://mirror.invalid/debian", "http://mirror.invalid/debian-security")
    assert debian.find_archives("http://named.invalid", {"DEBIAN_MIRROR": "http://x.invalid"}, etc).main.startswith(
        "http://named.invalid/"
    )


def test_without_the_variable_a_hosted_ubuntu_is_told_its_name(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        debian.find_archives("", {}, write_etc(tmp_path))
    assert "DEBIAN_MIRROR=URL" in caught.value.remedy


@pytest.mark.parametrize("scheme", ["/archive/{archive}/20260101T000000Z/{path}", "/pinned/{sha256}"])
def test_a_pinned_file_that_the_mirror_no_longer_has_comes_from_its_second_place(
    scheme: str, served: tuple[str, Path], tmp_path: Path
) -> None:
    """A snapshot of the archive names it by its path, an asset of our own by its hash."""
    url, folder = served
    sha256 = hashlib.sha256(b"source").hexdigest()
    kept = folder / scheme.format(archive="debian-security", path=GONE, sha256=sha256).lstrip("/")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"source")
    archives = debian.find_archives(url, {"DEBIAN_FALLBACK": url + scheme})
    assert debian.download(archives, GONE, sha256, tmp_path / "file").read_bytes() == b"source"


def test_gccs_runtime_that_the_mirror_no_longer_has_comes_from_its_second_place(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    """Its release is older than what mirrors keep."""
    url, folder = served
    deb = deb_of([file_entry("lib/x86_64-linux-gnu/libgcc_s.so.1", b"library")])
    sha256 = hashlib.sha256(deb).hexdigest()
    (folder / sha256).write_bytes(deb)
    archives = debian.find_archives(url, {"DEBIAN_FALLBACK": f"{url}/{{sha256}}"})
    package = debian.Package("pool/libgcc-s1_10_amd64.deb", sha256, ("linux-amd64",))
    runtime = provide_runtime((package,), tmp_path / "made", lambda: archives)
    assert runtime.versions == {"libgcc-s1": "10"}
    assert [(path / "libgcc_s.so.1").read_bytes() for path in runtime.libraries] == [b"library"]


def test_a_pinned_file_that_no_place_has_names_every_place_and_the_variable(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, _ = served
    archives = debian.find_archives(url, {"DEBIAN_FALLBACK": f"{url}/pinned/{{sha256}}"})
    with pytest.raises(DownloadError) as caught:
        debian.download(archives, GONE, "0" * 64, tmp_path / "file")
    assert f"{url}/debian-security/{GONE}" in str(caught.value)
    assert f"{url}/pinned/{'0' * 64}" in str(caught.value)
    assert "DEBIAN_FALLBACK" in caught.value.remedy


@pytest.mark.parametrize("place", ["http://a.invalid/files", "http://a.invalid/{name}", "http://a.invalid/{path}/{"])
def test_a_second_place_that_does_not_say_where_a_file_is_is_refused_at_once(place: str) -> None:
    with pytest.raises(MissingToolError, match="DEBIAN_FALLBACK"):
        debian.find_archives("http://mirror.invalid", {"DEBIAN_FALLBACK": place})
