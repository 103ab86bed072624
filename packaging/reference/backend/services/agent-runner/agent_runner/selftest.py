"""`--selftest`: check, without network, key or Temporal, that everything the product may import is present.

The imports are statements, so that a freezer detects them. Modules imported by name at run time must be declared to the
freezer, in `[tool.stigmer.freeze]` of pyproject.toml.
"""

import importlib
import json
import warnings
from typing import Any

from agent_runner.graph import answer

# Imported by name in Temporal's workflow sandbox, where no freezer detects it.
SANDBOX = "temporalio.worker.workflow_sandbox._in_sandbox"


def selftest() -> str:
    """Import everything, build the models and run the graph; return a line of JSON. Raise if anything is missing."""
    importlib.import_module(SANDBOX)
    reply = answer("selftest")
    if reply != "selftest":
        raise RuntimeError(f"the graph answered {reply!r}")
    models = [type(model).__name__ for model in _chat_models()]
    imported = [thing.__module__ for thing in (*_libraries(), *_form_parsers())]
    return json.dumps({"selftest": "passed", "graph": reply, "models": models, "imported": imported})


def _chat_models() -> tuple[Any, ...]:
    """Return one chat model per provider; none of them uses the network before it is called."""
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
    """Return names from every library, imported as the product does: some packages load their modules lazily."""
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
    """Return python-multipart's parser by both module names; the old one has been missing from frozen bundles."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        from multipart import MultipartParser as OldName
    from python_multipart.multipart import MultipartParser

    return (MultipartParser, OldName)
