"""`stigmer server status`: addresses, and what to type where a service manager runs the server."""

import io
from pathlib import Path

import pytest

from stigmer_launcher.cli.commands.status import addresses, show
from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.supervise.state import ServiceSnapshot, Snapshot
from stigmer_launcher.system.service_manager import Job, Unit, command_for, find_unit, launchd_job, unit_in

USERS = "/user.slice/user-1000.slice/user@1000.service/app.slice"
BREW = f"0::{USERS}/homebrew.stigmer.service\n"


def test_every_port_has_an_address() -> None:
    snapshot = Snapshot(ports={"temporal": 7233, "temporal-ui": 8233, "server": 7234}, temporal="127.0.0.1:7233")
    assert list(addresses(snapshot)) == [
        ("temporal", "localhost:7233"),
        ("temporal-ui", "http://localhost:8233"),
        ("server", "localhost:7234"),
    ]


def test_a_temporal_of_somebody_else_is_shown_with_its_address() -> None:
    assert list(addresses(Snapshot(ports={"server": 7234}, temporal="there:7233"))) == [
        ("temporal", "there:7233 (external)"),
        ("server", "localhost:7234"),
    ]


def test_the_addresses_are_printed_for_a_server_that_runs() -> None:
    out = io.StringIO()
    service = ServiceSnapshot("temporal", "running")
    snapshot = Snapshot(supervisor_pid=5, state="running", ports={"temporal-ui": 8233}, services=(service,))
    show(Terminal(out, live=False, colour=False, unicode=False), snapshot, "running", 0, "/home/logs")
    assert out.getvalue().endswith("  temporal-ui  http://localhost:8233\n  logs         /home/logs\n")


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
    assert unit
    assert unit.command("restart") == restart


@pytest.mark.parametrize(
    "cgroup", ["", "0::/\n", f"0::{USERS}/vte-spawn-1.scope\n", "0::/user.slice/session-3.scope\n"]
)
def test_a_terminal_is_no_unit(cgroup: str) -> None:
    assert unit_in(cgroup) is None


def processes(folder: Path, *, command: str = "stigmer server --foreground", parent: str = "systemd") -> str:
    """Make the files of /proc for a server, process 5, and its parent, process 1."""
    files = {
        "5/cmdline": command.replace(" ", "\0") + "\0",
        "5/stat": "5 (stigmer (x) y) S 1 5 5 0",
        "5/cgroup": BREW,
        "1/comm": f"{parent}\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


def test_a_server_that_systemd_started_belongs_to_its_unit(tmp_path: Path) -> None:
    assert find_unit(5, proc=processes(tmp_path)) == Unit("homebrew.stigmer.service", is_users=True)


@pytest.mark.parametrize("changed", [{"command": "stigmer server"}, {"parent": "bash"}], ids=["background", "shell"])
def test_a_server_that_systemd_did_not_start_belongs_to_none(tmp_path: Path, changed: dict[str, str]) -> None:
    """In the background its parent is systemd as well, once the command that started it has ended."""
    assert find_unit(5, proc=processes(tmp_path, **changed)) is None


def test_a_process_that_is_gone_belongs_to_none(tmp_path: Path) -> None:
    assert find_unit(5, proc=str(tmp_path)) is None


@pytest.mark.parametrize(
    ("label", "uid", "stop", "restart"),
    [
        ("homebrew.mxcl.stigmer", 501, "brew services stop stigmer", "brew services restart stigmer"),
        ("homebrew.mxcl.stigmer@2", 0, "brew services stop stigmer@2", "brew services restart stigmer@2"),
        ("org.me.stack", 501, "launchctl bootout gui/501/org.me.stack", "launchctl kickstart -k gui/501/org.me.stack"),
        ("org.me.stack", 0, "launchctl bootout system/org.me.stack", "launchctl kickstart -k system/org.me.stack"),
    ],
)
def test_a_job_is_stopped_and_restarted_by_launchd(label: str, uid: int, stop: str, restart: str) -> None:
    assert (Job(label, uid).command("stop"), Job(label, uid).command("restart")) == (stop, restart)


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
    ids=["launchd", "no launchd", "a shell", "a shell in a job", "orphan of an application", "orphan of a terminal"],
)
def test_only_a_server_that_launchd_started_is_its_job(environ: dict[str, str], parent: int, job: str) -> None:
    """Shells and what they start inherit the variable, and whoever loses its parent gets launchd as one."""
    assert launchd_job(environ, parent) == job


def test_the_status_names_the_command_that_keeps_the_server_in_its_job() -> None:
    out = io.StringIO()
    snapshot = Snapshot(supervisor_pid=5, state="running", job="homebrew.mxcl.stigmer")
    show(Terminal(out, live=False, colour=False, unicode=False), snapshot, "running", 5, "/home/logs")
    assert "  unit  homebrew.mxcl.stigmer: stop it with `brew services stop stigmer`\n" in out.getvalue()
    assert command_for("restart", 5, "homebrew.mxcl.stigmer") == "brew services restart stigmer"
    assert command_for("restart", 0, "") == "stigmer server restart"
