"""A minimal Temporal worker: it serves one activity; with `--workflow`, it runs a workflow in Temporal's sandbox."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

from flow import Greeting, greet
from temporalio.client import Client
from temporalio.worker import Worker


async def serve() -> None:
    """Poll until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Worker(await connect(), task_queue="greetings", activities=[greet]):
        sys.stderr.write("Worker ready, polling for tasks\n")
        await stopping.wait()


async def run_workflow() -> None:
    """Run one workflow to completion."""
    client = await connect()
    async with Worker(client, task_queue="tried", workflows=[Greeting], activities=[greet]):
        limit = timedelta(seconds=30)
        await client.execute_workflow(Greeting.run, id="tried", task_queue="tried", execution_timeout=limit)


async def connect() -> Client:
    """Connect to the server at TEMPORAL_SERVICE_ADDRESS."""
    return await Client.connect(os.environ["TEMPORAL_SERVICE_ADDRESS"])


if __name__ == "__main__":
    asyncio.run(run_workflow() if sys.argv[1:] == ["--workflow"] else serve())
    sys.stderr.flush()
    os._exit(0)  # the SDK core's threads may outlive the interpreter's finalization, which then aborts with SIGABRT
