"""The worker: connects to Temporal, polls the queue, stops on a signal."""

import asyncio
import importlib
import logging
import signal
import threading
import uuid
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from agent_runner.activities import Activities
from agent_runner.config import Config, Redis

LOG = logging.getLogger("agent_runner")
CONNECT_SECONDS = 10
# A stop may take five seconds in total. Temporal retries the activities that have not finished by then.
GRACE = timedelta(seconds=4)


class StartError(Exception):
    """A server that the worker requires did not answer."""


async def serve(config: Config) -> None:
    """Work until SIGTERM or SIGINT; raise StartError if Temporal (or, in cloud mode, Redis) is not available."""
    _log_banner(config)
    if config.redis:
        await _check_redis(config.redis)
    client = await _connect(config)
    activities = Activities(config.sandbox_root).all()
    worker = Worker(
        client,
        task_queue=config.task_queue,
        activities=activities,
        max_concurrent_activities=config.concurrency,
        graceful_shutdown_timeout=GRACE,
    )
    LOG.info("Registered activities: ExecuteGraphton, EnsureThread, CleanupSandbox")
    stopping = _stop_on_signals()
    LOG.info("Signal handlers registered")
    async with worker:
        while not worker.is_running:  # noqa: ASYNC110 - the SDK checks the namespace first, and has no event for that
            await asyncio.sleep(0.005)
        LOG.info("Worker ready, polling for tasks")
        # Neither readiness nor the first execution should have to wait for these imports.
        threading.Thread(target=importlib.import_module, args=["agent_runner.graph"], daemon=True).start()
        await stopping.wait()
        LOG.info("Stopping: no new tasks, running ones have %s s", GRACE.seconds)
    LOG.info("Worker stopped")


async def run_workflow(config: Config) -> None:
    """Run a workflow in a worker on its own queue; it needs every activity, and the imports of Temporal's sandbox.

    Raise StartError if Temporal is not available; any other error comes from the workflow.
    """
    from agent_runner.flow import SECONDS, Selftest

    client = await _connect(config)
    queue = f"agent-runner-selftest-{uuid.uuid4().hex}"
    activities = Activities(config.sandbox_root).all()
    async with Worker(client, task_queue=queue, workflows=[Selftest], activities=activities):
        reply = await client.execute_workflow(
            Selftest.run, "selftest", id=queue, task_queue=queue, execution_timeout=2 * SECONDS
        )
    if reply != "selftest":
        raise RuntimeError(f"the workflow answered {reply!r}")
    LOG.info("Workflow selftest passed")


async def _connect(config: Config) -> Client:
    attempt = Client.connect(config.temporal, namespace=config.namespace)
    try:
        client = await asyncio.wait_for(attempt, CONNECT_SECONDS)
    except (RuntimeError, TimeoutError) as error:  # raised by the SDK without an answer
        raise StartError(f"cannot connect to Temporal at {config.temporal}: {error or 'no answer'}") from error
    LOG.info("Connected to Temporal server at %s, namespace %s", config.temporal, config.namespace)
    return client


async def _check_redis(settings: Redis) -> None:
    from redis.asyncio import Redis as Connection
    from redis.exceptions import RedisError

    try:
        async with Connection(host=settings.host, port=settings.port, password=settings.password or None) as redis:
            await redis.ping()
    except RedisError as error:
        raise StartError(f"cannot connect to Redis at {settings.host}:{settings.port}: {error}") from error


def _stop_on_signals() -> asyncio.Event:
    """Return an event that the first signal sets; later signals have no effect."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _log_banner(config: Config) -> None:
    LOG.info("🤖 Stigmer Agent Runner - %s Mode", config.mode.upper())
    LOG.info("Task Queue: %s", config.task_queue)
    LOG.info("Temporal: %s, namespace %s", config.temporal, config.namespace)
    LOG.info("Backend: %s", config.backend)
    LOG.info("Sandbox: %s at %s", config.sandbox, config.sandbox_root)
    LOG.info("Model: %s %s", config.provider, config.model)
