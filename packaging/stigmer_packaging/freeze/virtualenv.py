"""Locked virtual environments in the cache: made once for a lock and a Python, whole or not at all."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from stigmer_packaging.freeze.ownership import settle_owners
from stigmer_packaging.freeze.pyinstaller import FreezingPython
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import CommandError, GateError, MissingToolError
from stigmer_packaging.lib.interpreter import Interpreter, plain_environment, require_library
from stigmer_packaging.lib.target import Target
from stigmer_packaging.records.model import LeftOut
from stigmer_packaging.sources.locks import Pin, render_requirements

SECONDS = 1800
RECIPE = 3  # counts how environments are made, so that those of another recipe are not taken for current
_INSTALL = ("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--no-compile")
"""A whole lock needs no resolver, which would refuse one that leaves a needless dependency out."""

_WHEELS = "--only-binary=:all:"
_SOURCES = ("--no-build-isolation", "--no-binary=:all:")
"""For what is locked without a wheel: it is built with the pinned setuptools, and nothing is fetched for the building."""

_LEFT_OUT = "left-out.json"
# The values of the dependency specifiers' standard, which needs no library to be installed.
_MARKERS = """
import json, os, platform, sys
implementation = sys.implementation.version
version = ".".join(map(str, implementation[:3]))
if implementation.releaselevel != "final":
    version += implementation.releaselevel[0] + str(implementation.serial)
print(json.dumps({
    "implementation_name": sys.implementation.name,
    "implementation_version": version,
    "os_name": os.name,
    "platform_machine": platform.machine(),
    "platform_release": platform.release(),
    "platform_system": platform.system(),
    "platform_version": platform.version(),
    "python_full_version": platform.python_version(),
    "platform_python_implementation": platform.python_implementation(),
    "python_version": ".".join(platform.python_version_tuple()[:2]),
    "sys_platform": sys.platform,
}))
"""


@dataclass(frozen=True)
class VirtualEnvironment:
    """A virtual environment that holds exactly what its lock names, less what `left_out` says."""

    interpreter: Interpreter
    folder: Path
    left_out: tuple[LeftOut, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """The programs of the machine that PyInstaller calls."""
        return ("objdump", "objcopy") if self.interpreter.target.system == "linux" else ("codesign",)

    @property
    def site(self) -> Path:
        """Where the distributions are installed."""
        major, minor, *_ = self.interpreter.version.split(".")
        return self.folder / "lib" / f"python{major}.{minor}" / "site-packages"

    def words(self, *arguments: str) -> list[str]:
        """Give the command that runs this environment's Python with these arguments."""
        return [str(self.folder / "bin" / "python"), *arguments]

    def pyinstaller(self, work: Path) -> tuple[list[str], dict[str, str]]:
        """Give the command that runs PyInstaller as it is."""
        del work
        return self.words("-s", "-P", "-m", "PyInstaller"), {}


@dataclass(frozen=True)
class NativePython:
    """A Python of this machine, which freezes for this machine's own platform."""

    interpreter: Interpreter

    @property
    def target(self) -> Target:
        """The platform it is for."""
        return self.interpreter.target

    def markers(self, env: Mapping[str, str]) -> dict[str, str]:
        """Ask it for the values that a lock's markers are about."""
        return read_markers(self.interpreter, env=env)

    def environment(
        self,
        pins: Sequence[Pin],
        *,
        cache: Path,
        env: Mapping[str, str],
        report: Callable[[str], None],
        owners: Mapping[str, str],
    ) -> VirtualEnvironment:
        """Give a virtual environment of it; MissingToolError when it has no shared library."""
        require_library(self.interpreter)
        return provide_virtualenv(
            pins, interpreter=self.interpreter, cache=cache, env=env, report=report, owners=owners
        )


def at_hand(interpreter: Interpreter) -> FreezingPython:
    """Freeze with an interpreter that is there."""
    return FreezingPython((interpreter.version, interpreter.identity), lambda: NativePython(interpreter))


def provide_virtualenv(
    pins: Sequence[Pin],
    *,
    interpreter: Interpreter,
    cache: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
    owners: Mapping[str, str] | None = None,
) -> VirtualEnvironment:
    """Give the environment that holds these pins, made if it is not in the cache; all of them apply to the interpreter.

    Of a module in `owners`, only the named distribution's files are in it. The environment appears under its name by
    one rename, so a run that was killed leaves nothing that is taken for whole, and what such a run started may go on
    in a folder of its own. The lock file beside it lets one process make it while others wait.
    """
    lock, settled = render_requirements(pins), dict(sorted((owners or {}).items()))
    key = digest.sha256_of_value(RECIPE, lock, settled, interpreter.identity, interpreter.executable)[:20]

    def make(folder: Path) -> Path:
        report(f"installing the locked environment for Python {interpreter.version}")
        _make(VirtualEnvironment(interpreter, folder / "made"), pins, settled, env)
        return folder / "made"

    place = make_once(cache / "environments" / key, make)
    left_out = json.loads((place / _LEFT_OUT).read_text(encoding="utf-8"))
    return VirtualEnvironment(interpreter, place, tuple(LeftOut(**each) for each in left_out))


def read_markers(interpreter: Interpreter, *, env: Mapping[str, str]) -> dict[str, str]:
    """Ask a Python for the values that a lock's markers are about."""
    words = [interpreter.executable, "-I", "-c", _MARKERS]
    markers: dict[str, str] = json.loads(command.run(words, env=plain_environment(env), seconds=120).stdout)
    return markers


def _make(made: VirtualEnvironment, pins: Sequence[Pin], owners: Mapping[str, str], env: Mapping[str, str]) -> None:
    interpreter = made.interpreter
    venv = [interpreter.executable, "-I", "-m", "venv", str(made.folder)]
    done = command.run(venv, env=plain_environment(env), seconds=SECONDS, check=False)
    if done.code != 0:
        raise MissingToolError(
            f"{interpreter.executable} cannot make a virtual environment: {(done.stdout + done.stderr).strip()}",
            "on Debian and Ubuntu install python3-venv",
        )
    network = build_environment(env)
    last = {canonicalize_name(owner) for owner in owners.values()}
    for batch in ([pin for pin in pins if pin.name not in last], [pin for pin in pins if pin.name in last]):
        _install(made, [pin for pin in batch if not pin.source_only], (_WHEELS,), network)
        _build(made, [pin for pin in batch if pin.source_only], network)
    _remove_installers(made, {pin.name for pin in pins}, network)
    left_out = settle_owners(made.site, owners)
    text = json.dumps([asdict(each) for each in left_out], indent=1)
    (made.folder / _LEFT_OUT).write_text(text, encoding="utf-8")


def _install(made: VirtualEnvironment, pins: Sequence[Pin], options: Sequence[str], network: Mapping[str, str]) -> None:
    if pins:
        wanted = made.folder / "requirements.lock"
        wanted.write_text(render_requirements(pins), encoding="utf-8")
        command.run(made.words(*_INSTALL, *options, "-r", str(wanted)), env=network, seconds=SECONDS)


def _build(made: VirtualEnvironment, pins: Sequence[Pin], network: Mapping[str, str]) -> None:
    """Install what is locked without a wheel; GateError when the pinned setuptools cannot build it."""
    try:
        _install(made, pins, _SOURCES, network)
    except CommandError as error:
        names = ", ".join(f"{pin.name} {pin.version}" for pin in pins)
        raise GateError(
            f"the lock has no wheel of {names}, and it cannot be built here: {error}",
            "lock a version that has wheels, or put its source into the tree and depend on its folder",
        ) from error


def _remove_installers(made: VirtualEnvironment, named: Collection[str], network: Mapping[str, str]) -> None:
    """Take out what only installing needed and the lock does not name, so that it can neither be frozen nor clash."""
    if unwanted := [name for name in ("setuptools", "pip") if name not in named]:
        command.run(made.words("-m", "pip", "uninstall", "--quiet", "--yes", *unwanted), env=network, seconds=SECONDS)
