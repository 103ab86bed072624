"""Which targets a command line names: `--target`, or the variable that a workflow sets for all of its commands."""

from collections.abc import Mapping, Sequence

import click

from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest.section import unknown

VARIABLE = "STIGMER_TARGETS"
ALL = "all"


def targets_option(purpose: str) -> click.Option:
    """Make the option `--target`, which `read_targets` reads."""
    return click.Option(
        ["--target", "targets"],
        multiple=True,
        envvar=VARIABLE,
        help=f"Such as linux-amd64 (may be repeated), or `{ALL}`; default: those in {VARIABLE}, else {purpose}.",
    )


def read_targets(named: Sequence[str], known: Mapping[str, object]) -> tuple[Target, ...]:
    """Read the named targets, `all` standing for every one of the manifest's; BadParameter for one it does not have."""
    texts = dict.fromkeys(each for text in named for each in (sorted(known) if text == ALL else [text]))
    return tuple(_target(text, known) for text in texts)


def _target(text: str, known: Mapping[str, object]) -> Target:
    if text not in known:
        raise click.BadParameter(unknown("target", text, known), param_hint="--target")
    return parse_target(text)
