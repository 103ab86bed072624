"""`stigmer smoke` on stacks that are tested by a command, or only by their readiness."""

import json
import os
import signal
from pathlib import Path

from stigmer_launcher.install.payload import Proof, Readiness, Smoke
from support.launcher_payloads import Part, build_libexec, part
from support.launcher_services import SERVER_QUEUES, Stigmer, eventually, fake_stack, free_ports

# A service that accepts connections, or, with arguments, prints how it was run and exits.
TOOL = """
import os, socket, sys
if len(sys.argv) > 1:
    print("first", " ".join((*sys.argv[1:], os.environ["GREETING"], os.getcwd())), sep="\\n")
    sys.exit(3)
listener = socket.create_server(("127.0.0.1", int(os.environ["TOOL_PORT"])))
while True:
    listener.accept()
"""


def with_smoke(tmp_path: Path, smoke: Smoke, *parts: Part) -> Stigmer:
    return Stigmer(build_libexec(tmp_path / "keg", parts, smoke=smoke), tmp_path / "home")


def tool() -> Part:
    return part(
        "tool",
        program=TOOL,
        ports=(("tool", free_ports(1)[0]),),
        environment=(("TOOL_PORT", "{port.tool}"), ("GREETING", "{home}/hello")),
        readiness=Readiness(30.0, (Proof("port", "tool"),)),
    )


def test_without_a_smoke_call_the_proofs_of_readiness_are_shown(tmp_path: Path) -> None:
    """As one line, or as JSON; it fails if the server is stopped."""
    with with_smoke(tmp_path, Smoke("none"), *fake_stack()) as launcher:
        assert launcher("smoke").code == 3
        launcher.started()
        (line,) = launcher("smoke").out.splitlines()
        assert line.startswith("smoke: none ")
        assert f"stigmer-server: grpc on port server, pollers on {' '.join(SERVER_QUEUES)};" in line
        report = json.loads(launcher("smoke", "--json").out)
        assert report["smoke"] == "none"
        assert report["proven"]["temporal"] == ["temporal on port temporal"]
        assert launcher("smoke", "--message", "hello").code == 2


def test_without_a_smoke_call_a_service_that_does_not_work_again_is_named(tmp_path: Path) -> None:
    with with_smoke(tmp_path, Smoke("none"), *fake_stack()) as launcher:
        launcher.started()
        agent = launcher.pid("agent-runner")
        os.kill(agent, signal.SIGSTOP)
        launcher.kill("temporal")
        eventually(lambda: "agent-runner: proving" in launcher.log("supervisor"), "Temporal to be back")
        eventually(lambda: "agent-runner" in launcher("smoke").err, "the runner to be named alone")
        done = launcher("smoke")
        os.kill(agent, signal.SIGCONT)
        assert done.code == 4
        eventually(lambda: launcher("smoke").code == 0, "the runner to work again")


def test_a_smoke_command_runs_like_its_service_and_is_judged(tmp_path: Path) -> None:
    """It runs in the home with the component's variables; the last line of its output is shown."""
    smoke = Smoke("command", 30.0, component="tool", arguments=("{port.tool}",), exit_code=3, output="^first\n")
    with with_smoke(tmp_path, smoke, tool()) as launcher:
        assert launcher("smoke").code == 3
        launcher.started()
        port, home = launcher.status()["ports"]["tool"], launcher.home
        done = launcher("smoke", "--json")
        assert done.code == 0, done.err
        report = json.loads(done.out)
        assert (report["smoke"], report["output"]) == ("command", f"{port} {home}/hello {home}")
        assert launcher("smoke").out.splitlines()[-1] == f"  {port} {home}/hello {home}"


def test_a_smoke_command_that_prints_something_else_fails(tmp_path: Path) -> None:
    smoke = Smoke("command", 30.0, component="tool", arguments=("x",), exit_code=3, output="second")
    with with_smoke(tmp_path, smoke, tool()) as launcher:
        launcher.started()
        done = launcher("smoke")
        assert done.code == 1
        assert "Error: tool x printed nothing that matches 'second'; its last line: x " in done.err


def test_a_smoke_test_names_a_service_that_was_stopped_instead_of_waiting_for_it(tmp_path: Path) -> None:
    smoke = Smoke("grpc", 60.0, "/a.B/C", "server")
    with with_smoke(tmp_path, smoke, *fake_stack()) as launcher:
        launcher.started()
        assert launcher("server", "stop", "agent-runner").code == 0
        done = launcher("smoke")
        assert (done.code, done.out) == (4, "")
        assert "Error: agent-runner is stopped" in done.err
        assert "`stigmer server restart agent-runner`" in done.err
