"""The command `python`: the CPython that is frozen, made for one target."""

import os
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from stigmer_packaging.cli import output
from stigmer_packaging.cli.machine import cache_folder, this_machine, this_platform
from stigmer_packaging.freeze.python.provide import provide_python
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.freeze.pythons import RECIPES, open_maker
from stigmer_packaging.lib import environment
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.pipeline import system

PURPOSE = "Make the CPython that is frozen for a target, or find it in the cache; print what it needs and where it is."


def python_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`."""
    parameters: list[click.Parameter] = [
        click.Option(["--target"], default="", help="Such as darwin-arm64; default: this machine's."),
        click.Option(
            ["--debian"], default="", metavar="URL", help="A Debian mirror for the sources; default: apt's own."
        ),
        click.Option(["--jobs"], type=click.IntRange(1), default=os.cpu_count() or 1, help="Compilers run at once."),
        click.Option(
            ["--verbose"], is_flag=True, help="Print on stderr what the steps say, and every command they run."
        ),
    ]

    def act(target: str, debian: str, jobs: int, *, verbose: bool) -> None:
        with output.TerminalProgress(Console(stderr=True), verbose=verbose) as progress:
            started = time.monotonic()
            host, machine = this_platform(), this_machine()
            env = environment.build_environment(os.environ)
            system.provide(system.find_missing([system.PYTHON], machine), machine, env=env, report=progress.say)
            made = open_maker(root, host, cache_folder(), mirror=debian, env=env, report=progress.say)
            maker = replace(made, jobs=jobs)
            tree = provide_python(read_recipe(root / RECIPES, _target(target, host)), maker)
            seconds = time.monotonic() - started
        click.echo(describe_tree(tree, seconds))

    return click.Command("python", params=parameters, callback=act, help=PURPOSE, short_help=PURPOSE)


def describe_tree(tree: PythonTree, seconds: float) -> str:
    """Say in four lines what was made."""
    system_name = "glibc" if tree.target.system == "linux" else "macOS"
    files = [path for path in tree.prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    return "\n".join(
        [
            f"Python {tree.version} for {tree.target}: {seconds:.0f} s",
            f"  runs from {system_name} {tree.floor} on, {size / 1e6:.1f} MB in {len(files)} files",
            f"  sha256 of all files {tree.sha256}",
            f"  {tree.prefix}",
        ]
    )


def _target(text: str, host: Target) -> Target:
    try:
        return parse_target(text) if text else host
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
