"""`stigmer server` as a user runs it, with a keg of fake services: start, status, restart, stop."""

import json
import os
import pty
import signal
from pathlib import Path

import pytest

from support.launcher_checks import listens, shown_on_terminal
from support.launcher_services import (
    NAMES,
    Stigmer,
    eventually,
    external_temporal,
    finished,
    free_ports,
    hold,
    is_running,
    read_line,
)

KEY = "sk-ant-api03-0123456789abcdef"


def test_it_starts_everything_and_returns_when_all_is_ready(launcher: Stigmer) -> None:
    done = launcher("server")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "Extracting binaries... ok" in lines
    starting = [line.split()[1].rstrip(".") for line in lines if line.startswith("Starting")]
    assert set(starting) == set(NAMES)
    assert starting[0] == "temporal"
    assert "All services running" in lines
    assert launcher.states() == dict.fromkeys(NAMES, "running")
    assert all(map(listens, launcher.status()["ports"].values()))
    assert json.loads(launcher("version", "--json").out)["components"] == dict.fromkeys(NAMES, "1.0.0")


def test_stopping_leaves_no_process_and_no_port(running: Stigmer) -> None:
    ports = running.status()["ports"]
    assert running("server", "stop").code == 0
    assert running.processes() == []
    assert not any(listens(port) for port in ports.values())
    again = running("server", "stop")
    assert (again.code, again.out) == (0, "Server is not running\n")


def test_a_running_server_is_reported_and_left_alone(running: Stigmer) -> None:
    before = running.pids()
    for arguments in (("server",), ("server", "start"), ("server", "--foreground")):
        done = running(*arguments)
        assert done.code == 0
        assert done.out.startswith("Stigmer is running already\n")
    assert running.pids() == before


def test_status_prints_everything_for_programs(launcher: Stigmer) -> None:
    """The exit code is 0 while it runs and 3 when it is stopped; the keys are the same."""
    stopped = launcher("server", "status", "--json")
    assert stopped.code == 3
    launcher.started()
    running = launcher("server", "status", "--json")
    assert running.code == 0
    shown, before = json.loads(running.out), json.loads(stopped.out)
    assert shown.keys() == before.keys()
    assert (before["state"], shown["state"]) == ("stopped", "running")
    assert (shown["version"], shown["installed_version"]) == ("1.0.0", "1.0.0")
    assert is_running(shown["supervisor_pid"])
    service = shown["services"][1]
    assert service["name"] == "stigmer-server"
    assert service.keys() >= {"state", "pid", "uptime", "restarts", "last_error", "port", "version"}
    assert service["port"] == shown["ports"]["server"]
    timeline = shown["timeline"]
    assert min(timeline[name]["spawned"] for name in NAMES[1:]) >= timeline["temporal"]["ready"]
    assert launcher("server", "status").code == 0


def test_a_restart_stops_and_starts_everything(launcher: Stigmer) -> None:
    assert launcher("server", "restart").code == 0
    before = set(launcher.pids().values())
    done = launcher("server", "restart")
    assert done.code == 0, done.err
    assert "Stopping server... ok" in done.out
    assert before.isdisjoint(launcher.pids().values())
    assert not any(map(is_running, before))


def test_the_supervisor_outlives_its_terminal(launcher: Stigmer) -> None:
    """After its terminal is closed, it gets no SIGHUP and has nothing of the terminal open."""
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


def test_on_a_terminal_the_start_has_marks_and_colour(launcher: Stigmer) -> None:
    launcher.environment |= {"TERM": "xterm", "LANG": "C.UTF-8"}
    assert "Starting temporal... \033[32m✓\033[0m" in shown_on_terminal(launcher, "server").decode()


@pytest.mark.parametrize("words", ["server", "server --foreground"])
def test_another_port_than_that_of_the_running_server_is_refused_and_a_restart_named(
    running: Stigmer, words: str
) -> None:
    """Regression: it was ignored, with exit code 0. A port that the server has already is accepted."""
    ports = running.status()["ports"]
    (other,) = free_ports(1)
    refused = running(*words.split(), "--port", f"temporal={ports['temporal']}", "--port", f"server={other}")
    assert refused.code == 1
    assert f"the server runs already, with other ports: server={ports['server']}" in refused.err
    assert f"`stigmer server restart --port server={other}`" in refused.err
    assert running(*words.split(), "--port", f"server={ports['server']}").code == 0
    assert running.status()["ports"] == ports


def test_a_port_that_the_running_server_does_not_have_is_refused_by_its_name(running: Stigmer) -> None:
    """Regression: the error suggested a restart with that port, which is refused."""
    refused = running("server", "--port", "web=80")
    assert refused.code == 2
    assert "there is no port web; there are temporal, server" in refused.err


@pytest.mark.parametrize("value", ["server", "server=", "server=x", "server=0", "server=65536", "=1", "web=80"])
def test_an_invalid_port_is_refused(launcher: Stigmer, value: str) -> None:
    done = launcher("server", "--port", value)
    assert done.code == 2
    assert "Error: " in done.err
    assert not launcher.home.exists()


def test_an_external_temporal_is_used_and_left_running(launcher: Stigmer) -> None:
    with external_temporal(launcher) as theirs:
        launcher.started()
        status = launcher.status()
        assert status["temporal"] == launcher.environment["TEMPORAL_SERVICE_ADDRESS"]
        temporal = status["services"][0]
        assert (temporal["name"], temporal["state"], temporal["pid"]) == ("temporal", "running", 0)
        assert "temporal" not in status["ports"]
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []
        assert is_running(theirs)


def test_the_smoke_call_goes_through(launcher: Stigmer) -> None:
    assert launcher("smoke").code == 3
    launcher.started()
    done = launcher("server", "smoke", "--json", "--message", "Grüße")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["message"] == "Grüße"
    assert answer["path"] == ["stigmer-server", "agent-runner"]
    assert "stigmer-server -> agent-runner" in launcher("smoke").out


def test_an_answer_cannot_control_the_terminal(running: Stigmer) -> None:
    """It may be text from a model: window titles, cursor movements and the like are removed, line breaks are kept."""
    message = "one\x1b]0;title\x07\x1b[2J\x1b[31m two\nthree"
    assert "  answer: one two\nthree\n" in running("smoke", "--message", message).out
    assert json.loads(running("smoke", "--json", "--message", message).out)["message"] == message


@pytest.mark.stack(agent_runner=f"line={KEY}")
def test_an_api_key_is_only_in_the_service(launcher: Stigmer) -> None:
    launcher.environment |= {"STIGMER_LLM_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": KEY}
    launcher.started()
    pid = launcher.pid("agent-runner")
    assert f"STIGMER_LLM_API_KEY={KEY}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    assert "[redacted]" in launcher.log("agent-runner")
    written = [path for path in launcher.home.rglob("*") if path.is_file() and "versions" not in path.parts]
    assert written
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    for each in launcher.processes():
        if each != pid:  # the command line of the fake contains the text to print
            assert KEY.encode() not in Path(f"/proc/{each}/cmdline").read_bytes()


def test_without_a_key_and_a_terminal_nothing_is_started(launcher: Stigmer) -> None:
    """As in CI: it fails immediately and names the variable to set."""
    launcher.environment["STIGMER_LLM_PROVIDER"] = "openai"
    done = launcher("server", start_new_session=True)
    assert done.code == 1
    assert "there is no terminal to ask for it" in done.err
    assert "OPENAI_API_KEY" in done.err
    assert not (launcher.home / "run" / "state.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.stack(agent_runner="unready=1")
def test_a_start_given_up_leaves_nothing_behind(launcher: Stigmer, number: int) -> None:
    process = launcher.popen("server")
    eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
    process.send_signal(number)
    assert finished(process).code == 130
    assert launcher.processes() == []


@pytest.mark.stack(agent_runner="term=ignore", workflow_runner="unready=1", grace=100)
def test_a_second_interrupt_of_a_start_kills_the_services_at_once(launcher: Stigmer) -> None:
    process = launcher.popen("server")
    eventually(lambda: "agent-runner: running" in launcher.log("supervisor"), "a running service")
    process.send_signal(signal.SIGINT)
    eventually(lambda: "agent-runner: ending" in launcher.log("supervisor"), "the first interrupt")
    process.send_signal(signal.SIGINT)
    assert finished(process).code == 130
    assert launcher.processes() == []


@pytest.mark.stack(agent_runner="unready=1")
def test_a_stop_during_the_start_ends_the_start(launcher: Stigmer) -> None:
    process = launcher.popen("server")
    eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
    assert launcher("server", "status").code == 4
    assert launcher("server", "stop").code == 0
    done = finished(process)
    assert done.code == 130
    assert "All services running" not in done.out
    assert launcher.processes() == []


@pytest.mark.parametrize(("options", "code"), [((), 130), (("--foreground",), 0)])
def test_a_stop_ends_a_start_that_waits_for_another_process(running: Stigmer, options: tuple[str], code: int) -> None:
    """Regression: the start failed without a reason, and one in the foreground was killed by the signal."""
    assert running("server", "stop").code == 0
    with hold(running.home / "run" / "install.lock") as other:
        assert read_line(other) == "held\n"
        process = running.popen("server", *options)
        eventually(lambda: f"Waiting for process {other.pid}" in running.log("supervisor"), "the start to wait")
        assert running("server", "stop").code == 0
        done = finished(process)
    assert (done.code, done.err) == (code, "")
    assert done.out.endswith("Stopping server... ok\n")


def test_settings_take_effect_and_a_change_needs_a_restart(running: Stigmer) -> None:
    (port,) = free_ports(1)
    before = running.status()["ports"]["server"]
    done = running("config", "set", "ports.server", str(port))
    assert (done.code, "restart" in done.err) == (0, True)
    assert running.status()["ports"]["server"] == before
    assert running("server", "restart").code == 0
    assert running.status()["ports"]["server"] == port


@pytest.mark.stack(agent_runner="line=hello-from-the-agent")
def test_logs_show_what_services_print_and_follow(running: Stigmer) -> None:
    assert running("server", "logs", "--service", "agent-runner").out == "hello-from-the-agent\n"
    process = running.popen("server", "logs", "-f", "-s", "supervisor", "-n", "1")
    assert "everything: running" in read_line(process)
    running("server", "stop")
    eventually(lambda: "everything: stopped" in read_line(process), "the end, followed")
    process.send_signal(signal.SIGINT)
    assert finished(process) == (0, "", "")
