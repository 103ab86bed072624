"""The reference agent runner: a Temporal worker that runs a LangGraph graph as an activity."""
