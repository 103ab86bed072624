"""Sources of the frozen CPython: only the pinned bytes, patches and edits that apply."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stigmer_packaging.freeze.python.recipe import Edit, Recipe, Source, read_recipe
from stigmer_packaging.freeze.python.sources import apply_edit, download_sources, keep_licence, unpack_source
from stigmer_packaging.lib.debian import Archives
from stigmer_packaging.lib.errors import ArchiveError, CommandError, DownloadError
from stigmer_packaging.lib.loopback import serving
from stigmer_packaging.lib.target import Target
from support.freezing import RECIPE, no_archives
from support.tiny_packages import file_entry, place_files, tar_of

UPSTREAM, PATCHED = "pool/main/s/some_1.orig.tar.gz", "pool/main/s/some_1-1.debian.tar.xz"
PATCH = b"--- a/word\n+++ b/word\n@@ -1 +1 @@\n-wrong\n+right\n"
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
BASE = read_recipe(RECIPE, Target("linux", "amd64"))


@dataclass
class Place:
    """A mirror, and a recipe of one source that it serves."""

    url: str
    recipe: Recipe
    folder: Path

    @property
    def source(self) -> Source:
        """The one source."""
        return self.recipe.source[0]

    def download(self) -> dict[str, Path]:
        """Fetch the two files."""
        return download_sources(self.recipe, self.folder / "downloads", lambda: Archives(self.url, self.url))

    def unpack(self, source: Source | None = None) -> Path:
        """Unpack the source, and give its folder."""
        unpack_source(source or self.source, self.download(), self.folder / "some", ENVIRONMENT)
        return self.folder / "some"


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[Place]:
    upstream = tar_of([file_entry("some-1/word", b"wrong\n")], compression="gz")
    patched = tar_of([file_entry("debian/patches/right.patch", PATCH), file_entry("debian/copyright", b"free\n")])
    pins = place_files(tmp_path / "pool-of", {UPSTREAM: upstream, PATCHED: patched})
    source = Source("some", "some", "1-1", "MIT", ("right.patch",), pins)
    with serving(tmp_path / "pool-of") as url:
        yield Place(url, replace(BASE, source=(source,)), tmp_path)


@pytest.mark.parametrize(("patches", "word"), [(("right.patch",), "right\n"), ((), "wrong\n")])
def test_a_source_is_unpacked_with_the_named_patches(place: Place, patches: tuple[str, ...], word: str) -> None:
    assert (place.unpack(replace(place.source, patches=patches)) / "word").read_text(encoding="utf-8") == word


def test_a_patch_that_does_not_apply_ends_the_build(place: Place) -> None:
    with pytest.raises(CommandError, match="patch"):
        place.unpack(replace(place.source, patches=("right.patch", "right.patch")))


def test_other_bytes_than_pinned_are_refused(place: Place) -> None:
    files = dict.fromkeys(place.source.files, "0" * 64)
    with pytest.raises(DownloadError, match="; expected "):
        replace(place, recipe=replace(place.recipe, source=(replace(place.source, files=files),))).download()


def test_files_that_are_there_need_no_network(place: Place) -> None:
    first = place.download()
    assert download_sources(place.recipe, place.folder / "downloads", no_archives) == first


def test_a_damaged_archive_is_named(place: Place) -> None:
    files = place.download()
    files[UPSTREAM].write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(ArchiveError, match=r"some_1\.orig\.tar\.gz"):
        unpack_source(place.source, files, place.folder / "some", ENVIRONMENT)


def test_the_licence_is_kept_where_debian_has_it(place: Place) -> None:
    keep_licence(place.source, place.unpack(), place.folder / "prefix")
    assert (place.folder / "prefix/share/doc/some/copyright").read_text(encoding="utf-8") == "free\n"


@pytest.mark.parametrize(("text", "times"), [("one two", "0"), ("a word, a word", "2")])
def test_an_edit_that_does_not_apply_once_ends_the_build(tmp_path: Path, text: str, times: str) -> None:
    (tmp_path / "configure").write_text(text, encoding="utf-8")
    with pytest.raises(ArchiveError, match=f"applies {times} times"):
        apply_edit(Edit("configure", "a word", "another"), tmp_path)


def test_an_edit_changes_its_one_place(tmp_path: Path) -> None:
    (tmp_path / "configure").write_text("say a word.", encoding="utf-8")
    apply_edit(Edit("configure", "a word", "another"), tmp_path)
    assert (tmp_path / "configure").read_text(encoding="utf-8") == "say another."
