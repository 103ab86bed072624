"""The command `python`: builds the CPython that is frozen for one target."""

import os
import time
from dataclasses import replace

import click
from rich.console import Console

from stigmer_packaging.cli import output
from stigmer_packaging.cli.machine import cache_folder, this_machine, this_platform
from stigmer_packaging.cli.options import ROOT, debian_option, verbose_option
from stigmer_packaging.freeze.python.provide import provide_python
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.freeze.pythons import RECIPES, read_build_settings
from stigmer_packaging.lib import environment
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest.values import TARGETS
from stigmer_packaging.pipeline import system


@click.command("python")
@click.option("--target", type=click.Choice(TARGETS), help="Default: this machine's.")
@debian_option
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Parallel compiler processes.")
@verbose_option
def python_command(*, target: str | None, debian: str, jobs: int, verbose: bool) -> None:
    """Build the CPython that is frozen for a target, or find it in the cache; print what it needs and its path."""
    with output.TerminalProgress(Console(stderr=True), verbose=verbose) as progress:
        started = time.monotonic()
        host, machine = this_platform(), this_machine()
        env = environment.build_environment(os.environ)
        system.provide(system.find_missing([system.PYTHON], machine), machine, env=env, report=progress.show_message)
        settings = read_build_settings(ROOT, host, cache_folder(), mirror=debian, env=env, report=progress.show_message)
        recipe = read_recipe(ROOT / RECIPES, parse_target(target) if target else host)
        tree = provide_python(recipe, replace(settings, jobs=jobs))
        seconds = time.monotonic() - started
    click.echo(_describe(tree, seconds))


def _describe(tree: PythonTree, seconds: float) -> str:
    system_name = "glibc" if tree.target.system == "linux" else "macOS"
    files = [path for path in tree.prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    return (
        f"Python {tree.version} for {tree.target}: {seconds:.0f} s\n"
        f"  runs from {system_name} {tree.floor} on, {size / 1e6:.1f} MB in {len(files)} files\n"
        f"  sha256 of all files {tree.sha256}\n"
        f"  {tree.prefix}"
    )
