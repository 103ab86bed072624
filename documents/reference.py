"""Generates docs/reference, the table of settings in docs/using.md, and the manual page.

Run it as `python -m documents.reference`; with --check, it fails if a file is stale.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from documents.commands import render_commands
from documents.failures import render_exit_codes
from documents.manifest_keys import render_manifest
from documents.manual import render_manual
from documents.settings import insert_settings
from documents.variables import render_environment
from stigmer_packaging.cli.main import main as pipeline

ROOT = Path(__file__).parents[1]


def render_all() -> dict[str, str]:
    """Return the text of each generated file, by its path in the repository."""
    return {
        "docs/reference/manifest.md": render_manifest(),
        "docs/reference/commands.md": render_commands(pipeline),
        "docs/reference/exit-codes.md": render_exit_codes(),
        "docs/reference/environment.md": render_environment(),
        "docs/using.md": insert_settings((ROOT / "docs" / "using.md").read_text(encoding="utf-8")),
        "launcher/man/stigmer.1": render_manual(),
    }


def find_stale(files: Mapping[str, str], root: Path) -> list[str]:
    """Return the files that are missing, differ from the generated ones, or are reference pages that nothing generates."""
    pages = {path.relative_to(root).as_posix() for path in (root / "docs" / "reference").glob("*.md")}
    there = {
        name: (root / name).read_text(encoding="utf-8") for name in files.keys() | pages if (root / name).is_file()
    }
    return sorted(name for name in files.keys() | pages if files.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    """Write the files, or compare them; return 1 if one is stale."""
    files = render_all()
    if "--check" in arguments:
        stale = find_stale(files, ROOT)
        if stale:
            sys.stderr.write(f"Error: stale: {', '.join(stale)}\nHint: run `scripts/docs`\n")
        return 1 if stale else 0
    for name, text in files.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
