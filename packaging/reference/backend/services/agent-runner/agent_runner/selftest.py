"""`--selftest`: prove that everything the product may ever import is here, without network, key or Temporal.

The imports are statements, so that a freezer sees them. What only appears by name at run time is the freezer's
business: `[tool.stigmer.freeze]` in pyproject.toml.
"""

import importlib
import json
import warnings
from typing import Any

from agent_runner.graph import answer

# Imported by name from inside Temporal's workflow sandbox, so that no freezer sees it.
SANDBOX = "temporalio.worker.workflow_sandbox._in_sandbox"


def selftest() -> str:
    """Import, build and run; give one line of JSON about it. Whatever is missing raises."""
    importlib.import_module(SANDBOX)
    said = answer("selftest")
    if said != "selftest":
        raise RuntimeError(f"the graph answered {said!r}")
    models = [type(model).__name__ for model in _chat_models()]
    imported = [thing.__module__ for thing in (*_libraries(), *_form_parsers())]
    return json.dumps({"selftest": "passed", "graph": said, "models": models, "imported": imported})


def _chat_models() -> tuple[Any, ...]:
    """Build one chat model for each provider; they reach for the network only when asked something."""
    from langchain_anthropic import ChatAnthropic
    from langchain_ollama import ChatOllama
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    return (
        ChatAnthropic(model_name="claude-sonnet-4.5", api_key=SecretStr("unused"), timeout=None, stop=None),
        ChatOpenAI(model="gpt-4", api_key=SecretStr("unused")),
        ChatOllama(model="qwen2.5-coder:7b", base_url="http://localhost:11434"),
    )


def _libraries() -> tuple[Any, ...]:
    """Take one name of each, as deep as the product reaches: some packages load their contents only for a name."""
    from authlib.integrations.httpx_client import AsyncOAuth2Client
    from daytona import AsyncDaytona, Daytona
    from daytona._async.filesystem import AsyncFileSystem
    from daytona._sync.filesystem import FileSystem
    from grpc.aio import insecure_channel
    from httpx import AsyncClient
    from langchain.agents import create_agent
    from redis.asyncio import Redis
    from temporalio.worker import Worker

    daytona = (AsyncDaytona, Daytona, AsyncFileSystem, FileSystem)
    return (AsyncOAuth2Client, *daytona, insecure_channel, AsyncClient, create_agent, Redis, Worker)


def _form_parsers() -> tuple[Any, ...]:
    """Take python-multipart by both names it has; the old one is where frozen bundles have broken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        from multipart import MultipartParser as OldName
    from python_multipart.multipart import MultipartParser

    return (MultipartParser, OldName)
