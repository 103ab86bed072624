"""The workflow and its activity."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def greet() -> str:
    """Greet."""
    return "hello"


@workflow.defn
class Greeting:
    """Has somebody greeted."""

    @workflow.run
    async def run(self) -> str:
        """Give the greeting."""
        return await workflow.execute_activity(greet, start_to_close_timeout=timedelta(seconds=10))
