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
    """The worker's activities. Each thread has its own directory below `sandbox_root`."""

    def __init__(self, sandbox_root: Path) -> None:
        self._sandbox_root = sandbox_root

    def all(self) -> list[Callable[..., Any]]:
        """Return the activities in the contract's order."""
        return [self.execute_graphton, self.ensure_thread, self.cleanup_sandbox]

    @activity.defn(name="ExecuteGraphton")
    async def execute_graphton(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Return the execution with the agent's answer as its message, and this service appended to its path."""
        answer = await asyncio.to_thread(_answer, execution["message"])
        return {**execution, "message": answer, "path": [*execution["path"], "agent-runner"]}

    @activity.defn(name="EnsureThread")
    async def ensure_thread(self, thread: str | None = None) -> str:
        """Return the thread's id, a new one if none is given, after creating its sandbox if necessary."""
        thread = thread or f"thread-{uuid.uuid4().hex}"
        self._sandbox(thread).mkdir(parents=True, exist_ok=True)
        return thread

    @activity.defn(name="CleanupSandbox")
    async def cleanup_sandbox(self, thread: str) -> bool:
        """Remove the thread's sandbox; return whether there was one."""
        sandbox = self._sandbox(thread)
        if not sandbox.is_dir():
            return False
        await asyncio.to_thread(shutil.rmtree, sandbox)
        return True

    def _sandbox(self, thread: str) -> Path:
        if not _THREAD.fullmatch(thread):
            raise ApplicationError(f"invalid thread id: {thread!r}", non_retryable=True)
        return self._sandbox_root / thread


def _answer(message: str) -> str:
    from agent_runner.graph import answer

    return answer(message)
