"""scripts/docs builds a site from the pages, unless a link is broken or a page is stale."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("documents", "docs", "launcher", "packaging", "scripts")
FILES = ("mkdocs.yml", "requirements.lock", "requirements-docs.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in PARTS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def build(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "scripts" / "docs"), *words]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)


def test_every_page_has_its_place_in_the_site_and_nothing_is_fetched_from_elsewhere(checkout: Path) -> None:
    done = build(checkout)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(checkout / "docs").with_suffix(".html") for path in (checkout / "docs").rglob("*.md")}
    assert [page for page in pages if not (checkout / "site" / page).is_file()] == []
    assert "fonts.g" not in (checkout / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "text", "named"),
    [
        ("index.md", "[there](gone.md)", "gone"),
        ("index.md", "[there](using.md#gone)", "gone"),
        ("reference/manifest.md", "more", "stale: docs/reference/manifest.md"),
    ],
)
def test_a_link_that_leads_nowhere_or_a_stale_page_fails_and_is_named(
    page: str, text: str, named: str, checkout: Path
) -> None:
    with (checkout / "docs" / page).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{text}\n")
    done = build(checkout, "--check")
    assert done.returncode == 1
    assert named in done.stderr
    assert not (checkout / "site").exists()
