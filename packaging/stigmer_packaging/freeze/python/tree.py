"""A finished CPython for one target: the paths of its files, their requirements, and their licences."""

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
    """A CPython in the folder `prefix`; it was built for `recipe.prefix`, which exists on no machine.

    `floor` is the oldest glibc or macOS that runs every file, as measured; `builtins` are the modules in its library;
    `sha256` is the digest of all files; `digest` identifies the recipe and the code that built it.
    """

    recipe: Recipe
    prefix: Path
    floor: str
    builtins: tuple[str, ...]
    sha256: str
    digest: str

    @property
    def target(self) -> Target:
        """The platform that it runs on."""
        return self.recipe.target

    @property
    def version(self) -> str:
        """The version, such as `3.13.5`."""
        return self.recipe.version

    @property
    def executable(self) -> Path:
        """The interpreter, which runs from any folder on its platform."""
        return self.prefix / "bin" / f"python{self.recipe.major_minor}"

    @property
    def library(self) -> Path:
        """The shared library that runs a frozen program."""
        name = f"libpython{self.recipe.major_minor}"
        return self.prefix / "lib" / (f"{name}.dylib" if self.target.system == "darwin" else f"{name}.so.1.0")

    @property
    def standard_library(self) -> Path:
        """The folder of the standard library, which is on the module search path."""
        return self.prefix / "lib" / f"python{self.recipe.major_minor}"

    def copyright_of(self, source: Source) -> str:
        """Return the licence text of one of the sources that it was built from."""
        return read_text((self.prefix / "share" / "doc" / source.package / "copyright").read_bytes())

    def interpreter(self, environment: Mapping[str, str]) -> Interpreter:
        """Return the interpreter to run on this machine, whose platform must be the target."""
        found = read_interpreter(str(self.executable), env=environment)
        return replace(found, identity=digest.sha256_of_value(found.identity, self.digest))
