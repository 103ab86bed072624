"""What the freeze root is made of, read from its folder: packages, sources with their patches, and how they are built."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import cattrs

from stigmer_packaging.errors import RecordError
from stigmer_packaging.naming import Target
from stigmer_packaging.tools import digest
from stigmer_packaging.tools.debian import Package, parse_lock

FORMAT = 1  # counts how recipes are carried out, so that roots made otherwise are not taken for current
RECORDED = "roots.sha256"
"""Lines as sha256sum writes them, for each recipe by its name: what the files of a root that it made were together."""

_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


@dataclass(frozen=True)
class Source:
    """One of Debian's source packages: the upstream archive and Debian's, by path and sha256, in this order.

    `patches` are those of Debian's that are applied; NAME.sh builds it.
    """

    name: str
    package: str
    version: str
    patches: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class Settings:
    """The recipe as people write it, in recipe.toml. `packages` names those of each root; `links` and `files` are added."""

    epoch: int
    suite: str
    python: str
    glibc: str
    packages: dict[str, list[str]]
    links: dict[str, str]
    files: dict[str, str]
    source: tuple[Source, ...]

    @property
    def prefix(self) -> str:
        """The folder into which everything is built, as a path inside."""
        return str(PurePosixPath(self.python).parents[1])


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a root is: the settings, the pinned packages, and the build scripts by source.

    `recorded` is the sha256 of all its files as it was made before, empty when nobody wrote that down.
    """

    target: Target
    settings: Settings
    packages: tuple[Package, ...]
    scripts: Mapping[str, str]
    recorded: str = ""

    @property
    def versions(self) -> dict[str, str]:
        """Give the version of each package that the root holds, and of each that is built from source."""
        files = (PurePosixPath(package.path).stem.split("_") for package in self.packages if "freeze" in package.roots)
        built = {source.package: source.version for source in self.settings.source}
        return {name: version for name, version, *_ in files} | built

    @property
    def digest(self) -> str:
        """Give the sha256 by which a finished root is known."""
        decisive = {name: value for name, value in asdict(self).items() if name != "recorded"}
        return digest.sha256_of_value(FORMAT, decisive)

    @property
    def name(self) -> str:
        """Give the beginning of the digest, which names folders."""
        return self.digest[:20]


def read_settings(folder: Path) -> Settings:
    """Read recipe.toml; RecordError when it is not one."""
    file = folder / "recipe.toml"
    try:
        return _CONVERTER.structure(tomllib.loads(file.read_text(encoding="utf-8")), Settings)
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        raise RecordError(f"{file} is not a recipe: {error}", "correct the recipe of the freeze root") from error


def read_recipe(folder: Path, target: Target) -> Recipe:
    """Read the recipe for a target; RecordError when there is none."""
    settings = read_settings(folder)
    try:
        scripts = {
            source.name: (folder / f"{source.name}.sh").read_text(encoding="utf-8") for source in settings.source
        }
        packages = parse_lock((folder / lock_name(target)).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(
            f"there is no freeze root for {target}: {error}", "choose another Python to freeze with"
        ) from error
    recipe = Recipe(target, settings, packages, scripts)
    return replace(recipe, recorded=_read_recorded(folder / RECORDED).get(recipe.name, ""))


def _read_recorded(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return {name: sha256 for sha256, name in (line.split() for line in lines)}


def lock_name(target: Target) -> str:
    """Name the file that pins the packages for a target."""
    return f"packages-{target}.lock"
