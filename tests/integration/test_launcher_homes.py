"""Any home works, and replacing the version under a running server changes nothing until a restart."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stigmer_launcher.install.install import LOCK
from support.launcher_checks import assert_works, await_all_running, crash, server_state, watchdog
from support.launcher_payloads import build_libexec
from support.launcher_services import (
    LAUNCHER,
    Stigmer,
    eventually,
    fake_stack,
    finished,
    free_ports,
    hold,
    read_line,
    stigmer,
)


@pytest.mark.parametrize(("old", "new"), [("1.0.0", "1.1.0"), ("2.0.0", "1.9.0")], ids=["upgrade", "downgrade"])
def test_a_keg_replaced_under_the_running_server_changes_nothing_until_a_restart(
    tmp_path: Path, old: str, new: str
) -> None:
    """The old keg is deleted with its launcher; services are still restarted, and the new command stops and starts."""
    parts, cellar = fake_stack(), tmp_path / "cellar"
    own = shutil.copytree(LAUNCHER, cellar / old / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    first = Stigmer(build_libexec(cellar / old, parts, version=old), tmp_path / "home", launcher=own)
    first.started()
    with Stigmer(build_libexec(cellar / new, parts, version=new), tmp_path / "home") as second:
        shutil.rmtree(cellar / old)
        crash(second, "agent-runner")
        os.kill(watchdog(second), signal.SIGKILL)
        eventually(lambda: watchdog(second), "another watchdog")
        for words in ("version", "server status", "server"):
            assert f"{old} is running, {new} is installed: `stigmer server restart`" in second(*words.split()).out
        restarted = second("server", "restart")
        assert restarted.code == 0, restarted.err
        assert second.status()["version"] == new
        assert "Traceback" not in second.log("supervisor")
        assert len(server_state(second)) == 2


def test_a_running_version_is_not_removed_by_another_start(tmp_path: Path) -> None:
    parts = fake_stack()
    with stigmer(tmp_path, parts) as launcher:
        launcher.started()
        newer = Stigmer(build_libexec(tmp_path / "newer", parts, version="1.1.0"), launcher.home)
        assert newer("server").code == 0
        crash(launcher, "temporal")
        assert newer("server", "restart").code == 0


def test_a_restart_forgets_a_chosen_port_that_the_new_version_does_not_have(tmp_path: Path) -> None:
    parts, (chosen, default) = fake_stack(), free_ports(2)
    temporal = parts[0].component
    with_page = parts[0]._replace(component=temporal._replace(ports=(*temporal.ports, ("page", default))))
    older = Stigmer(build_libexec(tmp_path / "older", (with_page, *parts[1:])), tmp_path / "home")
    with Stigmer(build_libexec(tmp_path / "newer", parts, version="1.1.0"), older.home) as newer:
        assert older("server", "--port", f"page={chosen}").code == 0
        restarted = newer("server", "restart")
        assert (restarted.code, restarted.err) == (0, "")
        assert newer.status()["version"] == "1.1.0"


def test_a_command_in_a_copy_of_the_home_leaves_the_running_server_alone(running: Stigmer, tmp_path: Path) -> None:
    shutil.copytree(running.home, tmp_path / "copy", symlinks=True, ignore=shutil.ignore_patterns("control"))
    copy = Stigmer(Path(running.environment["STIGMER_PAYLOAD"]), tmp_path / "copy")
    before = running.status()["services"]
    assert copy("server", "stop").out == "Server is not running\n"
    assert [service["pid"] for service in running.status()["services"]] == [service["pid"] for service in before]


# `stigmer server`, which waits after its components are installed, before it uses them.
PREPARED = """
import sys
from stigmer_launcher.cli.commands import start as starting
from stigmer_launcher.__main__ import run

prepare = starting.prepare
def prepare_and_wait(*arguments, **options):
    result = prepare(*arguments, **options)
    print("prepared", flush=True)
    sys.stdin.readline()
    return result
starting.prepare = prepare_and_wait
sys.exit(run(["server", *sys.argv[1:]]))
"""


def starting(launcher: Stigmer, *arguments: str) -> subprocess.Popen[str]:
    """Begin such a start; return its process once its components are installed."""
    process = launcher.spawn(sys.executable, "-S", "-c", PREPARED, *arguments, stdin=subprocess.PIPE)
    wait_for_line(process, "prepared")
    return process


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    eventually(lambda: read_line(process) == f"{line}\n", line)


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("arguments", [(), ("--foreground",)], ids=["background", "foreground"])
def test_a_start_whose_version_another_start_has_removed_installs_it_again(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """The other start has another version, and no server was using the first one's yet."""
    parts = fake_stack()
    with stigmer(tmp_path, parts) as launcher, starting(launcher, *arguments) as first:
        newer = Stigmer(build_libexec(tmp_path / "newer", parts, version="1.1.0"), launcher.home)
        newer.started()
        assert newer("server", "stop").code == 0
        assert [path.name[:6] for path in (launcher.home / "versions").iterdir()] == ["1.1.0-"]
        go_on(first)
        wait_for_line(first, "prepared")
        go_on(first)
        await_all_running(launcher)
        assert launcher.status()["version"] == "1.0.0"
        assert launcher("server", "stop").code == 0
        assert first.wait(timeout=30) == 0


def test_a_start_that_waits_for_another_installation_can_be_stopped(launcher: Stigmer) -> None:
    """No service is running yet, so none has to be stopped first."""
    with starting(launcher) as first:
        with hold(launcher.home / "run" / LOCK) as other:
            assert read_line(other) == "held\n"
            go_on(first)
            eventually(lambda: f"Waiting for process {other.pid}" in launcher.log("supervisor"), "the waiting")
            stopped = launcher("server", "stop")
            finished(other)
        assert (stopped.code, launcher.children()) == (0, []), stopped.err
        assert finished(first).code != 0
    launcher.started()


def test_a_home_behind_a_link_is_one_home(tmp_path: Path) -> None:
    libexec = build_libexec(tmp_path / "keg", fake_stack())
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Stigmer(libexec, tmp_path / "real") as real, Stigmer(libexec, tmp_path / "link") as link:
        link.started()
        assert real("server").out.startswith("Stigmer is running already")
        assert real("server", "stop").code == 0
        assert link.processes() == real.processes() == []


def test_without_home_the_password_database_is_used(launcher: Stigmer) -> None:
    """With STIGMER_HOME nothing else is needed; `config path` shows the home found without either variable."""
    del launcher.environment["HOME"]
    assert_works(launcher)
    del launcher.environment["STIGMER_HOME"]
    assert launcher("config", "path").out.endswith("/.stigmer/config.yaml\n")
