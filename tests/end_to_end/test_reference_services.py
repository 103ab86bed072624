"""The reference services meet the service contract, each as a real process and all together with a real Temporal."""

import json
import signal
import socket
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.lib.loopback import free_port
from support.reference_processes import Process, call, is_polled, running, temporal, wait_for

# The first run on a machine builds the programs and installs their dependencies; every wait in here has its own end.
pytestmark = pytest.mark.timeout(1800)

WORKFLOW_RUNNER = {
    "EXECUTION_MODE": "temporal",
    "STIGMER_BACKEND_ENDPOINT": "localhost:7234",
    "STIGMER_API_KEY": "dummy-local-key",
    "STIGMER_SERVICE_USE_TLS": "false",
}
AGENT_RUNNER = {"MODE": "local", "STIGMER_LLM_PROVIDER": "ollama"}
READY = {
    "stigmer-server": "Stigmer Server started successfully",
    "workflow-runner": "All three workers started successfully",
    "agent-runner": "Worker ready, polling for tasks",
}
RUN_QUEUE = "TEMPORAL_WORKFLOW_EXECUTION_RUNNER_TASK_QUEUE"
# The server's timer may fire before the client's: it then resets the stream, which the client reports as CANCELLED.
DEADLINE_CODES = {"DEADLINE_EXCEEDED", "CANCELLED"}
OWN_QUEUES = ("workflow_execution_stigmer", "agent_execution_stigmer", "workflow_validation_stigmer")
WORKERS = {
    "workflow-runner": (WORKFLOW_RUNNER, RUN_QUEUE),
    "agent-runner": (AGENT_RUNNER, "TEMPORAL_AGENT_EXECUTION_RUNNER_TASK_QUEUE"),
}


class Stack(NamedTuple):
    """All services running with the default queues: the ports of the server and of Temporal."""

    port: int
    temporal: int

    def server(self, port: int, **more: str) -> dict[str, str]:
        """Return the environment of another server with the same Temporal."""
        return {"GRPC_PORT": str(port), "TEMPORAL_HOST_PORT": f"127.0.0.1:{self.temporal}", **more}

    def worker(self, name: str, queue: str) -> dict[str, str]:
        """Return the environment of another worker, which polls a queue of its own."""
        environment, variable = WORKERS[name]
        return {**environment, variable: queue, "TEMPORAL_SERVICE_ADDRESS": f"127.0.0.1:{self.temporal}"}


@contextmanager
def ready(name: str, environment: Mapping[str, str], folder: Path) -> Iterator[Process]:
    with running(name, environment, folder) as process:
        process.wait_until(READY[name])
        yield process


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start Temporal, then the server, which connects to it only once, then the workers."""
    folder, stack = tmp_path_factory.mktemp("stack"), Stack(free_port(), free_port())
    with ExitStack() as processes:
        address = processes.enter_context(temporal(stack.temporal, folder / "temporal"))
        processes.enter_context(ready("stigmer-server", stack.server(stack.port), folder))
        for name, (environment, _) in WORKERS.items():
            processes.enter_context(ready(name, environment | {"TEMPORAL_SERVICE_ADDRESS": address}, folder))
        yield stack


def test_a_call_goes_through_all_three_services_and_comes_back(stack: Stack) -> None:
    code, text = call(stack.port, "Run", '{"message": "hello"}')
    assert code == "OK", text
    answer = json.loads(text)
    assert (answer["message"], answer["state"]) == ("hello", "completed")
    assert answer["path"] == ["stigmer-server", "workflow-runner", "agent-runner"]


def test_local_logs_have_colours_and_emoji_even_in_a_file(stack: Stack, tmp_path: Path) -> None:
    port = free_port()
    with (
        ready("stigmer-server", stack.server(port), tmp_path) as server,
        ready("agent-runner", stack.worker("agent-runner", "own") | {"LC_ALL": "C"}, tmp_path) as worker,
    ):
        assert "\x1b[32mINF\x1b[0m" in server.printed
        assert "\N{ROBOT FACE} Stigmer Agent Runner" in worker.printed


def test_an_unknown_execution_is_not_found(stack: Stack) -> None:
    assert call(stack.port, "Get", "exec-unknown")[0] == "NOT_FOUND"


@pytest.mark.parametrize("request_text", ["hello", "{}", '{"message": ""}', "[]"])
def test_a_request_without_a_message_is_refused(stack: Stack, request_text: str) -> None:
    assert call(stack.port, "Run", request_text)[0] == "INVALID_ARGUMENT"


def test_a_call_ends_at_its_deadline_and_may_be_repeated(stack: Stack, tmp_path: Path) -> None:
    port, queue = free_port(), f"unpolled-{uuid.uuid4()}"
    with ready("stigmer-server", stack.server(port, **{RUN_QUEUE: queue}), tmp_path) as server:
        code, text = call(port, "Run", '{"message": "slow"}', seconds=4)
        assert code in DEADLINE_CODES, text
        server.wait_until("Execution started execution=")
        execution = server.stderr.partition("Execution started execution=")[2].split()[0]
        code, text = call(port, "Get", execution)
        assert (code, json.loads(text)["state"]) == ("OK", "running")
        with ready("workflow-runner", stack.worker("workflow-runner", queue), tmp_path):
            while json.loads(text)["state"] == "running":
                code, text = call(port, "Get", execution)
        assert json.loads(text)["path"] == ["stigmer-server", "workflow-runner", "agent-runner"]


def test_executions_survive_a_stop_and_a_kill(stack: Stack, tmp_path: Path) -> None:
    port = free_port()
    with running("stigmer-server", stack.server(port), tmp_path) as server:
        _, text = call(port, "Run", '{"message": "kept"}')
        assert server.stop() == 0
    execution = json.loads(text)["execution"]
    with running("stigmer-server", stack.server(port), tmp_path) as server:
        assert call(port, "Get", execution) == ("OK", text)
        server.stop(signal.SIGKILL)
    with running("stigmer-server", stack.server(port), tmp_path):
        assert call(port, "Get", execution) == ("OK", text)


def test_calls_that_are_open_when_the_server_stops_get_their_answer(stack: Stack, tmp_path: Path) -> None:
    port, queue = free_port(), f"paused-{uuid.uuid4()}"
    with (
        ready("workflow-runner", stack.worker("workflow-runner", queue), tmp_path) as worker,
        running("stigmer-server", stack.server(port, **{RUN_QUEUE: queue}), tmp_path) as server,
        ThreadPoolExecutor() as callers,
    ):
        worker.send(signal.SIGSTOP)
        answer = callers.submit(call, port, "Run", '{"message": "last"}')
        server.wait_until("Execution started")
        server.send(signal.SIGTERM)
        worker.send(signal.SIGCONT)
        assert answer.result()[0] == "OK"
        assert server.wait() == 0


def test_calls_without_an_answer_do_not_delay_a_stopping_server(stack: Stack, tmp_path: Path) -> None:
    port, queue = free_port(), f"unpolled-{uuid.uuid4()}"
    with (
        running("stigmer-server", stack.server(port, **{RUN_QUEUE: queue}), tmp_path) as server,
        ThreadPoolExecutor() as callers,
    ):
        answer = callers.submit(call, port, "Run", '{"message": "lost"}', 300)
        server.wait_until("Execution started")
        assert server.stop() == 0
        assert answer.result()[0] in {"UNAVAILABLE", "CANCELLED"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_stops_cleanly_on_a_signal(stack: Stack, tmp_path: Path, name: str, number: int) -> None:
    with ready(name, stack.worker(name, f"own-{uuid.uuid4()}"), tmp_path) as worker:
        assert worker.stop(number) == 0
        assert worker.stdout == ""


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_stops_cleanly_even_if_its_temporal_is_gone(tmp_path: Path, name: str) -> None:
    stack = Stack(free_port(), free_port())
    with ExitStack() as temporal_life, ExitStack() as workers:
        temporal_life.enter_context(temporal(stack.temporal, tmp_path / "temporal"))
        worker = workers.enter_context(ready(name, stack.worker(name, "own"), tmp_path))
        temporal_life.close()
        assert worker.stop() == 0


def test_a_server_without_temporal_serves_and_says_what_is_missing(tmp_path: Path) -> None:
    port, unused = free_port(), free_port()
    with running("stigmer-server", Stack(port, unused).server(port), tmp_path) as server:
        server.wait_until("no workflow is executed")
        server.wait_until(READY["stigmer-server"])
        code, text = call(port, "Run", '{"message": "hello"}')
        assert code == "UNAVAILABLE"
        assert f"Temporal at 127.0.0.1:{unused}" in text
        assert server.stop() == 0


def test_a_server_started_before_its_temporal_executes_nothing_until_it_is_restarted(
    tmp_path: Path,
) -> None:
    stack = Stack(free_port(), free_port())
    environment = stack.server(stack.port)
    with ready("stigmer-server", environment, tmp_path) as server, temporal(stack.temporal, tmp_path / "temporal"):
        assert call(stack.port, "Run", '{"message": "hello"}')[0] == "UNAVAILABLE"
        assert server.stop() == 0
        with ready("stigmer-server", environment, tmp_path / "again"):
            assert set(OWN_QUEUES) == {queue for queue in OWN_QUEUES if is_polled(stack.temporal, queue)}


def test_a_server_executes_again_once_its_temporal_is_back(tmp_path: Path) -> None:
    stack = Stack(free_port(), free_port())
    with ExitStack() as temporal_life, ExitStack() as servers:
        temporal_life.enter_context(temporal(stack.temporal, tmp_path / "temporal"))
        server = servers.enter_context(ready("stigmer-server", stack.server(stack.port), tmp_path))
        temporal_life.close()
        with temporal(stack.temporal, tmp_path / "another"):
            wait_for(lambda: is_polled(stack.temporal, OWN_QUEUES[0]), lambda: f"the poller: {server.stderr}")
            code, text = call(stack.port, "Run", '{"message": "no runner"}', seconds=4)
            assert code in DEADLINE_CODES, text
            server.wait_until("Execution started")
            assert server.stop() == 0


def test_a_server_keeps_its_state_in_the_configured_places(tmp_path: Path) -> None:
    port, database = free_port(), tmp_path / "one" / "data.db"
    places = {"DB_PATH": str(database), "STORAGE_PATH": str(tmp_path / "two")}
    with ready("stigmer-server", {"GRPC_PORT": str(port), **places}, tmp_path) as server:
        assert {path.name for path in database.iterdir()} == {"LOCK", "00001.mem"}
        assert (tmp_path / "two" / "skills").is_dir()
        assert not (tmp_path / ".stigmer").exists()
        assert server.stop() == 0
        assert list(database.iterdir()) == []


def test_a_server_whose_port_is_taken_gives_up(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running("stigmer-server", {"GRPC_PORT": port}, tmp_path) as server:
            assert server.wait() == 1
            assert "address already in use" in server.stderr


@pytest.mark.parametrize("name", ["stigmer-server", "workflow-runner"])
def test_logs_are_json_with_unix_time_unless_the_environment_is_local(tmp_path: Path, name: str) -> None:
    for kind in ("local", "cloud"):
        environment = {"GRPC_PORT": "1", "DB_PATH": __file__, "ENV": kind}  # a file, not a directory
        with running(name, environment, tmp_path / kind) as process:
            assert process.wait() == 1
            assert process.stdout == ""
            line = process.stderr.splitlines()[-1]
        if kind == "local":
            assert " FTL " in line
        else:
            assert json.loads(line).keys() >= {"level", "time", "error", "message"}
            assert isinstance(json.loads(line)["time"], int)


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_without_temporal_gives_up_and_names_the_address(tmp_path: Path, name: str) -> None:
    unused = free_port()
    with running(name, Stack(0, unused).worker(name, "own"), tmp_path) as worker:
        assert worker.wait() == 1
        assert f"cannot connect to Temporal at 127.0.0.1:{unused}" in worker.stderr
        assert "onnection refused" in worker.stderr


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "STIGMER_LLM_API_KEY"),
        ({"STIGMER_LLM_API_KEY": "key"}, "STIGMER_API_KEY"),
        ({"MODE": "dev"}, "MODE"),
        ({"MODE": "local", "STIGMER_LLM_PROVIDER": "openai", "OPENAI_API_KEY": "key"}, "STIGMER_LLM_API_KEY"),
        ({"MODE": "local", "STIGMER_LLM_PROVIDER": "anthropic"}, "ANTHROPIC_API_KEY"),
        ({"MODE": "local", "STIGMER_LLM_PROVIDER": "palm"}, "STIGMER_LLM_PROVIDER"),
        ({"MODE": "local", "STIGMER_LLM_MODEL": " "}, "STIGMER_LLM_MODEL"),
        ({"MODE": "local", "STIGMER_LLM_MAX_TOKENS": "many"}, "STIGMER_LLM_MAX_TOKENS"),
        ({"MODE": "local", "STIGMER_LLM_TEMPERATURE": "warm"}, "STIGMER_LLM_TEMPERATURE"),
    ],
)
def test_an_agent_runner_names_the_variable_that_is_missing_or_wrong(
    tmp_path: Path, environment: dict[str, str], named: str
) -> None:
    with running("agent-runner", environment, tmp_path) as worker:
        assert worker.wait() == 1
        assert "STARTUP FAILURE: Configuration Error" in worker.stderr
        assert f" {named} " in worker.stderr.replace("\n", " ")


def test_an_agent_runner_reads_the_env_file_of_its_folder_but_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MODE=local\nSTIGMER_LLM_PROVIDER=palm\nTEMPORAL_SERVICE_ADDRESS=127.0.0.1:1\n")
    with running("agent-runner", {"STIGMER_LLM_PROVIDER": "ollama"}, tmp_path) as worker:
        assert worker.wait() == 1
        assert "LOCAL Mode" in worker.stderr
        assert f"Sandbox: filesystem at {tmp_path / 'workspace'}" in worker.stderr
        assert "cannot connect to Temporal at 127.0.0.1:1" in worker.stderr


def test_a_selftest_runs_a_workflow_with_every_activity(stack: Stack, tmp_path: Path) -> None:
    environment = stack.worker("agent-runner", "own") | {"SANDBOX_ROOT_DIR": str(tmp_path / "workspace")}
    with running("agent-runner", environment, tmp_path, "--selftest-workflow") as worker:
        assert worker.wait() == 0, worker.stderr
        assert "Workflow selftest passed" in worker.stderr
    assert list((tmp_path / "workspace").iterdir()) == []


def test_a_selftest_imports_and_runs_everything_without_network(tmp_path: Path) -> None:
    with running("agent-runner", {}, tmp_path, "--selftest") as worker:
        assert worker.wait() == 0, worker.stderr
        report = json.loads(worker.stdout)
    assert report["graph"] == "selftest"
    assert report["models"] == ["ChatAnthropic", "ChatOpenAI", "ChatOllama"]
