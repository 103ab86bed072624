"""Any home will do, and a version replaced under the running server changes nothing until a restart."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.install.install import LOCK
from support.launcher_checks import all_run, kept, watchdog, works
from support.launcher_payloads import build_libexec
from support.launcher_services import (
    LAUNCHER,
    Stigmer,
    end,
    eventually,
    fake_stack,
    stigmer,
)


def copy_of_launcher(directory: Path) -> Path:
    """Copy the launcher, so that it can be deleted under a running server."""
    target = directory / "launcher"
    shutil.copytree(LAUNCHER, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.mark.parametrize(("old", "new"), [("1.0.0", "1.1.0"), ("2.0.0", "1.9.0")], ids=["upgrade", "downgrade"])
def test_a_keg_replaced_under_the_running_server_changes_nothing_until_a_restart(
    tmp_path: Path, old: str, new: str
) -> None:
    """The old one is deleted, launcher and all; services still come back, the new command stops and starts them."""
    parts = fake_stack()
    cellar = tmp_path / "cellar"
    first = Stigmer(
        build_libexec(cellar / old, parts, version=old), tmp_path / "home", launcher=copy_of_launcher(cellar / old)
    )
    first.started()
    second = Stigmer(build_libexec(cellar / new, parts, version=new), tmp_path / "home")
    try:
        shutil.rmtree(cellar / old)
        os.kill(second.pid("agent-runner"), signal.SIGKILL)
        eventually(lambda: "pausing" in second.log("supervisor"), "the crash to be seen")
        all_run(second)
        os.kill(watchdog(second), signal.SIGKILL)
        eventually(lambda: watchdog(second), "another watchdog")
        assert f"{old} is running, {new} is installed" in second("server", "status").out
        restarted = second("server", "restart")
        assert restarted.code == 0, restarted.err
        assert second.status()["version"] == new
        assert "Traceback" not in second.log("supervisor")
        works_after = kept(second)
        assert len(works_after) == 2
    finally:
        end(second)


def test_a_running_version_is_not_removed_by_another_start(tmp_path: Path) -> None:
    """A service that crashes must find its program."""
    parts = fake_stack()
    with stigmer(tmp_path, parts) as launcher:
        launcher.started()
        newer = Stigmer(build_libexec(tmp_path / "newer", parts, version="1.1.0"), launcher.home)
        assert newer("server").code == 0
        os.kill(launcher.pid("temporal"), signal.SIGKILL)
        eventually(lambda: "pausing" in launcher.log("supervisor"), "the crash to be seen")
        all_run(launcher)
        assert newer("server", "restart").code == 0
        end(newer)


# `stigmer server`, which waits between having its components and beginning to use them.
PREPARED = """
import sys
from stigmer_launcher.cli.commands import start as starting
from stigmer_launcher.__main__ import run

prepare = starting.prepare
def prepare_and_wait(*arguments, **options):
    made = prepare(*arguments, **options)
    print("prepared", flush=True)
    sys.stdin.readline()
    return made
starting.prepare = prepare_and_wait
sys.exit(run(["server", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("arguments", [(), ("--foreground",)], ids=["background", "foreground"])
def test_a_start_whose_version_is_removed_before_it_comes_to_use_it_makes_it_again(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Another version's start came in between, and knew of nobody who runs the first one's."""
    parts = fake_stack()
    with stigmer(tmp_path, parts) as launcher:
        command = [sys.executable, "-S", "-c", PREPARED, *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=launcher.environment, stdin=pipe, stdout=pipe, text=True, cwd="/") as first:
            assert first.stdin is not None
            assert first.stdout is not None
            eventually(lambda: first.stdout.readline() == "prepared\n", "the first start to have its components")
            newer = Stigmer(build_libexec(tmp_path / "newer", parts, version="1.1.0"), launcher.home)
            newer.started()
            assert newer("server", "stop").code == 0
            assert [path.name[:6] for path in (launcher.home / "versions").iterdir()] == ["1.1.0-"]
            first.stdin.write("\n")
            first.stdin.flush()
            eventually(lambda: first.stdout.readline() == "prepared\n", "the first start to begin again")
            first.stdin.write("\n")
            first.stdin.flush()
            all_run(launcher)
            assert launcher.status()["version"] == "1.0.0"
            assert launcher("server", "stop").code == 0
            assert first.wait(timeout=30) == 0


HOLDS = """
import sys
from stigmer_launcher.system import locks
with locks.wait(sys.argv[1], 10):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_start_that_waits_for_another_version_to_be_made_can_be_stopped(tmp_path: Path) -> None:
    """Nothing runs yet, so there is nothing to bring to an end first."""
    with stigmer(tmp_path) as launcher:
        pipe = subprocess.PIPE
        given: dict[str, Any] = {"env": launcher.environment, "stdin": pipe, "stdout": pipe, "text": True, "cwd": "/"}
        lock = str(launcher.home / "run" / LOCK)
        with subprocess.Popen([sys.executable, "-S", "-c", PREPARED], **given) as first:
            assert first.stdin is not None
            assert first.stdout is not None
            eventually(lambda: first.stdout.readline() == "prepared\n", "the start to have its components")
            with subprocess.Popen([sys.executable, "-S", "-c", HOLDS, lock], **given) as other:
                assert other.stdout is not None
                eventually(lambda: other.stdout.readline() == "held\n", "the lock to be held")
                first.stdin.write("\n")
                first.stdin.flush()
                eventually(lambda: f"Waiting for process {other.pid}" in launcher.log("supervisor"), "the waiting")
                stopped = launcher("server", "stop")
                other.communicate(timeout=10)
            assert (stopped.code, launcher.services()) == (0, []), stopped.err
            first.communicate(timeout=10)
        assert first.returncode != 0
        launcher.started()


def long_name(length: int) -> str:
    """Make a home whose path has so many characters, however deep the tests' own directory is."""
    return "/".join("d" * 20 for _ in range(length // 21 + 1))


@pytest.mark.parametrize(
    "name",
    ["with two  spaces", "größe-日本語", "quote'\"$HOME", long_name(200)],
    ids=["spaces", "unicode", "quotes", "long"],
)
def test_any_home_will_do(tmp_path: Path, name: str) -> None:
    """Whatever its path is made of."""
    libexec = build_libexec(tmp_path / "keg", fake_stack())
    launcher = Stigmer(libexec, tmp_path / name / "home")
    try:
        works(launcher)
    finally:
        end(launcher)


def test_a_home_behind_a_link_is_one_home(tmp_path: Path) -> None:
    """By either path the same server is found."""
    libexec = build_libexec(tmp_path / "keg", fake_stack())
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    real, link = Stigmer(libexec, tmp_path / "real"), Stigmer(libexec, tmp_path / "link")
    try:
        link.started()
        assert real("server").out.startswith("Stigmer is running already")
        assert real("server", "stop").code == 0
        assert link.processes() == real.processes() == []
    finally:
        end(real)


def test_without_home_the_password_database_knows_it(tmp_path: Path) -> None:
    """With STIGMER_HOME nothing else is needed; `config path` shows what is found without both."""
    with stigmer(tmp_path) as launcher:
        del launcher.environment["HOME"]
        works(launcher)
        del launcher.environment["STIGMER_HOME"]
        assert launcher("config", "path").out.endswith("/.stigmer/config.yaml\n")


def test_a_strict_umask_keeps_everything_working(tmp_path: Path) -> None:
    """What is to be executed can be, by its owner."""
    with stigmer(tmp_path) as launcher:
        process = launcher.popen("server", umask=0o077)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert launcher("smoke").code == 0
        works_mode = (launcher.home / "run" / "state.json").stat().st_mode
        assert works_mode & 0o077 == 0
