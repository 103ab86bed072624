"""Real processes of the reference stack, each with its own environment, observed by its output."""

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from support import reference_programs

CALL = """
import json, sys
import grpc
from google.protobuf.wrappers_pb2 import StringValue

address, method, text, seconds = sys.argv[1:]
with grpc.insecure_channel(address) as channel:
    ask = channel.unary_unary(
        f"/stigmer.reference.v1.Executions/{method}",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )
    try:
        answer = "OK", ask(StringValue(value=text), timeout=float(seconds), wait_for_ready=True).value
    except grpc.RpcError as error:
        answer = error.code().name, error.details()
print(json.dumps(answer))
"""
DEADLINE = 60.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Process:
    """A program running in `folder`, which is also its home; its output goes to files there."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self._child = subprocess.Popen(
                command,
                env={"HOME": str(folder), **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def stdout(self) -> str:
        """The text it has written to stdout so far."""
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """The text it has written to stderr so far, without colours."""
        return _COLOUR.sub("", self.printed)

    @property
    def printed(self) -> str:
        """The text it has written to stderr so far, unchanged."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, line: str) -> None:
        """Wait until it has logged `line`; fail if it exits before that, or takes too long."""
        wait_for(lambda: line in self.stderr or self._child.poll() is not None, lambda: f"{line!r}: {self.stderr}")
        assert line in self.stderr, f"exited with {self._child.returncode}:\n{self.stderr}"

    def wait(self) -> int:
        """Wait until it exits; return its exit code."""
        return self._child.wait(DEADLINE)

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait until it exits; return its exit code."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """Kill it."""
        self._child.kill()
        self._child.wait()


@contextlib.contextmanager
def running(name: str, environment: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[Process]:
    """Run one program of the stack, by its component's name; kill it afterwards."""
    process = Process(name, [*reference_programs.words(name), *arguments], environment, folder)
    try:
        yield process
    finally:
        process.kill()


def starting_temporal(port: int, folder: Path, *more: str) -> contextlib.AbstractContextManager[Process]:
    """Run a Temporal development server, which may not serve yet."""
    options = ["--ip", "127.0.0.1", "--port", str(port), "--headless", "--log-level", "warn"]
    return running("temporal", {"DO_NOT_TRACK": "1"}, folder, "server", "start-dev", *options, *more)


@contextlib.contextmanager
def temporal(port: int, folder: Path) -> Iterator[str]:
    """Run a Temporal development server until the context exits; yield its address once it serves."""
    address = f"127.0.0.1:{port}"
    with starting_temporal(port, folder) as server:
        wait_for(lambda: _is_serving(address), lambda: f"Temporal at {address}: {server.stderr}")
        yield address


def _is_serving(address: str) -> bool:
    return _ask_temporal("operator", "cluster", "health", "--address", address).returncode == 0


def _ask_temporal(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    command = [*reference_programs.words("temporal"), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE)


def is_polled(port: int, queue: str) -> bool:
    arguments = ["task-queue", "describe", "--address", f"127.0.0.1:{port}", "--task-queue", queue, "--output", "json"]
    done = _ask_temporal(*arguments)
    return done.returncode == 0 and bool(json.loads(done.stdout)["pollers"])


def call(port: int, method: str, text: str, seconds: float = DEADLINE) -> tuple[str, str]:
    """Call the server with a stock gRPC client; return the name of the status code, and the answer or error details."""
    command = [str(reference_programs.agent_python()), "-c", CALL, f"127.0.0.1:{port}", method, text, str(seconds)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=2 * DEADLINE)
    code, answer = json.loads(done.stdout)
    return code, answer


def wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until `condition()` is true; fail with `what()` after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what()}"
        time.sleep(0.02)
