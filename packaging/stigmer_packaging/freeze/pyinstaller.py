"""PyInstaller: one program frozen as a folder, the same bytes for the same inputs, and what it says it left out."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from stigmer_packaging.freeze.seams import Settings
from stigmer_packaging.freeze.wheels import Platform, Site
from stigmer_packaging.lib import command
from stigmer_packaging.lib.copying import copy_tree
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.lib.interpreter import Interpreter, plain_environment
from stigmer_packaging.licensing.native import Packages
from stigmer_packaging.manifest.model import FreezeTable

# What freezing installs besides the program's own lock; pinned in this repository's requirements.lock.
DISTRIBUTIONS = ("altgraph", "macholib", "packaging", "pyinstaller", "pyinstaller-hooks-contrib", "setuptools")
SECONDS = 1800
START_HOOKS = Path(__file__).with_name("startup")
_TEMPLATES = Path(__file__).with_name("templates")
PROBE = "import-probe"
_COMPRESSION = 0
"""Of each module: the bottle's one gzip sees all modules together and makes less of them, and an import unpacks nothing."""

_SPEC = "onedir.spec"
_PROBE_SOURCE = "import_probe.py"
_PACKAGING = Path(__file__).parents[2]
_REMEDY = "install binutils; on macOS the command line tools: xcode-select --install"


@dataclass(frozen=True)
class Environment:
    """A platform's Python and the distributions of a lock, from which programs are frozen.

    `interpreter` runs PyInstaller here; `site` has the platform's distributions. `settings` gives what has PyInstaller
    look at another Python's files, `packages` knows what that Python is made of; both are None when the interpreter
    itself is frozen with.
    """

    interpreter: Interpreter
    site: Site
    settings: Callable[[], Settings] | None = None
    packages: Packages | None = None

    def words(self, *arguments: str) -> list[str]:
        """Give the command that runs a Python of the same version here."""
        return [self.interpreter.executable, *arguments]


SiteOf = Callable[..., Site]
"""Gives the distributions of a lock for a platform: `provide_site` with all but the platform and its builder bound."""


@dataclass(frozen=True)
class FreezingPython:
    """The Python that programs for `platform` are frozen with; `identity` differs for any other one.

    `assemble` gives it with the distributions that a SiteOf provides; making it first may take minutes.
    """

    identity: tuple[str, ...]
    platform: Platform
    assemble: Callable[[SiteOf], Environment]


@dataclass(frozen=True)
class FreezePlan:
    """What to freeze and how: by the keys of `table`, its paths absolute. `search` are folders of the program's packages.

    The result is the executable `name` with the directory `contents` beside it. `optimize` is Python's -O level.
    `dropped_hooks` are run-time hooks to leave out. With `with_probe` the folder also holds the program PROBE, which has
    the same modules and imports those that it is given.
    """

    name: str
    contents: str
    table: FreezeTable
    search: tuple[str, ...]
    optimize: int
    dropped_hooks: tuple[str, ...] = ()
    with_probe: bool = False


@dataclass(frozen=True)
class MissingImport:
    """A module the bundle has not, who imports it, and the ways (`delayed`, `optional`, …) in which it does."""

    module: str
    importer: str
    ways: frozenset[str]


@dataclass(frozen=True)
class Frozen:
    """The folder PyInstaller made, and the imports of what it did not find or was told to leave out."""

    folder: Path
    missing: tuple[MissingImport, ...]


def freeze(
    plan: FreezePlan, *, python: Environment, env: Mapping[str, str], source_date_epoch: int, work: Path
) -> Frozen:
    """Freeze below the empty folder `work`, with a PyInstaller cache of its own and nothing left to chance.

    The order of sets, the time and the caller's Python settings do not reach the result.
    """
    spec = work / _SPEC
    for name in (_SPEC, _PROBE_SOURCE):
        (work / name).write_bytes((_TEMPLATES / f"{name}.template").read_bytes())
    copy_tree(START_HOOKS, work / "startup")
    hooks = [*(str(work / "startup" / f"{name}.py") for name in plan.table.startup), *plan.table.runtime_hooks]
    probe = str(work / _PROBE_SOURCE) if plan.with_probe else ""
    written = asdict(plan) | {"runtime_hooks": hooks, "import_probe": probe}
    (work / "plan.json").write_text(json.dumps(written, indent=1), encoding="utf-8")
    program, variables = _program(python, work, env)
    settled = (
        plain_environment(env)
        | variables
        | {
            "PYINSTALLER_ZLIB_COMPRESSION_LEVEL": str(_COMPRESSION),
            "PYTHONHASHSEED": "0",
            # None is read that another build has left, and the locked environment stays as it was made.
            "PYTHONPYCACHEPREFIX": str(work / "no-bytecode"),
            # Tracebacks name file, function and line; the columns in it would be a quarter of all bytecode.
            "PYTHONNODEBUGRANGES": "1",
            "PYTHONNOUSERSITE": "1",
            "SOURCE_DATE_EPOCH": str(source_date_epoch),
            "PYINSTALLER_CONFIG_DIR": str(work / "pyinstaller"),
        }
    )
    places = ("--distpath", str(work / "dist"), "--workpath", str(work / "work"))
    words = [*program, "--noconfirm", "--log-level=WARN", *places, str(spec)]
    command.run(words, env=settled, cwd=work, seconds=SECONDS)
    warnings = work / "work" / spec.stem / f"warn-{spec.stem}.txt"
    return Frozen(work / "dist" / plan.name, tuple(parse_warnings(warnings.read_text(encoding="utf-8"))))


def parse_warnings(text: str) -> Iterator[MissingImport]:
    """Read the file in which PyInstaller lists what it did not bundle, and who imports it in which way."""
    listed = re.findall(r"^(?:missing|excluded|invalid) module named (\S+) - imported by (.*)$", text, re.MULTILINE)
    for module, importers in listed:
        for importer, ways in re.findall(r"([^,()]+?)\s*(?:\(([^)]*)\))?(?:,\s*|$)", importers):
            named = {way.strip() for way in ways.split(",")} - {"", "top-level"}
            yield MissingImport(module.strip("'\""), importer.strip(), frozenset(named))


def _program(python: Environment, work: Path, env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Give the command that runs PyInstaller, and the variables it needs.

    An interpreter that is itself frozen with sees the locked distributions and none of those installed beside it;
    MissingToolError without the programs that PyInstaller calls then. `seams` stands for them.
    """
    if python.settings:
        settings = work / "settings.json"
        settings.write_text(json.dumps(asdict(python.settings()), indent=1), encoding="utf-8")
        words = python.words("-s", "-P", "-m", "stigmer_packaging.freeze.seams", str(settings))
        return words, {"PYTHONPATH": str(_PACKAGING)}
    tools = ("objdump", "objcopy") if python.interpreter.target.system == "linux" else ("codesign",)
    if absent := [name for name in tools if not shutil.which(name, path=env.get("PATH"))]:
        raise MissingToolError(f"freezing needs {' and '.join(absent)}", _REMEDY)
    words = python.words("-I", "-m", "venv", "--without-pip", str(work / "venv"))
    command.run(words, env=plain_environment(env), seconds=SECONDS)
    (site,) = (work / "venv").glob("lib/python*/site-packages")
    site.rmdir()
    site.symlink_to(python.site.folder)
    return [str(work / "venv" / "bin" / "python"), "-s", "-P", "-m", "PyInstaller"], {}
