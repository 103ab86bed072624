"""Real processes of the reference stack: started with an environment of their own, watched by what they print."""

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
    """A program running in `folder`, which is also its home, with what it prints in files there."""

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
        """What it printed to stdout, so far."""
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it logged so far, without the colours."""
        return _COLOUR.sub("", self.printed)

    @property
    def printed(self) -> str:
        """What it logged so far, as it was printed."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, line: str) -> None:
        """Wait until it has logged `line`; fail when it ends before, or takes too long."""
        wait_for(lambda: line in self.stderr or self._child.poll() is not None, lambda: f"{line!r}: {self.stderr}")
        assert line in self.stderr, f"ended with {self._child.returncode}:\n{self.stderr}"

    def ended(self) -> int:
        """Wait for its end; give its exit code."""
        return self._child.wait(DEADLINE)

    def tell(self, number: int) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end; give its exit code."""
        self.tell(number)
        return self.ended()

    def kill(self) -> None:
        """End it whatever it does."""
        self._child.kill()
        self._child.wait()


@contextlib.contextmanager
def running(name: str, environment: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[Process]:
    """Run one program of the stack, by its component's name; it is gone afterwards whatever happens."""
    process = Process(name, [*reference_programs.words(name), *arguments], environment, folder)
    try:
        yield process
    finally:
        process.kill()


def starting_temporal(port: int, folder: Path, *more: str) -> contextlib.AbstractContextManager[Process]:
    """Run a Temporal development server, which may not serve yet."""
    where = ["--ip", "127.0.0.1", "--port", str(port), "--headless", "--log-level", "warn"]
    return running("temporal", {"DO_NOT_TRACK": "1"}, folder, "server", "start-dev", *where, *more)


@contextlib.contextmanager
def temporal(port: int, folder: Path) -> Iterator[str]:
    """Run a Temporal development server until the block ends; give its address once it serves."""
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
    asked = ["task-queue", "describe", "--address", f"127.0.0.1:{port}", "--task-queue", queue, "--output", "json"]
    done = _ask_temporal(*asked)
    return done.returncode == 0 and bool(json.loads(done.stdout)["pollers"])


def call(port: int, method: str, text: str, seconds: float = DEADLINE) -> tuple[str, str]:
    """Call the server as any gRPC client would; give the status code's name, and the answer or the error's text."""
    command = [str(reference_programs.agent_python()), "-c", CALL, f"127.0.0.1:{port}", method, text, str(seconds)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=2 * DEADLINE)
    code, answer = json.loads(done.stdout)
    return code, answer


def wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until `condition()` holds; fail with `what()` when it never does."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what()}"
        time.sleep(0.02)
