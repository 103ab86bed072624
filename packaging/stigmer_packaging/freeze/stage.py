"""Freezes the launcher and the Python services, and fails for whatever would break on a user's machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from stigmer_packaging.freeze import bundle, gates, probes, pyinstaller, stdlib
from stigmer_packaging.freeze.ownership import modules_to_import
from stigmer_packaging.freeze.probes import ServiceProbe
from stigmer_packaging.freeze.pyinstaller import Environment, FreezePlan, FreezingPython, Frozen
from stigmer_packaging.freeze.wheels import provide_site
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.distributions import read_distributions
from stigmer_packaging.lib.errors import ForeignTargetError, GateError
from stigmer_packaging.lib.target import SYSTEMS, Target
from stigmer_packaging.manifest.model import FreezeTable, Manifest
from stigmer_packaging.manifest.rename import PACKAGE, copy_launcher, render_version
from stigmer_packaging.records.model import BuiltPart, OmittedModule
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources import locks
from stigmer_packaging.sources.locks import Pin
from stigmer_packaging.sources.service_source import IGNORED, ServiceSource

CONTENTS = "lib"
DROPPED_HOOKS = ("pyi_rth_inspect",)
"""It imports `inspect`, three quarters of a small program's start time, to find source code, which no bundle has."""

BOOT = ("struct", "zlib")
"""Modules that the start of every bundle imports. Their shared libraries are only bundled if they are named here."""

LAUNCHER_OPTIMIZE = 2
SERVICE_OPTIMIZE = 0
"""Without -O: a tool's docstring is its description for the language model, and libraries check input with assert."""


@dataclass(frozen=True)
class Freezer:
    """The parameters of every freeze for one target, apart from the sources.

    `pins` is the text of the lock that pins PyInstaller; `source_date_epoch` is in seconds since 1970; `env` is the
    result of build_environment, with the oldest macOS to run on for a Mac; `report` is called with progress messages;
    `runs_here` is whether programs of the target run here; otherwise they are frozen, but not tested.
    """

    target: Target
    python: FreezingPython
    pins: str
    source_date_epoch: int
    env: Mapping[str, str]
    workspace: Workspace
    report: Callable[[str], None]
    runs_here: bool

    def note(self, text: str) -> None:
        """Report something that is also written to the step's log."""
        self.report(text)
        command.log_text(text)

    def add_part(self, folder: Path, name: str, **facts: Any) -> BuiltPart:
        """Add a frozen part with these facts to the workspace."""
        target = str(self.target)
        return self.workspace.add_part(folder, f"freeze/{target}/{name}", component=name, target=target, **facts)

    def facts(self) -> dict[str, object]:
        """Return the parameters that affect the result, as plain values."""
        pins = locks.select_pins(locks.parse_lock(self.pins), pyinstaller.DISTRIBUTIONS)
        return {
            "target": str(self.target),
            "python": self.python.identity,
            "macos": self.env.get("MACOSX_DEPLOYMENT_TARGET", ""),
            "pyinstaller": [(pin.requirement, str(pin.marker)) for pin in pins],
            "source_date_epoch": self.source_date_epoch,
        }


def launcher_facts(source: Path, *, manifest: Manifest, freezer: Freezer) -> dict[str, object]:
    """Return everything that the frozen launcher depends on; `source` is the folder that contains its package."""
    tree = digest.sha256_of_tree(source / PACKAGE, ignored=IGNORED)
    return {"tree": tree, "version": render_version(manifest), **freezer.facts()}


def service_facts(source: ServiceSource, *, version: str, probe: ServiceProbe, freezer: Freezer) -> dict[str, object]:
    """Return everything that a frozen service depends on: its project with its lock, and how it is tested."""
    return {"tree": source.sha256, "version": version, "probe": asdict(probe), **freezer.facts()}


def freeze_launcher(source: Path, *, manifest: Manifest, freezer: Freezer) -> BuiltPart:
    """Freeze the launcher as a program with the product's name and version.

    ForeignTargetError if the Python is for another platform, MissingToolError without libpython or binutils, GateError
    if the bundle lacks a module that it imports, or does not print its version.
    """
    python, name, version = provide((), freezer), manifest.product.name, manifest.product.version
    with freezer.workspace.staging() as staging:
        own = staging.absolute() / "source"
        copy_launcher(source, own, manifest)
        frozen = _freeze(_launcher_plan(name, own, python, freezer), python, staging, freezer)
        gates.check_modules(frozen.missing, PACKAGE)
        if freezer.runs_here:
            probes.check_answers(frozen.folder / name, name, version, env=freezer.env)
        return freezer.add_part(frozen.folder, "launcher", version=version, entry=name)


def freeze_service(
    source: ServiceSource, *, component: str, version: str, temporal: Path | None, probe: ServiceProbe, freezer: Freezer
) -> BuiltPart:
    """Freeze a Python service as its project and the manifest specify.

    `temporal` is the Temporal CLI for this machine's platform, with which a service that needs Temporal is tested.
    GateError if the locked environment cannot be frozen completely, or the frozen service does not work.
    """
    for line in source.describe():
        freezer.note(f"{component}: {line}")
    python = provide(source.pins, freezer, source.table.owners)
    imports = modules_to_import(python.site.folder, python.site.omitted)
    with freezer.workspace.staging() as staging:
        copied, with_probe = source.copy_to(staging.absolute() / "source"), freezer.runs_here and bool(imports)
        plan = _service_plan(component, copied, source.table, imports, with_probe=with_probe)
        frozen = _freeze(plan, python, staging, freezer)
        if freezer.runs_here:
            _test_service(frozen.folder / component, source, imports, probe, temporal, freezer)
        else:
            freezer.note(f"{component} for {freezer.target} is not tested: programs of that platform do not run here")
        omitted = python.site.omitted
        return freezer.add_part(frozen.folder, component, version=version, entry=component, omitted=omitted)


def provide(lock: Sequence[Pin], freezer: Freezer, owners: Mapping[str, str] | None = None) -> Environment:
    """Return the environment of a lock and PyInstaller; GateError unless it has exactly their distributions.

    Of a module in `owners`, it contains only the named distribution's files. ForeignTargetError if the Python is for
    another platform.
    """
    platform = freezer.python.platform
    if platform.target != freezer.target:
        raise ForeignTargetError(f"cannot freeze for {freezer.target} with a Python for {platform.target}")
    own = {pin.name for pin in lock}
    added = locks.select_pins(locks.parse_lock(freezer.pins), pyinstaller.DISTRIBUTIONS, without=own)
    pins = [pin for pin in (*lock, *added) if pin.applies(platform.markers)]
    cache, owners = freezer.workspace.cache.absolute(), owners or {}
    site_of = partial(provide_site, pins, cache=cache, env=freezer.env, report=freezer.report, owners=owners)
    python = freezer.python.assemble(site_of)
    installed = read_distributions(python.site.folder)
    gates.check_lock(installed, {pin.name: pin.version for pin in pins})
    gates.check_ownership(installed)
    _note_owners(python.site.omitted, owners, freezer.note)
    return python


def _test_service(
    program: Path,
    source: ServiceSource,
    imports: Sequence[str],
    probe: ServiceProbe,
    temporal: Path | None,
    freezer: Freezer,
) -> None:
    freezer.report(f"testing the frozen {program.name}")
    env, home = freezer.env, program.parents[1] / "home"
    try:
        if imports:
            probes.try_imports(program.with_name(pyinstaller.PROBE), imports, env=env)
        probes.try_service(program, source.table, probe, temporal=temporal, home=home, env=env)
    except GateError as error:
        raise probes.explain_excludes(error, source.settings) from error


def _note_owners(omitted: Sequence[OmittedModule], owners: Mapping[str, str], note: Callable[[str], None]) -> None:
    for each in omitted:
        note(f"the module {each.module} is taken from {each.owner}; that of {each.distribution} is left out")
    for module in sorted(owners.keys() - {each.module for each in omitted}):
        note(f"only one distribution has the module {module}; its owner need not be named")


def _launcher_plan(name: str, own: Path, python: Environment, freezer: Freezer) -> FreezePlan:
    """Plan all modules of the launcher: its commands are imported by name, which no analysis detects."""
    foreign = [system for system in SYSTEMS if system != freezer.target.system]
    modules = [path.relative_to(own).with_suffix("").as_posix() for path in sorted((own / PACKAGE).rglob("*.py"))]
    hidden = [module.replace("/", ".").removesuffix(".__init__") for module in modules]
    absent = [f"{PACKAGE}.system.{system}" for system in foreign]
    unneeded = stdlib.find_unneeded(own / PACKAGE, foreign=foreign, python=python, env=freezer.env)
    table = FreezeTable(
        entry=str(own / PACKAGE / "__main__.py"),
        startup=(),
        hidden_imports=(*BOOT, *(module for module in hidden if module not in absent)),
        excludes=tuple(module for module in (*unneeded, *absent) if module not in BOOT),
    )
    return FreezePlan(name, CONTENTS, table, (str(own),), LAUNCHER_OPTIMIZE, DROPPED_HOOKS)


def _service_plan(
    component: str, search: Sequence[Path], table: FreezeTable, imports: Sequence[str], *, with_probe: bool
) -> FreezePlan:
    """Plan a service; the modules in `imports` are frozen whether it imports them or not."""
    project = search[0]
    pairs = (pair.rpartition(":") for pair in table.add_data)
    absolute = replace(
        table,
        entry=str(project / table.entry),
        hidden_imports=(*table.hidden_imports, *imports),
        add_data=tuple(f"{project / path}:{folder}" for path, _, folder in pairs),
        hooks=tuple(str(project / folder) for folder in table.hooks),
        runtime_hooks=tuple(str(project / script) for script in table.runtime_hooks),
    )
    folders = tuple(map(str, (*(project / name for name in table.stand_ins), *search)))
    return FreezePlan(component, f"{component}.lib", absolute, folders, SERVICE_OPTIMIZE, with_probe=with_probe)


def _freeze(plan: FreezePlan, python: Environment, staging: Path, freezer: Freezer) -> Frozen:
    """Freeze a plan, and make the resulting folder relocatable."""
    work = staging.absolute() / "freeze"
    work.mkdir()
    epoch = freezer.source_date_epoch
    frozen = pyinstaller.freeze(plan, python=python, env=freezer.env, source_date_epoch=epoch, work=work)
    bundle.normalize(frozen.folder)
    bundle.remove_unused_metadata(frozen.folder)
    if freezer.target.system == "linux":
        bundle.strip_elves(frozen.folder)
        bundle.relocate(frozen.folder, plan.contents, env=freezer.env)
    else:
        bundle.relocate_machos(frozen.folder, plan.contents, freezer.target)
    return frozen
