"""Freezes one program as a folder with PyInstaller, reproducibly, and reads which modules PyInstaller left out."""

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

# Installed for freezing in addition to the program's own lock; pinned in this repository's requirements.lock.
DISTRIBUTIONS = ("altgraph", "macholib", "packaging", "pyinstaller", "pyinstaller-hooks-contrib", "setuptools")
SECONDS = 1800
START_HOOKS = Path(__file__).with_name("startup")
_TEMPLATES = Path(__file__).with_name("templates")
PROBE = "import-probe"
_COMPRESSION = 0
"""zlib level of each module: the bottle's gzip compresses all of them better together, and no import decompresses."""

_SPEC = "onedir.spec"
_PROBE_SOURCE = "import_probe.py"
_PACKAGING = Path(__file__).parents[2]
_REMEDY = "install binutils; on macOS the command line tools: xcode-select --install"


@dataclass(frozen=True)
class Environment:
    """A platform's Python and the distributions of a lock, from which programs are frozen.

    `interpreter` runs PyInstaller here; `site` has the platform's distributions. `settings` returns the input of
    `seams`, which makes PyInstaller use another Python's files, and `packages` finds what that Python is made of; both
    are None if programs are frozen with `interpreter` itself.
    """

    interpreter: Interpreter
    site: Site
    settings: Callable[[], Settings] | None = None
    packages: Packages | None = None

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs a Python of the same version here."""
        return [self.interpreter.executable, *arguments]


SiteOf = Callable[..., Site]
"""Returns a lock's distributions for a platform: `provide_site` with all but the platform and its builder bound."""


@dataclass(frozen=True)
class FreezingPython:
    """The Python that programs for `platform` are frozen with; `identity` is different for every other one.

    `assemble` returns it with the distributions of a SiteOf, and builds it first if needed, which takes minutes.
    """

    identity: tuple[str, ...]
    platform: Platform
    assemble: Callable[[SiteOf], Environment]


@dataclass(frozen=True)
class FreezePlan:
    """What to freeze and how: the keys of `table`, with absolute paths.

    `search` lists the folders of the program's packages. The result is the executable `name` with the folder `contents`
    beside it. `optimize` is Python's -O level. `dropped_hooks` are run-time hooks to leave out. If `with_probe` is set,
    the result also contains the program PROBE, which has the same modules and imports those named in its arguments.
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
    """A module missing in the bundle, its importer, and the kinds of import (`delayed`, `optional`, …)."""

    module: str
    importer: str
    ways: frozenset[str]


@dataclass(frozen=True)
class Frozen:
    """The folder that PyInstaller created, and the imports of modules it did not find or was told to exclude."""

    folder: Path
    missing: tuple[MissingImport, ...]


def freeze(
    plan: FreezePlan, *, python: Environment, env: Mapping[str, str], source_date_epoch: int, work: Path
) -> Frozen:
    """Freeze reproducibly below the empty folder `work`, with a PyInstaller cache in it.

    The result does not depend on the order of sets, the time or the caller's Python settings.
    """
    spec = work / _SPEC
    for name in (_SPEC, _PROBE_SOURCE):
        (work / name).write_bytes((_TEMPLATES / f"{name}.template").read_bytes())
    copy_tree(START_HOOKS, work / "startup")
    hooks = [*(str(work / "startup" / f"{name}.py") for name in plan.table.startup), *plan.table.runtime_hooks]
    probe = str(work / _PROBE_SOURCE) if plan.with_probe else ""
    plan_values = asdict(plan) | {"runtime_hooks": hooks, "import_probe": probe}
    (work / "plan.json").write_text(json.dumps(plan_values, indent=1), encoding="utf-8")
    program, variables = _program(python, work, env)
    environment = (
        plain_environment(env)
        | variables
        | {
            "PYINSTALLER_ZLIB_COMPRESSION_LEVEL": str(_COMPRESSION),
            "PYTHONHASHSEED": "0",
            # No bytecode of another build is read, and none is written into the locked environment.
            "PYTHONPYCACHEPREFIX": str(work / "no-bytecode"),
            # Tracebacks show file, function and line; column positions would be a quarter of all bytecode.
            "PYTHONNODEBUGRANGES": "1",
            "PYTHONNOUSERSITE": "1",
            "SOURCE_DATE_EPOCH": str(source_date_epoch),
            "PYINSTALLER_CONFIG_DIR": str(work / "pyinstaller"),
        }
    )
    folders = ("--distpath", str(work / "dist"), "--workpath", str(work / "work"))
    argv = [*program, "--noconfirm", "--log-level=WARN", *folders, str(spec)]
    command.run(argv, env=environment, cwd=work, seconds=SECONDS)
    warnings = work / "work" / spec.stem / f"warn-{spec.stem}.txt"
    return Frozen(work / "dist" / plan.name, tuple(parse_warnings(warnings.read_text(encoding="utf-8"))))


def parse_warnings(text: str) -> Iterator[MissingImport]:
    """Yield the missing imports that PyInstaller's file of warnings lists, one for each importer of a module."""
    listed = re.findall(r"^(?:missing|excluded|invalid) module named (\S+) - imported by (.*)$", text, re.MULTILINE)
    for module, importers in listed:
        for importer, ways in re.findall(r"([^,()]+?)\s*(?:\(([^)]*)\))?(?:,\s*|$)", importers):
            named = {way.strip() for way in ways.split(",")} - {"", "top-level"}
            yield MissingImport(module.strip("'\""), importer.strip(), frozenset(named))


def _program(python: Environment, work: Path, env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs PyInstaller, and the environment variables it needs.

    An interpreter that programs are frozen with runs in a virtual environment with only the locked distributions, and
    PyInstaller calls tools of this machine: MissingToolError if one is missing. `seams` replaces these tools.
    """
    if python.settings:
        settings = work / "settings.json"
        settings.write_text(json.dumps(asdict(python.settings()), indent=1), encoding="utf-8")
        argv = python.command("-s", "-P", "-m", "stigmer_packaging.freeze.seams", str(settings))
        return argv, {"PYTHONPATH": str(_PACKAGING)}
    tools = ("objdump", "objcopy") if python.interpreter.target.system == "linux" else ("codesign",)
    if absent := [name for name in tools if not shutil.which(name, path=env.get("PATH"))]:
        raise MissingToolError(f"freezing needs {' and '.join(absent)}", _REMEDY)
    argv = python.command("-I", "-m", "venv", "--without-pip", str(work / "venv"))
    command.run(argv, env=plain_environment(env), seconds=SECONDS)
    (site,) = (work / "venv").glob("lib/python*/site-packages")
    site.rmdir()
    site.symlink_to(python.site.folder)
    return [str(work / "venv" / "bin" / "python"), "-s", "-P", "-m", "PyInstaller"], {}
