"""What the commands share: the checkout they belong to, options of several of them, and how they are listed."""

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
    "--verbose", is_flag=True, help="Print on stderr what the steps say, and every command they run."
)


def read_text(path: Path) -> str:
    """Give the text of a file that the user named; UsageError when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8 text: {error}") from error


class Commands(click.Group):
    """A group that lists each command with its whole help, which click would cut to the terminal's width."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].help or "") for name in self.list_commands(ctx)])


def targets_option(usual: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """Make the option `--target`, which `read_targets` reads; `usual` says what is taken without it."""
    told = f"Such as linux-amd64 (may be repeated), or `{ALL}`; default: those in {VARIABLE}, else {usual}."
    return click.option("--target", "targets", multiple=True, envvar=VARIABLE, help=told)


def read_targets(named: Sequence[str], known: Mapping[str, object]) -> tuple[Target, ...]:
    """Read the named targets, `all` standing for every one of the manifest's; BadParameter for one it does not have."""
    texts = dict.fromkeys(each for text in named for each in (sorted(known) if text == ALL else [text]))
    for text in texts:
        if text not in known:
            raise click.BadParameter(unknown("target", text, known), param_hint="--target")
    return tuple(map(parse_target, texts))
