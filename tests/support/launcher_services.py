"""A stack of fake services in a small keg, and the launcher run on it as a user does."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from stigmer_launcher.install.payload import Liveness, Proof, Readiness
from stigmer_launcher.system.process import identity
from stigmer_packaging.lib import command
from stigmer_packaging.lib.loopback import free_port
from support.launcher_payloads import Part, build_libexec, launcher_environment, part

PROGRAM = (Path(__file__).parent / "fake_services.py").read_text(encoding="utf-8")
LAUNCHER = Path(__file__).parents[2] / "launcher"
SERVER_QUEUES = ("workflow_execution_stigmer", "agent_execution_stigmer")
NAMES = ("temporal", "stigmer-server", "workflow-runner", "agent-runner")
_SECONDS = 30.0
_LIVENESS = Liveness()


def free_ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]


def fake_stack(
    *, seconds: float = _SECONDS, grace: float = 5.0, liveness: Liveness = _LIVENESS, **misbehaviour: str
) -> tuple[Part, ...]:
    """Return the four services of Stigmer as fakes; `agent_runner="exit=1 after=2"` makes one misbehave."""

    def fake(name: str, role: str, *arguments: str, **fields: Any) -> Part:
        faults = tuple(misbehaviour.get(name.replace("-", "_"), "").split())
        words = (role, *arguments, *faults)
        return part(name, program=PROGRAM, arguments=words, grace=grace, liveness=liveness, **fields)

    def worker(name: str, stop_order: int, *queues: str, **fields: Any) -> Part:
        words = ("temporal={temporal.address}", f"queues={','.join(queues)}")
        ready = Readiness(seconds, (Proof("pollers", "temporal", queues),))
        return fake(name, "FakeWorker", *words, needs=("temporal",), readiness=ready, stop_order=stop_order, **fields)

    temporal, server = free_ports(2)
    return (
        fake(
            "temporal",
            "FakeTemporal",
            "port={port.temporal}",
            ports=(("temporal", temporal),),
            readiness=Readiness(seconds, (Proof("temporal", "temporal"),)),
            stop_order=1,
            override="STIGMER_TEMPORAL_BIN",
            external="TEMPORAL_SERVICE_ADDRESS",
        ),
        fake(
            "stigmer-server",
            "FakeServer",
            "port={port.server}",
            "state={home}/stigmer.db",
            "temporal={temporal.address}",
            f"queues={','.join(SERVER_QUEUES)}",
            ports=(("server", server),),
            needs=("temporal",),
            readiness=Readiness(seconds, (Proof("grpc", "server"), Proof("pollers", "temporal", SERVER_QUEUES))),
            stop_order=2,
        ),
        worker("workflow-runner", 4, "workflow_execution_runner", "zigflow_execution"),
        worker("agent-runner", 3, "agent_execution_runner", environment=(("STIGMER_LLM_API_KEY", "{llm.api_key}"),)),
    )


class Done(NamedTuple):
    """A finished command."""

    code: int
    out: str
    err: str


def finished(process: subprocess.Popen[str], seconds: float = 60.0) -> Done:
    """Wait until a command exits; return its exit code and output."""
    out, err = process.communicate(timeout=seconds)
    return Done(process.returncode, out, err)


HOLD = """
import sys; sys.path.insert(0, sys.argv[1])
from stigmer_launcher.system import locks
lock = locks.try_acquire(sys.argv[2])
print("held" if lock else "busy", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Run a process that tries to take a lock, prints `held` or `busy`, and exits when its stdin is closed."""
    command = [sys.executable, "-c", HOLD, str(LAUNCHER), str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    """Wait for a line of a process's output, and return it."""
    assert process.stdout is not None
    return process.stdout.readline()


class Stigmer:
    """The launcher with one keg and one home, run from the checkout; as a context manager, it leaves no process."""

    def __init__(
        self, libexec: Path, home: Path, *, launcher: Path = LAUNCHER, environment: Mapping[str, str] = {}
    ) -> None:
        self.home = home
        self.environment = {
            **launcher_environment(libexec, home),
            "PYTHONPATH": os.fspath(launcher),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        self.program = [sys.executable, "-S", "-m", "stigmer_launcher"]
        self.process: dict[str, Any] = {"cwd": "/"}  # options of Popen for every command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop the server, and kill the processes that remain."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self("server", "stop", seconds=30)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def spawn(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Run a program with the environment and process options of the commands."""
        pipe = subprocess.PIPE
        options = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "text": True, **self.process, **more}
        return subprocess.Popen(words, env=self.environment, **options)

    def popen(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Run a command without waiting for it."""
        return self.spawn(*self.program, *arguments, **more)

    def __call__(self, *arguments: str, seconds: float = 60.0, **more: Any) -> Done:
        """Run a command and wait until it exits."""
        return finished(self.popen(*arguments, **more), seconds)

    def started(self) -> None:
        """Start the server, which must succeed."""
        done = self("server")
        assert done.code == 0, f"{done.out}\n{done.err}\n{self.log('supervisor')}"

    def status(self) -> dict[str, Any]:
        """Return the parsed output of `server status --json`."""
        status: dict[str, Any] = json.loads(self("server", "status", "--json").out)
        return status

    def services(self) -> dict[str, dict[str, Any]]:
        """Return each service's status by name."""
        return {each["name"]: each for each in self.status()["services"]}

    def states(self) -> dict[str, str]:
        """Return each service's state by name."""
        return {name: each["state"] for name, each in self.services().items()}

    def pids(self) -> dict[str, int]:
        """Return each service's pid by name; 0 if it has none."""
        return {name: each["pid"] for name, each in self.services().items()}

    def pid(self, service: str) -> int:
        """Return a service's pid, or 0 if it has none."""
        return self.pids().get(service, 0)

    def kill(self, service: str) -> int:
        """Kill a service; return its former pid."""
        os.kill(pid := self.pid(service), signal.SIGKILL)
        return pid

    def kill_supervisor(self) -> None:
        """Kill the supervisor, and wait until it is gone."""
        pid: int = self.status()["supervisor_pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid), "the supervisor's end")

    def log(self, service: str) -> str:
        """Return the text of a log, empty if it does not exist."""
        path = self.home / "logs" / f"{service}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def processes(self) -> list[int]:
        """Return the pids of all running processes with this home in their environment, except the tests' own."""
        return _with_variable(f"STIGMER_HOME={self.home}") + self.children()

    def children(self) -> list[int]:
        """Return the pids of all running processes started by a supervisor of this home, escaped ones included."""
        state = self.home / "run" / "state.json"
        token = json.loads(state.read_text(encoding="utf-8"))["token"] if state.exists() else ""
        return _with_variable(f"STIGMER_RUN={token}") if token else []


def stigmer(tmp_path: Path, parts: tuple[Part, ...] | None = None, **environment: str) -> Stigmer:
    libexec = build_libexec(tmp_path / "keg", fake_stack() if parts is None else parts)
    return Stigmer(libexec, tmp_path / "home", environment=environment)


@contextlib.contextmanager
def external_temporal(launcher: Stigmer) -> Iterator[int]:
    """Run an external Temporal at the launcher's TEMPORAL_SERVICE_ADDRESS (set if missing); yield its pid."""
    address = launcher.environment.setdefault("TEMPORAL_SERVICE_ADDRESS", f"localhost:{free_ports(1)[0]}")
    port = address.rpartition(":")[2]
    with subprocess.Popen([sys.executable, "-IS", "-c", PROGRAM, "FakeTemporal", f"port={port}"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def raising_oserror(number: int) -> Callable[..., Any]:
    """Return a function that always raises OSError with this error number."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def eventually(holds: Any, what: str, seconds: float = 20.0) -> Any:
    """Wait until `holds()` is true, and return its value; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    return bool(identity(pid))


def _with_variable(variable: str) -> list[int]:
    """Return the pids of all running processes with `NAME=VALUE` in their environment, except the tests' own."""
    if sys.platform == "darwin":
        listed = command.run(["ps", "axeww", "-o", "pid=,command="]).stdout.splitlines()
        return [int(line.split()[0]) for line in listed if f" {variable} " in f"{line} "]
    return [pid for pid in _pids() if os.fsencode(variable) in _environ(pid)]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]  # noqa: PTH208 - names are wanted


def _environ(pid: int) -> list[bytes]:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    return environ if is_running(pid) else []
