"""The Temporal development server, run on free ports for as long as something is tried against it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.ports import free_port

SECONDS = 60
_READY = "Server:"  # the first line of what it prints once it serves; Temporal CLI 1.x


@contextmanager
def temporal_server(program: Path, *, folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Serve from memory and give the address, `127.0.0.1:PORT`; CommandError when it does not come up."""
    address = f"127.0.0.1:{free_port()}"
    words = [
        str(program),
        "server",
        "start-dev",
        "--headless",
        "--ip",
        "127.0.0.1",
        "--port",
        address.rpartition(":")[2],
    ]
    log = folder / "temporal.log"
    with command.running([*words, "--log-level", "error"], env=env, cwd=folder, log=log) as server:
        server.wait_for(_READY, seconds=SECONDS)
        yield address
