"""The picture of a report: the page as Chromium shows it."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from documents.pictures.errors import PictureError

_BROWSERS = ("chromium", "google-chrome", "chrome")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
_SIZE = "--window-size=1200,900"
_COLOURS = 128
_SECONDS = 120


def photograph(page: Path, picture: Path) -> None:
    """Write what a window shows of a page, as PNG."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), "")
    if not browser:
        raise PictureError("there is no Chromium on PATH: `sudo apt-get install chromium`")
    with tempfile.TemporaryDirectory(prefix="stigmer-browser-") as folder:
        shot = Path(folder) / "page.png"
        options = (f"--user-data-dir={folder}", _SIZE, f"--screenshot={shot}")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *_QUIET, *options]
        subprocess.run([*command, page.resolve().as_uri()], check=True, capture_output=True, timeout=_SECONDS)
        with Image.open(shot) as image:
            image.convert("RGB").quantize(_COLOURS).save(picture, optimize=True)
