"""Which Python freezes: that of the pinned root on Linux, this machine's own, or one that is named by its path.

This is where a target gets its interpreter; `Interpreter.prefix` is how all that it runs is run.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from stigmer_packaging.naming import Target
from stigmer_packaging.stages.freezeroot import place_of, prepare_freeze_root
from stigmer_packaging.tools.debian import find_archives
from stigmer_packaging.tools.native import InstalledPackages, Packages, RootPackages
from stigmer_packaging.tools.python import FreezingPython, Interpreter, at_hand, read_interpreter
from stigmer_packaging.tools.rootrecipe import read_recipe
from stigmer_packaging.workspace import Workspace

ROOT, HOST = "root", "host"
RECIPES = Path("packaging/freeze-root")


def default_choice(host: Target) -> str:
    """Freeze in the root on Linux; elsewhere with the Python that runs us."""
    return ROOT if host.system == "linux" else HOST


def own_folders(choice: str) -> tuple[str, ...]:
    """Name the folders of a Python of this machine, which what it freezes may name; the root's is on no machine."""
    if choice == ROOT:
        return ()
    return (sys.base_prefix if choice == HOST else str(Path(choice).resolve().parents[1]),)


def choose_python(  # noqa: PLR0913 - the choice, and all that may decide it
    choice: str,
    target: Target,
    checkout: Path,
    workspace: Workspace,
    *,
    host: Target | None = None,
    mirror: str = "",
    env: Mapping[str, str],
    report: Callable[[str], None],
) -> FreezingPython:
    """Give the Python that freezes for `target`, by `root`, `host` or a path; a root is made when it is first needed.

    `host` is this machine's platform, by default the target; another one's root is emulated. `mirror` is the URL below which a Debian mirror has its archives; empty for that of this machine's apt.
    RecordError when `checkout` has no recipe of a root for the target; MissingToolError when a path is no Python.
    """
    if choice != ROOT:
        return at_hand(read_interpreter(sys.executable if choice == HOST else choice, env=env))
    recipe = read_recipe(checkout / RECIPES, target)

    @cache
    def provide() -> Interpreter:
        root = prepare_freeze_root(
            recipe,
            host=host or target,
            cache=workspace.cache,
            archives=lambda: find_archives(mirror, os.environ),
            environment=env,
            jobs=os.cpu_count() or 1,
            report=report,
        )
        return root.interpreter((workspace.root, workspace.cache), env)

    return FreezingPython((recipe.digest,), provide)


def choose_packages(
    choice: str, target: Target, checkout: Path, workspace: Workspace, *, env: Mapping[str, str]
) -> Packages:
    """Give who knows where the libraries come from that the chosen Python freezes along with a program."""
    if choice != ROOT:
        return InstalledPackages(env)
    recipe = read_recipe(checkout / RECIPES, target)
    return RootPackages(place_of(recipe, workspace.cache) / "root", recipe.settings.prefix, recipe.versions)
