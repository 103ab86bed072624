"""A finished CPython for one target: where its files are, what they need, and what they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stigmer_packaging.freeze.python.recipe import Recipe, Source
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.interpreter import Interpreter, read_interpreter
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.licences import read_text


@dataclass(frozen=True)
class PythonTree:
    """A CPython laid out below `prefix`; its own idea of that folder is `recipe.prefix`, which is on no machine.

    `floor` is the oldest glibc or macOS that runs every file, as measured; `builtins` are the modules in its library;
    `sha256` is that of all files; `digest` names the recipe and the code that made it.
    """

    recipe: Recipe
    prefix: Path
    floor: str
    builtins: tuple[str, ...]
    sha256: str
    digest: str

    @property
    def target(self) -> Target:
        """The platform it runs on."""
        return self.recipe.target

    @property
    def version(self) -> str:
        """Its version, such as `3.13.5`."""
        return self.recipe.version

    @property
    def executable(self) -> Path:
        """The interpreter, which runs on its own platform from wherever it lies."""
        return self.prefix / "bin" / f"python{self.recipe.major_minor}"

    @property
    def library(self) -> Path:
        """The shared library that a frozen program is run by."""
        name = f"libpython{self.recipe.major_minor}"
        return self.prefix / "lib" / (f"{name}.dylib" if self.target.system == "darwin" else f"{name}.so.1.0")

    @property
    def standard_library(self) -> Path:
        """The folder of the standard library, which is among the module search path's."""
        return self.prefix / "lib" / f"python{self.recipe.major_minor}"

    def copyright_of(self, source: Source) -> str:
        """Give the licence of one of the sources that it is made of."""
        return read_text((self.prefix / "share" / "doc" / source.package / "copyright").read_bytes())

    def interpreter(self, environment: Mapping[str, str]) -> Interpreter:
        """Give the interpreter of this machine's own platform, to be run here."""
        found = read_interpreter(str(self.executable), env=environment)
        return replace(found, identity=digest.sha256_of_value(found.identity, self.digest))
