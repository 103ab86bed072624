"""Shared by the commands: the checkout they belong to, common options, and the list of commands in the help."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest.section import unknown

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = ROOT / "packaging" / "manifest.yaml"
VARIABLE = "STIGMER_TARGETS"
ALL = "all"

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
RELEASE_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

manifest_option = click.option(
    "--manifest", type=FILE, default=MANIFEST, help="What is released; default: packaging/manifest.yaml."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Results as JSON on stdout.")
workspace_option = click.option(
    "--workspace", type=FOLDER, help="Where artefacts, records and logs are kept; default: build/."
)
debian_option = click.option(
    "--debian", default="", metavar="URL", help="A Debian mirror for the pinned Python's sources; default: apt's own."
)
verbose_option = click.option(
    "--verbose", is_flag=True, help="Print on stderr the progress of steps, and every command they run."
)


def read_text(path: Path) -> str:
    """Read a file that the user named; UsageError if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8 text: {error}") from error


class Commands(click.Group):
    """A group that lists each command with its full help, which click would truncate to the terminal's width."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].help or "") for name in self.list_commands(ctx)])


def targets_option(usual: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """Return the option `--target`, which `read_targets` parses; `usual` describes the default."""
    text = f"Such as linux-amd64 (may be repeated), or `{ALL}`; default: those in {VARIABLE}, else {usual}."
    return click.option("--target", "targets", multiple=True, envvar=VARIABLE, help=text)


def read_targets(values: Sequence[str], known: Mapping[str, object]) -> tuple[Target, ...]:
    """Parse targets, `all` meaning every target of the manifest; BadParameter for one that it does not have."""
    texts = dict.fromkeys(each for text in values for each in (sorted(known) if text == ALL else [text]))
    for text in texts:
        if text not in known:
            raise click.BadParameter(unknown("target", text, known), param_hint="--target")
    return tuple(map(parse_target, texts))
