"""systemd and launchd: readiness notification, detection, and the commands that stop or restart the server."""

import os
import socket
from pathlib import Path

import pytest

from stigmer_launcher.system.service_manager import Unit, command_for, find_unit, launchd_job, notify_ready, unit_in

USERS = "/user.slice/user-1000.slice/user@1000.service/app.slice"
BREW = f"0::{USERS}/homebrew.stigmer.service\n"


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_the_notify_socket_receives_the_message(tmp_path: Path, kind: str) -> None:
    if kind == "abstract" and not Path("/proc/net/unix").exists():
        pytest.skip("only Linux has abstract sockets")
    name = str(tmp_path / "notify") if kind == "file" else f"@stigmer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0"))
        receiver.settimeout(10)
        notify_ready({"NOTIFY_SOCKET": name})
        assert receiver.recv(100) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_notifying_without_a_listening_manager_is_not_an_error(environ: dict[str, str]) -> None:
    notify_ready(environ)


@pytest.mark.parametrize(
    ("cgroup", "restart"),
    [
        (BREW, "brew services restart stigmer"),
        (f"0::{USERS}/stack.service\n", "systemctl --user restart stack.service"),
        ("0::/system.slice/stack.service\n", "sudo systemctl restart stack.service"),
        ("5:memory:/x.service\n1:name=systemd:/system.slice/stack.service\n", "sudo systemctl restart stack.service"),
    ],
)
def test_a_unit_is_restarted_by_its_manager(cgroup: str, restart: str) -> None:
    unit = unit_in(cgroup)
    assert unit is not None
    assert unit.command("restart") == restart


@pytest.mark.parametrize(
    "cgroup", ["", "0::/\n", f"0::{USERS}/vte-spawn-1.scope\n", "0::/user.slice/session-3.scope\n"]
)
def test_a_terminal_is_not_a_unit(cgroup: str) -> None:
    assert unit_in(cgroup) is None


@pytest.mark.parametrize(
    ("command", "parent", "session", "unit"),
    [
        ("stigmer server --foreground", "systemd", 5, Unit("homebrew.stigmer.service", "systemctl --user")),
        ("stigmer server", "systemd", 5, None),
        ("stigmer server --foreground", "bash", 5, None),
        ("stigmer server --foreground", "systemd", 3, None),
    ],
    ids=[
        "foreground under systemd",
        "background, its command has ended",
        "foreground under a shell",
        "its shell has ended",
    ],
)
def test_a_server_belongs_to_the_unit_that_systemd_started(
    tmp_path: Path, command: str, parent: str, session: int, unit: Unit | None
) -> None:
    """The server is process 5, its parent process 1. A terminal, such as tmux, may be a unit, too."""
    files = {
        "5/cmdline": command.replace(" ", "\0") + "\0",
        "5/stat": f"5 (stigmer (x) y) S 1 5 {session} 0",
        "5/cgroup": BREW,
        "1/comm": f"{parent}\n",
    }
    assert find_unit(5, proc=str(tmp_path)) is None, "the process is gone"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert find_unit(5, proc=str(tmp_path)) == unit


@pytest.mark.parametrize(
    ("label", "uid", "stop", "restart"),
    [
        ("homebrew.mxcl.stigmer", 501, "brew services stop stigmer", "brew services restart stigmer"),
        ("homebrew.mxcl.stigmer@2", 0, "brew services stop stigmer@2", "brew services restart stigmer@2"),
        ("org.me.stack", 501, "launchctl bootout gui/501/org.me.stack", "launchctl kickstart -k gui/501/org.me.stack"),
        ("org.me.stack", 0, "launchctl bootout system/org.me.stack", "launchctl kickstart -k system/org.me.stack"),
    ],
)
def test_a_job_is_stopped_and_restarted_by_launchd(
    monkeypatch: pytest.MonkeyPatch, label: str, uid: int, stop: str, restart: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert (command_for("stop", 5, label), command_for("restart", 5, label)) == (stop, restart)


@pytest.mark.parametrize(
    ("environ", "parent", "job"),
    [
        ({"XPC_SERVICE_NAME": "homebrew.mxcl.stigmer"}, 1, "homebrew.mxcl.stigmer"),
        ({}, 1, ""),
        ({"XPC_SERVICE_NAME": "0"}, 1, ""),
        ({"XPC_SERVICE_NAME": "homebrew.mxcl.tmux"}, 700, ""),
        ({"XPC_SERVICE_NAME": "application.com.googlecode.iterm2.1.2"}, 1, ""),
        ({"XPC_SERVICE_NAME": "com.apple.Terminal.5"}, 1, ""),
    ],
    ids=["a job", "no launchd", "a shell", "a shell in a job", "orphan of an application", "orphan of a terminal"],
)
def test_a_server_belongs_to_the_job_that_launchd_started(environ: dict[str, str], parent: int, job: str) -> None:
    """Shells and their children inherit the variable, and launchd becomes the parent of orphans."""
    assert launchd_job(environ, parent) == job
