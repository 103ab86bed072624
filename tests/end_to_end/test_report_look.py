"""The report page in a real browser: it fits its window, and its map shows the parts' colours in the right places."""

from pathlib import Path

import pytest
from PIL import Image

from documents.pictures.report import BROWSER, show
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.publish.report.page import render_page
from stigmer_packaging.records.release import Artefact, Release

FIRST, SECOND = (0x8D, 0xB7, 0xF0), (0xF2, 0xB8, 0x80)
"""The colours of the largest and second largest part, from the page's style sheet."""
BOTTLE = Artefact("bottle", "one-1.0.0.sonoma.bottle.tar.gz", 3_000_000, "a" * 64, "darwin-amd64", "sonoma")
PRODUCT = Product("one", "1.0.0", "MIT", "https://one.example/", "One", "one/homebrew-tap", "self")
FILES = {BOTTLE.name: (("libexec/components/temporal", 600), ("libexec/components/server", 300))}

pytestmark = pytest.mark.skipif(not BROWSER, reason="there is no Chromium on PATH")


def screenshot(folder: Path, width: int) -> Image.Image:
    page = folder / "page.html"
    page.write_text(render_page(Release(PRODUCT, (BOTTLE,)), FILES, {}, None), encoding="utf-8")
    return show(page, width, 2000)  # the whole page, also where its lines are wrapped


def places_of(image: Image.Image, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Return the positions of a colour, in steps of four pixels."""
    width, height = image.size
    return [(x, y) for y in range(0, height, 4) for x in range(0, width, 4) if image.getpixel((x, y)) == colour]


def test_the_map_is_drawn_in_the_proportions_of_the_sizes(tmp_path: Path) -> None:
    image = screenshot(tmp_path, 1200)
    first, second = places_of(image, FIRST), places_of(image, SECOND)
    assert 1.8 < len(first) / len(second) < 2.2
    assert max(x for x, _ in first) < min(x for x, y in second if y < max(y for _, y in first) - 40)


def test_the_page_fits_a_narrow_window(tmp_path: Path) -> None:
    """Wide tables scroll on their own; the page does not scroll sideways."""
    image = screenshot(tmp_path, 500)
    assert max(x for x, _ in places_of(image, SECOND)) < 500 - 8
