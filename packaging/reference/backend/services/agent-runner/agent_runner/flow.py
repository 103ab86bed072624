"""The workflow of `--selftest-workflow`. Temporal's sandbox imports this module for every run, so it imports little."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

SECONDS = timedelta(seconds=30)
ONCE = RetryPolicy(maximum_attempts=1)


@workflow.defn(name="AgentRunnerSelftest")
class Selftest:
    """Calls every activity of this worker once, in the same way as the product's own workflows."""

    @workflow.run
    async def run(self, message: str) -> str:
        """Return the agent's answer, given in a new thread that is cleaned up afterwards."""
        thread = await self._call("EnsureThread", None, str)
        execution = {"message": message, "path": []}
        result = await self._call("ExecuteGraphton", execution, dict)
        await self._call("CleanupSandbox", thread, bool)
        return str(result["message"])

    async def _call(self, name: str, argument: object, kind: type) -> Any:
        return await workflow.execute_activity(
            name, argument, result_type=kind, start_to_close_timeout=SECONDS, retry_policy=ONCE
        )
