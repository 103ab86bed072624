"""Chooses the Python to freeze with: the pinned one, compiled for each target, or one of this machine for its platform.

With the pinned one, the real PyInstaller runs in this machine's build of the same CPython, and `seams` makes it use the
platform's files. This machine's own platform is treated in the same way.
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
    """Return PINNED on Linux, where the pinned Python can be built; elsewhere HOST, the Python that runs this code."""
    return PINNED if host.system == "linux" else HOST


def own_folders(choice: str) -> tuple[str, ...]:
    """Return the folders of this machine's Python that frozen files may name; none for PINNED."""
    if choice == PINNED:  # its prefix is on no machine
        return ()
    return (sys.base_prefix if choice == HOST else str(Path(choice).resolve().parents[1]),)


def is_in_cache(checkout: Path, target: Target, cache: Path) -> bool:
    """Return whether the cache has the pinned Python for a target."""
    return place_of(read_recipe(checkout / RECIPES, target), cache).is_dir()


def read_build_settings(
    checkout: Path, host: Target, cache: Path, *, mirror: str, env: Mapping[str, str], report: Callable[[str], None]
) -> BuildSettings:
    """Return this machine's settings to build the pinned Python; `mirror` is a Debian mirror's URL, empty for apt's."""
    recipe, jobs = read_recipe(checkout / RECIPES, host), os.cpu_count() or 1
    return BuildSettings(recipe, cache, lambda: find_archives(mirror, os.environ), env, jobs, report)


def choose_python(
    choice: str,
    target: Target,
    build_settings: Callable[[], BuildSettings],
    checkout: Path,
    *,
    oldest: Mapping[str, str],
    env: Mapping[str, str],
) -> FreezingPython:
    """Return the Python that freezes for `target`: `pinned`, which is built on first use, `host` or a path.

    `oldest` maps each target to the glibc or macOS that wheels may require. RecordError if the recipe has problems;
    MissingToolError if a path is not a Python.
    """
    if choice != PINNED:
        return _use_interpreter(read_interpreter(sys.executable if choice == HOST else choice, env=env))
    machine, recipe = build_settings(), read_recipe(checkout / RECIPES, target)
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


def _use_interpreter(interpreter: Interpreter) -> FreezingPython:
    """Return an interpreter of this machine as the Python to freeze with.

    Wheels may require the glibc or macOS of this machine. `assemble` raises MissingToolError if it has no shared
    library.
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
        """Return the package among `names` that the Python is made of, or None."""
        del file
        for source in self.tree.recipe.source:
            if source.package in names:
                return Package(source.version, _purl_of(source), (self.tree.copyright_of(source),))
        for name in (name for name in names if name in self.runtime.versions):
            version, text = self.runtime.versions[name], self.runtime.root / "usr" / COPYRIGHT.format(name)
            return Package(version, purl_of("deb/debian", name, version), (read_text(text.read_bytes()),))
        return None

    def linked_into(self, modules: set[str]) -> tuple[Credit, ...]:
        """Return the credits of the sources linked into these extension modules and into Python's own library."""
        all_modules = modules | set(self.tree.builtins)
        return tuple(
            Credit(each.name, each.version, each.licence, _purl_of(each), (self.tree.copyright_of(each),))
            for each in self.tree.recipe.source
            if all_modules.intersection(each.modules)
        )


def _purl_of(source: Source) -> str:
    return purl_of("deb/debian", source.package, source.version)


def settings_of(tree: PythonTree, own: PythonTree, site: Path, own_site: Path, runtime: Runtime) -> Settings:
    """Return the input of `seams`: a platform's Python and distributions, and this machine's of the same versions."""
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
