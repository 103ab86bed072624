"""A workflow and its activity."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def greet() -> str:
    """Return the greeting."""
    return "hello"


@workflow.defn
class Greeting:
    """Calls the activity."""

    @workflow.run
    async def run(self) -> str:
        """Return the greeting."""
        return await workflow.execute_activity(greet, start_to_close_timeout=timedelta(seconds=10))
