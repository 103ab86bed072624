"""A lock's distributions for any platform: their wheels, unpacked as a site-packages folder of that platform.

The platform's own Python is not run. Sources: PEP 427 for what is in a wheel; pip download's options for choosing one.
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

from stigmer_packaging.freeze.ownership import settle_owners
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.distributions import rewrite_record
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import CommandError, GateError, refuse
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.lib.target import Target
from stigmer_packaging.records.model import LeftOut
from stigmer_packaging.sources.locks import Pin, render_requirements
from stigmer_packaging.sources.wheel import extract_all

FORMAT = 1  # counts how sites are made, so that those made otherwise are not taken for current
SECONDS = 1800
_LEFT_OUT = "left-out.json"
_MODULES = ("purelib", "platlib")
_OLDEST_MANYLINUX = 5
_PIP = ("-I", "-m", "pip", "--quiet", "--disable-pip-version-check")
_WHOLE = ("--no-deps", "--require-hashes")
_REMEDY = "lock a version that has wheels, or put its source into the tree and depend on its folder"
_NO_WHEEL = re.compile(r"satisfies the requirement (\S+?)==(\S+) \(from versions: ([^)]*)\)")
_MACHINES = {("linux", "arm64"): "aarch64", ("darwin", "arm64"): "arm64"}


@dataclass(frozen=True)
class Platform:
    """For what wheels are chosen: a target, the oldest glibc or macOS it promises to run on, and a Python's version."""

    target: Target
    oldest: str
    python: str

    @property
    def machine(self) -> str:
        """The processor as `platform.machine()` names it there."""
        return _MACHINES.get(self.target, "x86_64")

    @property
    def tags(self) -> tuple[str, ...]:
        """The platform tags of wheels that run there. pip adds those of older macOS by itself. Source: PEP 600."""
        major, minor = (*self.oldest.split("."), "0")[:2]
        if self.target.system == "darwin":
            return (f"macosx_{major}_{minor}_{self.machine}",)
        numbered = [f"manylinux_2_{number}" for number in range(int(minor), _OLDEST_MANYLINUX - 1, -1)]
        named = (*numbered, "manylinux2014", "manylinux2010", "manylinux1", "linux")
        return tuple(f"{tag}_{self.machine}" for tag in named)

    @property
    def markers(self) -> dict[str, str]:
        """The values that a lock's markers are about; release and version of the system are nobody's business."""
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
        """What tells pip to choose for this platform in place of its own."""
        short = "".join(self.python.split(".")[:2])
        words = [word for tag in self.tags for word in ("--platform", tag)]
        abis = [word for abi in (f"cp{short}", "abi3", "none") for word in ("--abi", abi)]
        return (*words, *abis, "--python-version", self.python, "--implementation", "cp", "--only-binary=:all:")


@dataclass(frozen=True)
class Site:
    """A site-packages folder that holds exactly what a lock names, less what `left_out` says."""

    folder: Path
    left_out: tuple[LeftOut, ...] = ()


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
    """Give the distributions of these pins for a platform, made if they are not in the cache; all pins apply there.

    Of a module in `owners`, only the named distribution's files are kept. `builder` is the platform's Python where it
    runs here: what is locked without a wheel is built with it. GateError with every distribution that has no wheel for
    the platform, and the newest version that has one.
    """
    settled = dict(sorted((owners or {}).items()))
    built_with = (builder.identity, builder.executable) if builder else ()
    key = digest.sha256_of_value(FORMAT, render_requirements(pins), settled, asdict(platform), *built_with)[:20]

    def make(folder: Path) -> Path:
        report(f"fetching {len(pins)} wheels for {platform.target}")
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        pip = _Pip(platform, wheels, build_environment(env), builder)
        pip.download([pin for pin in pins if not pin.source_only])
        pip.build([pin for pin in pins if pin.source_only])
        made = folder / "made"
        (made / "site-packages").mkdir(parents=True)
        last = {canonicalize_name(owner) for owner in settled.values()}
        names = sorted(file.name for file in wheels.glob("*.whl"))
        for name in sorted(names, key=lambda name: parse_wheel_filename(name)[0] in last):
            unpack_wheel(wheels / name, made / "site-packages")
        left_out = settle_owners(made / "site-packages", settled)
        text = json.dumps([asdict(each) for each in left_out], indent=1)
        (made / _LEFT_OUT).write_text(text, encoding="utf-8")
        return made

    place = make_once(cache / "sites" / key, make, checked=True)
    left_out = json.loads((place / _LEFT_OUT).read_text(encoding="utf-8"))
    return Site(place / "site-packages", tuple(LeftOut(**each) for each in left_out))


def unpack_wheel(wheel: Path, site: Path) -> None:
    """Unpack a wheel's modules and metadata; its scripts, headers and other data are for no module search path."""
    extract_all(wheel, site)
    for folder in sorted(site.glob("*.data")):
        for kind in _MODULES:
            if (folder / kind).is_dir():
                shutil.copytree(folder / kind, site, dirs_exist_ok=True)
        shutil.rmtree(folder)
        rewrite_record(folder.with_suffix(".dist-info") / "RECORD", partial(_as_unpacked, data=folder.name))


def _as_unpacked(path: str, *, data: str) -> str:
    """Name a file of a wheel as it lies after unpacking; nothing for one that is not unpacked."""
    if not path.startswith(f"{data}/"):
        return path
    kind, _, rest = path.removeprefix(f"{data}/").partition("/")
    return rest if kind in _MODULES else ""


@dataclass(frozen=True)
class _Pip:
    """pip, which puts wheels for a platform into a folder; `builder` is the platform's Python where it runs here."""

    platform: Platform
    folder: Path
    env: Mapping[str, str]
    builder: Interpreter | None

    def download(self, pins: Sequence[Pin]) -> None:
        """Have pip choose and check wheels; it stops at the first that is missing, and so is asked again for the others."""
        left, missing = list(pins), []
        while left:
            try:
                self._run(left, "download", *_WHOLE, *self.platform.options, "--dest", str(self.folder))
                break
            except CommandError as error:
                if not (found := _NO_WHEEL.search(error.output)):
                    raise
                missing.append(f"{found[1]} {found[2]}; the newest version that has one: {found[3].split(', ')[-1]}")
                left = [pin for pin in left if pin.name != canonicalize_name(found[1])]
        target = self.platform.target
        system = f"{'glibc' if target.system == 'linux' else 'macOS'} {self.platform.oldest}"
        marker = f"\"sys_platform == '{target.system}' and platform_machine == '{self.platform.machine}'\""
        refuse(
            GateError,
            f"no wheel runs on {target} with {system} and Python {self.platform.python}",
            missing,
            f"lock that version for this platform alone, with the marker {marker}",
        )

    def build(self, pins: Sequence[Pin]) -> None:
        """Build what is locked without a wheel, with the pinned setuptools.

        GateError when it cannot be built, and for native code unless the platform's own Python builds it.
        """
        if not pins:
            return
        names, known = ", ".join(f"{pin.name} {pin.version}" for pin in pins), set(self.folder.glob("*.whl"))
        chosen = ("--python", self.builder.executable) if self.builder else ()
        words = (*_WHOLE, "--no-build-isolation", "--no-binary=:all:", "--wheel-dir", str(self.folder))
        with command.failing_as(GateError, f"the lock has no wheel of {names}, and it cannot be built here", _REMEDY):
            self._run(pins, *chosen, "wheel", *words)
        built = sorted(file.name for file in set(self.folder.glob("*.whl")) - known)
        foreign = [name for name in built if not name.endswith("-none-any.whl")]
        if foreign and not self.builder:
            raise GateError(
                f"the lock has no wheel of {names}, and what is built of it here is for this machine alone, not for "
                f"{self.platform.target}: {', '.join(foreign)}",
                _REMEDY,
            )

    def _run(self, pins: Iterable[Pin], *words: str) -> None:
        wanted = self.folder / "requirements.lock"
        wanted.write_text(render_requirements(pins), encoding="utf-8")
        setuptools = {"PYTHONPATH": sysconfig.get_path("purelib")}  # for the builder, which need not have them
        whole = [sys.executable, *_PIP, *words, "-r", str(wanted)]
        command.run(whole, env={**self.env, **setuptools}, cwd=self.folder, seconds=SECONDS)
