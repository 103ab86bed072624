"""Write docs/reference from the code: `python -m documents.reference`; --check refuses what is stale."""

import sys
from collections.abc import Mapping
from pathlib import Path

from documents.commands import render_commands
from documents.failures import render_exit_codes
from documents.manifest_keys import render_manifest
from documents.variables import render_environment
from stigmer_packaging.cli.main import main as pipeline

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def render_reference() -> dict[str, str]:
    """Give the text of each page by its file's name."""
    return {
        "manifest.md": render_manifest(),
        "commands.md": render_commands(pipeline),
        "exit-codes.md": render_exit_codes(),
        "environment.md": render_environment(),
    }


def find_stale(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Name the pages that are missing, are not what the code gives, or are of no page any more."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in pages.keys() | there.keys() if pages.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; 1 when one is stale."""
    pages = render_reference()
    if "--check" in arguments:
        stale = find_stale(pages, FOLDER)
        if stale:
            sys.stderr.write(
                f"Error: stale in docs/reference: {', '.join(stale)}\nHint: scripts/docs writes them anew\n"
            )
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
