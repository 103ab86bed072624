"""The agent: a LangGraph graph around a chat model that only echoes.

Importing this module imports the language model stack, which takes most of a second. It is therefore imported by the
first execution, or in the background once the worker is ready.
"""

from functools import lru_cache
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph


def answer(message: str) -> str:
    """Return the agent's answer to a message: the message itself."""
    messages = _agent().invoke({"messages": [HumanMessage(message)]})["messages"]
    return str(messages[-1].content)


@lru_cache(maxsize=1)
def _agent() -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("agent", _echo)
    builder.add_edge(START, "agent")
    builder.add_edge("agent", END)
    return builder.compile()


def _echo(state: MessagesState) -> dict[str, list[Any]]:
    """Call a fake chat model with a predefined answer: no provider, no key, no network."""
    text = str(state["messages"][-1].content)
    model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
    return {"messages": [model.invoke(state["messages"])]}
