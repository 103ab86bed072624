"""The activities of the contract: ExecuteGraphton, EnsureThread, CleanupSandbox."""

import asyncio
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

_THREAD = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Activities:
    """What the worker can do. Each thread has a directory of its own below `sandbox_root`."""

    def __init__(self, sandbox_root: Path) -> None:
        self._sandbox_root = sandbox_root

    def all(self) -> list[Callable[..., Any]]:
        """Give the activities in the contract's order."""
        return [self.execute_graphton, self.ensure_thread, self.cleanup_sandbox]

    @activity.defn(name="ExecuteGraphton")
    async def execute_graphton(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Have the agent answer the execution's message, and add ourselves to the path it came."""
        said = await asyncio.to_thread(_answer, execution["message"])
        return {**execution, "message": said, "path": [*execution["path"], "agent-runner"]}

    @activity.defn(name="EnsureThread")
    async def ensure_thread(self, thread: str | None = None) -> str:
        """Give the thread's id, a new one if none is given, and see to it that it has a sandbox."""
        thread = thread or f"thread-{uuid.uuid4().hex}"
        self._sandbox(thread).mkdir(parents=True, exist_ok=True)
        return thread

    @activity.defn(name="CleanupSandbox")
    async def cleanup_sandbox(self, thread: str) -> bool:
        """Remove the thread's sandbox; say whether there was one."""
        sandbox = self._sandbox(thread)
        if not sandbox.is_dir():
            return False
        await asyncio.to_thread(shutil.rmtree, sandbox)
        return True

    def _sandbox(self, thread: str) -> Path:
        if not _THREAD.fullmatch(thread):
            raise ApplicationError(f"not a thread's id: {thread!r}", non_retryable=True)
        return self._sandbox_root / thread


def _answer(message: str) -> str:
    from agent_runner.graph import answer

    return answer(message)
