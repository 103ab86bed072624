"""The picture of a report: a screenshot of the page in Chromium."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from documents.pictures.errors import PictureError

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), "")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
_COLOURS = 128
_SECONDS = 120


def photograph(page: Path, picture: Path) -> None:
    """Write a screenshot of a page as PNG."""
    if not BROWSER:
        raise PictureError("there is no Chromium on PATH: `sudo apt-get install chromium`")
    show(page, 1200, 900).quantize(_COLOURS).save(picture, optimize=True)


def show(page: Path, width: int, height: int) -> Image.Image:
    """Return a screenshot of a page in a window of this size."""
    with tempfile.TemporaryDirectory(prefix="stigmer-browser-") as folder:
        shot = Path(folder) / "page.png"
        options = (f"--user-data-dir={folder}", f"--window-size={width},{height}", f"--screenshot={shot}")
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *_QUIET, *options]
        subprocess.run([*command, page.resolve().as_uri()], check=True, capture_output=True, timeout=_SECONDS)
        with Image.open(shot) as image:
            return image.convert("RGB")
