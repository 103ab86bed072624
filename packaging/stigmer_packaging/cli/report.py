"""The command `report`: the page of a release's folder, drawn anew."""

import sys
from pathlib import Path

import click

from stigmer_packaging.cli.options import FILE, RELEASE_FOLDER, ROOT
from stigmer_packaging.publish.report.stage import write_report
from stigmer_packaging.records.release import parse_release


@click.command("report")
@click.argument("what", type=RELEASE_FOLDER, required=False, metavar="[FOLDER]")
@click.option("--previous", type=FILE, help="The release.json of the release to compare sizes with.")
def report_command(what: Path | None, previous: Path | None) -> None:
    """Draw a release's folder as one page, report.html; default: the one in dist/."""
    earlier = parse_release(previous.read_text(encoding="utf-8")) if previous else None
    sys.stdout.write(f"{write_report(what or ROOT / 'dist', earlier)}\n")
