"""Installs a lock's distributions for any platform: unpacks their wheels into a site-packages folder for it.

The platform's own Python is not run. Sources: PEP 427 for the contents of a wheel; the options of `pip download` for
choosing one.
"""

import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from stigmer_packaging.freeze.ownership import resolve_owners
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.distributions import rewrite_record
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import CommandError, GateError, raise_if_any
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.lib.target import Target
from stigmer_packaging.records.model import OmittedModule
from stigmer_packaging.sources.locks import Pin, render_requirements
from stigmer_packaging.sources.wheel import extract_all

FORMAT = 1  # to be incremented when sites are made differently, so that those in the cache are not used
SECONDS = 1800
_OMITTED = "left-out.json"
_MODULES = ("purelib", "platlib")
_OLDEST_MANYLINUX = 5
_PIP = ("-I", "-m", "pip", "--quiet", "--disable-pip-version-check")
_LOCKED = ("--no-deps", "--require-hashes")
_REMEDY = "lock a version that has wheels, or put its source into the tree and depend on its folder"
_NO_WHEEL = re.compile(r"satisfies the requirement (\S+?)==(\S+) \(from versions: ([^)]*)\)")
_MACHINES = {("linux", "arm64"): "aarch64", ("darwin", "arm64"): "arm64"}


@dataclass(frozen=True)
class Platform:
    """What wheels are chosen for: a target, the oldest glibc or macOS to run on, and a version of Python."""

    target: Target
    oldest: str
    python: str

    @property
    def machine(self) -> str:
        """The processor, as `platform.machine()` returns it on the platform."""
        return _MACHINES.get(self.target, "x86_64")

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of wheels that run on the platform; pip itself adds those of older macOS. Source: PEP 600."""
        major, minor = (*self.oldest.split("."), "0")[:2]
        if self.target.system == "darwin":
            return (f"macosx_{major}_{minor}_{self.machine}",)
        numbered = [f"manylinux_2_{number}" for number in range(int(minor), _OLDEST_MANYLINUX - 1, -1)]
        named = (*numbered, "manylinux2014", "manylinux2010", "manylinux1", "linux")
        return tuple(f"{tag}_{self.machine}" for tag in named)

    @property
    def markers(self) -> dict[str, str]:
        """The values with which a lock's markers are evaluated; release and version of the system are left empty."""
        system = {"linux": "Linux", "darwin": "Darwin"}[self.target.system]
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": ".".join(self.python.split(".")[:2]),
            "sys_platform": self.target.system,
        }

    @property
    def options(self) -> tuple[str, ...]:
        """The options with which pip chooses wheels for this platform instead of its own."""
        short = "".join(self.python.split(".")[:2])
        words = [word for tag in self.tags for word in ("--platform", tag)]
        abis = [word for abi in (f"cp{short}", "abi3", "none") for word in ("--abi", abi)]
        return (*words, *abis, "--python-version", self.python, "--implementation", "cp", "--only-binary=:all:")


@dataclass(frozen=True)
class Site:
    """A site-packages folder with exactly the distributions of a lock, without the modules in `omitted`."""

    folder: Path
    omitted: tuple[OmittedModule, ...] = ()


def provide_site(
    pins: Sequence[Pin],
    platform: Platform,
    *,
    cache: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
    owners: Mapping[str, str] | None = None,
    builder: Interpreter | None = None,
) -> Site:
    """Return the distributions of `pins`, which must all apply to the platform, from the cache or newly installed.

    Of a module in `owners`, only the named distribution's files are kept. `builder` is the platform's Python, if that
    runs here: it builds distributions that are locked without a wheel. GateError lists every distribution without a
    wheel for the platform, with the newest version that has one.
    """
    sorted_owners = dict(sorted((owners or {}).items()))
    built_with = (builder.identity, builder.executable) if builder else ()
    key = digest.sha256_of_value(FORMAT, render_requirements(pins), sorted_owners, asdict(platform), *built_with)[:20]

    def install(staging: Path) -> Path:
        report(f"fetching {len(pins)} wheels for {platform.target}")
        wheels = staging / "wheels"
        wheels.mkdir(parents=True)
        pip = _Pip(platform, wheels, build_environment(env), builder)
        pip.download([pin for pin in pins if not pin.source_only])
        pip.build([pin for pin in pins if pin.source_only])
        output = staging / "output"
        site = output / "site-packages"
        site.mkdir(parents=True)
        last = {canonicalize_name(owner) for owner in sorted_owners.values()}  # as resolve_owners requires
        names = sorted(file.name for file in wheels.glob("*.whl"))
        for name in sorted(names, key=lambda name: parse_wheel_filename(name)[0] in last):
            unpack_wheel(wheels / name, site)
        omitted = resolve_owners(site, sorted_owners)
        text = json.dumps([asdict(each) for each in omitted], indent=1)
        (output / _OMITTED).write_text(text, encoding="utf-8")
        return output

    folder = make_once(cache / "sites" / key, install, checked=True)
    omitted = json.loads((folder / _OMITTED).read_text(encoding="utf-8"))
    return Site(folder / "site-packages", tuple(OmittedModule(**each) for each in omitted))


def unpack_wheel(wheel: Path, site: Path) -> None:
    """Unpack a wheel's modules and metadata, without scripts, headers and other data, which no import needs."""
    extract_all(wheel, site)
    for folder in sorted(site.glob("*.data")):
        for kind in _MODULES:
            if (folder / kind).is_dir():
                shutil.copytree(folder / kind, site, dirs_exist_ok=True)
        shutil.rmtree(folder)
        rewrite_record(folder.with_suffix(".dist-info") / "RECORD", partial(_unpacked_path, data=folder.name))


def _unpacked_path(path: str, *, data: str) -> str:
    """Return the path of a wheel's file after unpacking, or an empty string if it is not unpacked."""
    if not path.startswith(f"{data}/"):
        return path
    kind, _, rest = path.removeprefix(f"{data}/").partition("/")
    return rest if kind in _MODULES else ""


@dataclass(frozen=True)
class _Pip:
    """Runs pip to put wheels for a platform into a folder; `builder` is the platform's Python if that runs here."""

    platform: Platform
    folder: Path
    env: Mapping[str, str]
    builder: Interpreter | None

    def download(self, pins: Sequence[Pin]) -> None:
        """Download wheels; pip stops at the first missing one, so it is run again without that to find the others."""
        remaining, missing = list(pins), []
        while remaining:
            try:
                self._run(remaining, "download", *_LOCKED, *self.platform.options, "--dest", str(self.folder))
                break
            except CommandError as error:
                if not (found := _NO_WHEEL.search(error.output)):
                    raise
                missing.append(f"{found[1]} {found[2]}; the newest version that has one: {found[3].split(', ')[-1]}")
                remaining = [pin for pin in remaining if pin.name != canonicalize_name(found[1])]
        target = self.platform.target
        system = f"{'glibc' if target.system == 'linux' else 'macOS'} {self.platform.oldest}"
        marker = f"\"sys_platform == '{target.system}' and platform_machine == '{self.platform.machine}'\""
        raise_if_any(
            GateError,
            f"no wheel runs on {target} with {system} and Python {self.platform.python}",
            missing,
            f"lock that version for this platform alone, with the marker {marker}",
        )

    def build(self, pins: Sequence[Pin]) -> None:
        """Build the distributions that are locked without a wheel, with the pinned setuptools.

        GateError if the build fails, or if it produces native code and the platform's own Python is not the builder.
        """
        if not pins:
            return
        names, known = ", ".join(f"{pin.name} {pin.version}" for pin in pins), set(self.folder.glob("*.whl"))
        chosen = ("--python", self.builder.executable) if self.builder else ()
        arguments = (*_LOCKED, "--no-build-isolation", "--no-binary=:all:", "--wheel-dir", str(self.folder))
        with command.translate_failure(
            GateError, f"the lock has no wheel of {names}, and it cannot be built here", _REMEDY
        ):
            self._run(pins, *chosen, "wheel", *arguments)
        built = sorted(file.name for file in set(self.folder.glob("*.whl")) - known)
        foreign = [name for name in built if not name.endswith("-none-any.whl")]
        if foreign and not self.builder:
            raise GateError(
                f"the lock has no wheel of {names}, and one built here is for this machine only, not for "
                f"{self.platform.target}: {', '.join(foreign)}",
                _REMEDY,
            )

    def _run(self, pins: Iterable[Pin], *arguments: str) -> None:
        requirements = self.folder / "requirements.lock"
        requirements.write_text(render_requirements(pins), encoding="utf-8")
        setuptools = {"PYTHONPATH": sysconfig.get_path("purelib")}  # for the builder, which may lack it
        pip = [sys.executable, *_PIP, *arguments, "-r", str(requirements)]
        command.run(pip, env={**self.env, **setuptools}, cwd=self.folder, seconds=SECONDS)
