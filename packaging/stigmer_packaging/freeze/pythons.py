"""Which Python freezes: the pinned one, compiled for each target, or a Python of this machine for its own platform.

With the pinned one, the real PyInstaller runs in this machine's build of the same CPython, and `seams` has it look at the
platform's files. The same is done for the machine's own platform, so that there is one way.
"""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stigmer_packaging.freeze.gcc_runtime import Runtime, provide_runtime, read_packages
from stigmer_packaging.freeze.linked import find_linked
from stigmer_packaging.freeze.pyinstaller import Environment, FreezingPython, SiteOf
from stigmer_packaging.freeze.python.provide import BuildSettings, digest_of, place_of, provide_python
from stigmer_packaging.freeze.python.recipe import Recipe, Source, read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.freeze.seams import Settings
from stigmer_packaging.freeze.wheels import Platform
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.debian import find_archives
from stigmer_packaging.lib.interpreter import Interpreter, read_interpreter, require_library
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.licences import Credit, purl_of, read_text
from stigmer_packaging.licensing.native import COPYRIGHT, Package

PINNED, HOST = "pinned", "host"
RECIPES = Path("packaging/python")


def default_choice(host: Target) -> str:
    """Freeze with the pinned Python on Linux, where it can be made; elsewhere with the Python that runs us."""
    return PINNED if host.system == "linux" else HOST


def own_folders(choice: str) -> tuple[str, ...]:
    """Name the folders of a Python of this machine, which what it freezes may name; the pinned one's is on no machine."""
    if choice == PINNED:
        return ()
    return (sys.base_prefix if choice == HOST else str(Path(choice).resolve().parents[1]),)


def is_in_cache(checkout: Path, target: Target, cache: Path) -> bool:
    """Tell whether the pinned Python for a target was made before."""
    return place_of(read_recipe(checkout / RECIPES, target), cache).is_dir()


def open_maker(
    checkout: Path, host: Target, cache: Path, *, mirror: str, env: Mapping[str, str], report: Callable[[str], None]
) -> BuildSettings:
    """Give what this machine brings to making the pinned Python; `mirror` is a Debian mirror's URL, empty for apt's own."""
    recipe, jobs = read_recipe(checkout / RECIPES, host), os.cpu_count() or 1
    return BuildSettings(recipe, cache, lambda: find_archives(mirror, os.environ), env, jobs, report)


def choose_python(
    choice: str,
    target: Target,
    maker: Callable[[], BuildSettings],
    checkout: Path,
    *,
    oldest: Mapping[str, str],
    env: Mapping[str, str],
) -> FreezingPython:
    """Give the Python that freezes for `target`: `pinned`, which is made when it is first needed, `host` or a path.

    `oldest` names for each target the glibc or macOS that wheels may ask for. RecordError when the recipe has problems;
    MissingToolError when a path is no Python.
    """
    if choice != PINNED:
        return at_hand(read_interpreter(sys.executable if choice == HOST else choice, env=env))
    machine, recipe = maker(), read_recipe(checkout / RECIPES, target)
    packages = read_packages(checkout / RECIPES, target)

    def platform_of(each: Recipe) -> Platform:
        return Platform(each.target, oldest.get(str(each.target), each.platform.floor), each.version)

    def assemble(site_of: SiteOf) -> Environment:
        own = provide_python(machine.host_recipe, machine)
        tree = own if target == machine.host else provide_python(recipe, machine)
        runtime = provide_runtime(packages, machine.folder, machine.archives)
        site = site_of(platform_of(recipe))
        own_site = site if target == machine.host else site_of(platform_of(own.recipe))
        settings = partial(settings_of, tree, own, site.folder, own_site.folder, runtime)
        return Environment(own.interpreter(machine.environment), site, settings, TreePackages(tree, runtime))

    runtimes = [package.sha256 for package in packages]
    identity = (digest_of(recipe), digest_of(machine.host_recipe), digest.sha256_of_value(runtimes, oldest))
    return FreezingPython(identity, platform_of(recipe), assemble)


def at_hand(interpreter: Interpreter) -> FreezingPython:
    """Freeze with an interpreter that is there; MissingToolError when it has no shared library.

    Wheels may ask for the glibc or macOS that runs here.
    """
    oldest = platform.mac_ver()[0] or platform.libc_ver()[1]
    chosen = Platform(interpreter.target, oldest, interpreter.version)

    def assemble(site_of: SiteOf) -> Environment:
        require_library(interpreter)
        return Environment(interpreter, site_of(chosen, builder=interpreter))

    return FreezingPython((interpreter.version, interpreter.identity), chosen, assemble)


@dataclass(frozen=True)
class TreePackages:
    """The Debian sources that a Python was compiled from, and the packages of GCC's runtime libraries."""

    tree: PythonTree
    runtime: Runtime

    def find(self, file: str, names: tuple[str, ...]) -> Package | None:
        """Look into what the Python is made of."""
        del file
        for source in self.tree.recipe.source:
            if source.package in names:
                return Package(source.version, _purl_of(source), (self.tree.copyright_of(source),))
        for name in (name for name in names if name in self.runtime.versions):
            version, text = self.runtime.versions[name], self.runtime.root / "usr" / COPYRIGHT.format(name)
            return Package(version, purl_of("deb/debian", name, version), (read_text(text.read_bytes()),))
        return None

    def linked_into(self, modules: set[str]) -> tuple[Credit, ...]:
        """Name what is linked into these extension modules, and into Python's own library."""
        there = modules | set(self.tree.builtins)
        return tuple(
            Credit(each.name, each.version, each.licence, _purl_of(each), (self.tree.copyright_of(each),))
            for each in self.tree.recipe.source
            if there.intersection(each.modules)
        )


def _purl_of(source: Source) -> str:
    return purl_of("deb/debian", source.package, source.version)


def settings_of(tree: PythonTree, own: PythonTree, site: Path, own_site: Path, runtime: Runtime) -> Settings:
    """Describe a platform's Python and distributions to `seams`, beside this machine's of the same versions."""
    target, libraries = tree.target, (tree.prefix / "lib", *runtime.libraries)
    linked = find_linked((tree.prefix, site), libraries, target, {tree.recipe.prefix: tree.prefix})
    return Settings(
        system=target.system,
        machine=Platform(target, tree.floor, tree.version).machine,
        architecture=target.architecture,
        multiarch=tree.recipe.platform.multiarch or "darwin",
        builtins=list(tree.builtins),
        library=str(tree.library),
        prefix=str(tree.prefix),
        own_prefix=str(own.prefix),
        standard_library=str(tree.standard_library),
        site=str(site),
        own_site=str(own_site),
        linked=linked,
    )
