"""`stigmer server` as a user runs it, over a keg of fake services: start, look, restart, stop."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.launcher_checks import listens, shown_on_terminal
from support.launcher_payloads import build_libexec
from support.launcher_services import (
    NAMES,
    PROGRAM,
    Stigmer,
    end,
    eventually,
    fake_stack,
    free_ports,
    is_running,
    stigmer,
)

KEY = "sk-ant-api03-0123456789abcdef"


def test_it_starts_everything_and_returns_when_all_is_ready(tmp_path: Path) -> None:
    """Each step is printed as it succeeds; then every service answers."""
    with stigmer(tmp_path) as launcher:
        done = launcher("server")
        assert (done.code, done.err) == (0, "")
        lines = done.out.splitlines()
        assert "Extracting binaries... ok" in lines
        starting = [line.split()[1].rstrip(".") for line in lines if line.startswith("Starting")]
        assert set(starting) == set(NAMES)
        assert starting[0] == "temporal"
        assert "All services running" in lines
        status = launcher.status()
        assert {each["name"]: each["state"] for each in status["services"]} == dict.fromkeys(NAMES, "running")
        assert all(listens(port) for port in status["ports"].values())


def test_stopping_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    """And stopping once more is no failure."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        ports = launcher.status()["ports"]
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []
        assert not any(listens(port) for port in ports.values())
        again = launcher("server", "stop")
        assert (again.code, again.out) == (0, "Server is not running\n")


def test_a_running_server_is_said_and_left_alone(tmp_path: Path) -> None:
    """Exit 0, by either name of the command, with where everything is."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = launcher.status()
        for arguments in (("server",), ("server", "start"), ("server", "--foreground")):
            done = launcher(*arguments)
            assert done.code == 0
            assert done.out.startswith("Stigmer is running already\n")
        after = launcher.status()
        assert [each["pid"] for each in after["services"]] == [each["pid"] for each in before["services"]]


def test_status_tells_programs_everything(tmp_path: Path) -> None:
    """Exit 0 while it runs, 3 when it is stopped; the same keys in both."""
    with stigmer(tmp_path) as launcher:
        stopped = launcher("server", "status", "--json")
        assert stopped.code == 3
        launcher.started()
        running = launcher("server", "status", "--json")
        assert running.code == 0
        told, before = json.loads(running.out), json.loads(stopped.out)
        assert told.keys() == before.keys()
        assert (before["state"], told["state"]) == ("stopped", "running")
        assert (told["version"], told["installed_version"]) == ("1.0.0", "1.0.0")
        assert is_running(told["supervisor_pid"])
        service = told["services"][1]
        assert service["name"] == "stigmer-server"
        assert service.keys() >= {"state", "pid", "uptime", "restarts", "last_error", "port", "version"}
        assert service["port"] == told["ports"]["server"]
        timeline = told["timeline"]
        assert min(timeline[name]["spawned"] for name in NAMES[1:]) >= timeline["temporal"]["ready"]
        assert launcher("server", "status").code == 0


def test_a_restart_stops_and_starts_everything(tmp_path: Path) -> None:
    """With new processes; and it starts a server that does not run."""
    with stigmer(tmp_path) as launcher:
        assert launcher("server", "restart").code == 0
        before = launcher.status()
        done = launcher("server", "restart")
        assert done.code == 0, done.err
        assert "Stopping server... ok" in done.out
        after = launcher.status()
        assert not {each["pid"] for each in before["services"]} & {each["pid"] for each in after["services"]}
        assert not any(is_running(each["pid"]) for each in before["services"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_in_the_foreground_every_signal_to_stop_is_a_clean_stop(tmp_path: Path, number: int) -> None:
    """As service managers, Ctrl-C and a closed terminal send them."""
    with stigmer(tmp_path) as launcher:
        process = launcher.popen("server", "--foreground")
        assert process.stdout is not None
        eventually(lambda: "All services running" in process.stdout.readline(), "the start")
        pid = launcher.status()["supervisor_pid"]
        assert pid == process.pid
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert launcher.processes() == []
        order = [line.split()[1].rstrip(":") for line in launcher.log("supervisor").splitlines() if ": stopped" in line]
        assert order == ["workflow-runner", "agent-runner", "stigmer-server", "temporal", "everything"]
        assert "Traceback" not in out


def test_a_second_interrupt_does_not_wait_for_anybody(tmp_path: Path) -> None:
    """Ctrl-C twice is meant."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=60)) as launcher:
        process = launcher.popen("server", "--foreground")
        assert process.stdout is not None
        eventually(lambda: "All services running" in process.stdout.readline(), "the start")
        process.send_signal(signal.SIGINT)
        eventually(lambda: "agent-runner: ending" in launcher.log("supervisor"), "the first one to be heard")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert launcher.processes() == []


def test_the_supervisor_outlives_its_terminal(tmp_path: Path) -> None:
    """Started on a terminal that is closed then: no hang-up reaches it, and it holds nothing of the terminal."""
    with stigmer(tmp_path) as launcher:
        controller, terminal = pty.openpty()
        process = launcher.popen(
            "server", stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, text=False
        )
        os.close(terminal)
        assert process.wait(30) == 0
        os.close(controller)
        pid = launcher.status()["supervisor_pid"]
        assert os.getsid(pid) == pid
        opened = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert not [path for path in opened if path.startswith("/dev/pts")]


def test_on_a_terminal_the_start_has_marks_and_colour(tmp_path: Path) -> None:
    """Where NO_COLOR does not forbid it."""
    with stigmer(tmp_path, TERM="xterm", LANG="C.UTF-8") as launcher:
        assert "Starting temporal... \033[32m✓\033[0m" in shown_on_terminal(launcher, "server").decode()


def test_ports_can_be_moved_for_one_start(tmp_path: Path) -> None:
    """On the command line; services and status follow."""
    server, temporal = free_ports(2)
    with stigmer(tmp_path) as launcher:
        done = launcher("server", f"--port=server={server}", "--port", f"temporal={temporal}")
        assert done.code == 0, done.err
        assert launcher.status()["ports"] == {"server": server, "temporal": temporal}
        assert listens(server)
        assert launcher("smoke").code == 0


@pytest.mark.parametrize("words", ["server", "server --foreground"])
def test_another_port_than_that_of_the_running_server_is_refused_and_a_restart_named(
    tmp_path: Path, words: str
) -> None:
    """Once it was ignored, with exit code 0; a port that the server has already is no other one."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        ports = launcher.status()["ports"]
        (other,) = free_ports(1)
        refused = launcher(*words.split(), "--port", f"temporal={ports['temporal']}", "--port", f"server={other}")
        assert refused.code == 1
        assert f"the server runs already, with other ports: server={ports['server']}" in refused.err
        assert f"`stigmer server restart --port server={other}`" in refused.err
        assert launcher(*words.split(), "--port", f"server={ports['server']}").code == 0
        assert launcher.status()["ports"] == ports


@pytest.mark.parametrize("given", ["server", "server=", "server=x", "server=0", "server=65536", "=1", "web=80"])
def test_a_port_that_makes_no_sense_is_refused(tmp_path: Path, given: str) -> None:
    """Before anything is done."""
    with stigmer(tmp_path) as launcher:
        done = launcher("server", "--port", given)
        assert done.code == 2
        assert "Error: " in done.err
        assert not launcher.home.exists()


def test_an_external_temporal_is_used_and_left_running(tmp_path: Path) -> None:
    """Ours is not started, the runners get the address, and our stop is none of its business."""
    (port,) = free_ports(1)
    theirs = subprocess.Popen([sys.executable, "-IS", "-c", PROGRAM, "FakeTemporal", f"port={port}"])
    try:
        with stigmer(tmp_path, TEMPORAL_SERVICE_ADDRESS=f"localhost:{port}") as launcher:
            launcher.started()
            status = launcher.status()
            assert status["temporal"] == f"localhost:{port}"
            temporal = status["services"][0]
            assert (temporal["name"], temporal["state"], temporal["pid"]) == ("temporal", "running", 0)
            assert "temporal" not in status["ports"]
            assert launcher("server", "stop").code == 0
            assert launcher.processes() == []
            assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()


def test_an_external_temporal_that_does_not_answer_fails_the_start(tmp_path: Path) -> None:
    """With its address and the reason."""
    (port,) = free_ports(1)
    with stigmer(tmp_path, fake_stack(seconds=1), TEMPORAL_SERVICE_ADDRESS=f"127.0.0.1:{port}") as launcher:
        done = launcher("server")
        assert done.code == 1
        assert f"temporal was not ready within 1 s: 127.0.0.1:{port}: " in done.err
        assert launcher.processes() == []


def test_the_smoke_call_goes_through(tmp_path: Path) -> None:
    """With its way and its answer; and says when there is no server."""
    with stigmer(tmp_path) as launcher:
        assert launcher("smoke").code == 3
        launcher.started()
        done = launcher("server", "smoke", "--json", "--message", "Grüße")
        assert done.code == 0, done.err
        answer = json.loads(done.out)
        assert answer["message"] == "Grüße"
        assert answer["path"] == ["stigmer-server", "agent-runner"]
        assert "stigmer-server -> agent-runner" in launcher("smoke").out


def test_an_api_key_is_nowhere_but_in_the_service(tmp_path: Path) -> None:
    """Not in a log although the service prints it, not in any file, not on a command line."""
    stack = fake_stack(agent_runner=f"says={KEY}")
    with stigmer(tmp_path, stack, STIGMER_LLM_PROVIDER="anthropic", ANTHROPIC_API_KEY=KEY) as launcher:
        launcher.started()
        pid = launcher.pid("agent-runner")
        assert f"STIGMER_LLM_API_KEY={KEY}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        assert "[redacted]" in launcher.log("agent-runner")
        written = [path for path in launcher.home.rglob("*") if path.is_file() and "versions" not in path.parts]
        assert written
        assert not [path for path in written if KEY.encode() in path.read_bytes()]
        for each in launcher.processes():
            if each != pid:  # the fake is told on its command line what to say
                assert KEY.encode() not in Path(f"/proc/{each}/cmdline").read_bytes()


def test_without_a_key_and_a_terminal_nothing_is_started(tmp_path: Path) -> None:
    """In CI there is nobody to ask: it fails at once, and says which variable to set."""
    with stigmer(tmp_path, STIGMER_LLM_PROVIDER="openai") as launcher:
        process = launcher.popen("server", start_new_session=True)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "there is no terminal to ask for it" in err
        assert "OPENAI_API_KEY" in err
        assert not (launcher.home / "run" / "state.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_given_up_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    """Ctrl-C while it waits stops what was started."""
    with stigmer(tmp_path, fake_stack(agent_runner="unready=1")) as launcher:
        process = launcher.popen("server")
        eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 130
        assert launcher.processes() == []


def test_a_stop_during_the_start_ends_the_start(tmp_path: Path) -> None:
    """The one who started is told."""
    with stigmer(tmp_path, fake_stack(agent_runner="unready=1")) as launcher:
        process = launcher.popen("server")
        eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
        assert launcher("server", "status").code == 4
        assert launcher("server", "stop").code == 0
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "All services running" not in out
        assert launcher.processes() == []


def test_settings_are_followed_and_a_change_waits_for_a_restart(tmp_path: Path) -> None:
    """Ports from config.yaml; the running server is left as it is."""
    (port,) = free_ports(1)
    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = launcher.status()["ports"]["server"]
        done = launcher("config", "set", "ports.server", str(port))
        assert (done.code, "restart" in done.err) == (0, True)
        assert launcher.status()["ports"]["server"] == before
        assert launcher("server", "restart").code == 0
        assert launcher.status()["ports"]["server"] == port


def test_logs_show_what_services_print_and_follow(tmp_path: Path) -> None:
    """While they run, by service, to the end."""
    with stigmer(tmp_path, fake_stack(agent_runner="says=hello-from-the-agent")) as launcher:
        launcher.started()
        assert launcher("server", "logs", "--service", "agent-runner").out == "hello-from-the-agent\n"
        process = launcher.popen("server", "logs", "-f", "-s", "supervisor", "-n", "1")
        assert process.stdout is not None
        assert "everything: running" in process.stdout.readline()
        launcher("server", "stop")
        eventually(lambda: "everything: stopped" in process.stdout.readline(), "the end, followed")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (0, "")


def test_the_version_names_the_components_and_what_runs(tmp_path: Path) -> None:
    """After an upgrade, both versions."""
    parts = fake_stack()
    with stigmer(tmp_path, parts) as launcher:
        launcher.started()
        assert json.loads(launcher("version", "--json").out)["components"] == dict.fromkeys(NAMES, "1.0.0")
        build_libexec(tmp_path / "newer", parts, version="1.1.0")
        newer = Stigmer(tmp_path / "newer" / "libexec", launcher.home)
        hint = "1.0.0 is running, 1.1.0 is installed: `stigmer server restart`"
        assert hint in newer("version").out
        assert hint in newer("server", "status").out
        assert hint in newer("server").out
        assert newer("server", "restart").code == 0
        assert newer.status()["version"] == "1.1.0"
        end(newer)
