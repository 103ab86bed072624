"""Freezing for any platform on this machine: with the CPython that is compiled for it, and with its wheels.

The real PyInstaller runs here, in this machine's build of the same CPython; `seams` has it look at the platform's files.
The same is done for the machine's own platform, so that there is one way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stigmer_packaging.freeze.gcc_runtime import Runtime, provide_runtime, read_packages
from stigmer_packaging.freeze.linked import find_linked
from stigmer_packaging.freeze.pyinstaller import FreezingPython
from stigmer_packaging.freeze.python.provide import BuildSettings, digest_of, provide_python
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.freeze.seams import Settings
from stigmer_packaging.freeze.wheels import Platform, Site, provide_site
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.licences import Credit, purl_of, read_text
from stigmer_packaging.licensing.native import COPYRIGHT, Package
from stigmer_packaging.records.model import LeftOut
from stigmer_packaging.sources.locks import Pin

_PACKAGING = Path(__file__).parents[2]


@dataclass(frozen=True)
class ForeignEnvironment:
    """What a program is frozen from: a platform's Python and distributions, and this machine's of the same versions."""

    tree: PythonTree
    interpreter: Interpreter
    own_tree: PythonTree
    distributions: Site
    own_site: Path
    runtime: Runtime

    tools = ()
    """PyInstaller calls no program of this machine."""

    @property
    def site(self) -> Path:
        """Where the platform's distributions are."""
        return self.distributions.folder

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The modules that were left out because another distribution owns them."""
        return self.distributions.left_out

    def words(self, *arguments: str) -> list[str]:
        """Give the command that runs the CPython of this machine with these arguments."""
        return [self.interpreter.executable, *arguments]

    def pyinstaller(self, work: Path) -> tuple[list[str], dict[str, str]]:
        """Give the command that runs PyInstaller, and the variables it needs, with its settings in `work`."""
        settings = work / "settings.json"
        settings.write_text(json.dumps(asdict(self._settings()), indent=1), encoding="utf-8")
        words = self.words("-s", "-P", "-m", "stigmer_packaging.freeze.seams", str(settings))
        return words, {"PYTHONPATH": str(_PACKAGING)}

    def _settings(self) -> Settings:
        tree, target = self.tree, self.tree.target
        linked = find_linked(
            (tree.prefix, self.site),
            (tree.prefix / "lib", *self.runtime.libraries),
            target,
            {tree.recipe.prefix: tree.prefix},
        )
        platform = Platform(target, tree.floor, tree.version)
        return Settings(
            system=target.system,
            machine=platform.machine,
            architecture=target.architecture,
            multiarch=_multiarch(tree),
            suffixes=[_suffix(tree), ".abi3.so", ".so"],
            own_suffix=_suffix(self.own_tree),
            builtins=list(tree.builtins),
            library=str(tree.library),
            prefix=str(tree.prefix),
            own_prefix=str(self.own_tree.prefix),
            standard_library=str(tree.standard_library),
            site=str(self.site),
            own_site=str(self.own_site),
            linked=linked,
        )


@dataclass(frozen=True)
class CrossPython:
    """The CPython of a platform and that of this machine; `oldest` names for each target what wheels may ask for."""

    tree: PythonTree
    own_tree: PythonTree
    interpreter: Interpreter
    runtime: Runtime
    oldest: Mapping[str, str]

    @property
    def target(self) -> Target:
        """The platform that is frozen for."""
        return self.tree.target

    def markers(self, env: Mapping[str, str]) -> dict[str, str]:
        """Give the values that a lock's markers are about."""
        del env
        return self._platform_of(self.tree).markers

    def environment(
        self,
        pins: Sequence[Pin],
        *,
        cache: Path,
        env: Mapping[str, str],
        report: Callable[[str], None],
        owners: Mapping[str, str],
    ) -> ForeignEnvironment:
        """Give the environment that holds these pins; GateError for a distribution without a wheel for the platform."""

        def provide(platform: Platform) -> Site:
            return provide_site(pins, platform, cache=cache, env=env, report=report, owners=owners)

        site = provide(self._platform_of(self.tree))
        own = self._platform_of(self.own_tree)
        own_site = site if own.target == self.target else provide(own)
        return ForeignEnvironment(self.tree, self.interpreter, self.own_tree, site, own_site.folder, self.runtime)

    def _platform_of(self, tree: PythonTree) -> Platform:
        return Platform(tree.target, self.oldest.get(str(tree.target), tree.floor), tree.version)


@dataclass(frozen=True)
class TreePackages:
    """The Debian sources that a Python was compiled from, and the packages of GCC's runtime libraries."""

    tree: PythonTree
    runtime: Runtime

    def find(self, file: str, names: tuple[str, ...]) -> Package | None:
        """Look into what the Python is made of."""
        del file
        for part in self.tree.parts:
            if part.text.parent.name in names:
                return Package(part.version, part.purl, read_text(part.text.read_bytes()))
        for name in (name for name in names if name in self.runtime.versions):
            text = self.runtime.root / "usr" / COPYRIGHT.format(name)
            return Package(
                self.runtime.versions[name],
                purl_of("deb/debian", name, self.runtime.versions[name]),
                read_text(text.read_bytes()),
            )
        return None

    def linked_into(self, modules: set[str]) -> tuple[Credit, ...]:
        """Name what is linked into these extension modules, and into Python's own library."""
        there = modules | set(self.tree.builtins)
        return tuple(
            Credit(part.name, part.version, part.licence, part.purl, (read_text(part.text.read_bytes()),))
            for part in self.tree.parts
            if there.intersection(part.modules)
        )


def choose_pinned(recipes: Path, target: Target, maker: BuildSettings, *, oldest: Mapping[str, str]) -> FreezingPython:
    """Freeze with the pinned CPython for `target`, which is made when it is first needed."""
    recipe, packages = read_recipe(recipes, target), read_packages(recipes, target)

    def provide() -> CrossPython:
        own = provide_python(maker.host_recipe, maker)
        tree = own if target == maker.host else provide_python(recipe, maker)
        interpreter = own.interpreter(maker.host, maker.environment)
        runtime = provide_runtime(packages, maker.folder, maker.archives)
        return CrossPython(tree, own, interpreter, runtime, oldest)

    runtimes = [package.sha256 for package in packages]
    identity = (digest_of(recipe), digest_of(maker.host_recipe), digest.sha256_of_value(runtimes, oldest))
    return FreezingPython(identity, provide)


def _multiarch(tree: PythonTree) -> str:
    return tree.recipe.platform.multiarch or "darwin"


def _suffix(tree: PythonTree) -> str:
    """Give the ending of extension modules for just this Python. Source: PEP 3149, and CPython's configure."""
    return f".cpython-{tree.recipe.major_minor.replace('.', '')}-{_multiarch(tree)}.so"
