"""The command `report`: the page of a release's folder, drawn anew."""

import sys
from pathlib import Path

import click

from stigmer_packaging.publish.report.stage import write_report
from stigmer_packaging.records.release import parse_release


def report_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`."""
    purpose = "Draw a release's folder as one page, report.html; default: the one in dist/."
    folder = click.Path(file_okay=False, exists=True, path_type=Path)
    file = click.Path(dir_okay=False, exists=True, path_type=Path)
    parameters: list[click.Parameter] = [
        click.Argument(["what"], type=folder, required=False, metavar="[FOLDER]"),
        click.Option(["--previous"], type=file, help="The release.json of the release to compare sizes with."),
    ]

    def act(what: Path | None, previous: Path | None) -> None:
        earlier = parse_release(previous.read_text(encoding="utf-8")) if previous else None
        sys.stdout.write(f"{write_report(what or root / 'dist', earlier)}\n")

    return click.Command("report", params=parameters, callback=act, help=purpose, short_help=purpose)
