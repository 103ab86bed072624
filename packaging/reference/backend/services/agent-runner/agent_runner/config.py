"""Configuration of the agent runner from environment variables, with the defaults and rules of the service contract."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PROVIDERS = ("anthropic", "openai", "ollama")


class ConfigError(Exception):
    """A required variable is missing, or a value is invalid."""


class Redis(NamedTuple):
    """The Redis server of cloud mode."""

    host: str
    port: int
    password: str


class Config(NamedTuple):
    """A valid configuration. `mode` is `local` or `cloud`; paths are absolute; `redis` is for cloud mode only."""

    mode: str
    provider: str
    model: str
    base_url: str
    llm_key: str
    max_tokens: int
    temperature: float | None
    api_key: str
    backend: str
    temporal: str
    namespace: str
    task_queue: str
    concurrency: int
    sandbox: str
    sandbox_root: Path
    redis: Redis | None


def load_config(environment: Mapping[str, str]) -> Config:
    """Read the environment; raise ConfigError for the first missing or invalid variable.

    The language model comes first: without any variables, the error is that its API key is missing.
    """
    mode = environment.get("MODE", "cloud")
    if mode not in {"local", "cloud"}:
        raise ConfigError(f"MODE is {mode!r}: it must be 'local' or 'cloud'")
    local = mode == "local"
    provider, model, llm_key = _language_model(environment, local=local)
    return Config(
        mode=mode,
        provider=provider,
        model=model,
        base_url=environment.get("STIGMER_LLM_BASE_URL", "http://localhost:11434" if local else ""),
        llm_key=llm_key,
        max_tokens=_integer(environment, "STIGMER_LLM_MAX_TOKENS", 8192 if local else 20000),
        temperature=_temperature(environment, local=local),
        api_key=_api_key(environment, local=local),
        backend=environment.get("STIGMER_BACKEND_ENDPOINT", "localhost:50051" if local else "localhost:8080"),
        temporal=environment.get("TEMPORAL_SERVICE_ADDRESS", "localhost:7233"),
        namespace=environment.get("TEMPORAL_NAMESPACE", "default"),
        task_queue=environment.get("TEMPORAL_AGENT_EXECUTION_RUNNER_TASK_QUEUE", "agent_execution_runner"),
        concurrency=_integer(environment, "TEMPORAL_MAX_CONCURRENCY", 10),
        sandbox=environment.get("SANDBOX_TYPE", "filesystem"),
        sandbox_root=Path(environment.get("SANDBOX_ROOT_DIR", "./workspace")).absolute(),
        redis=None if local else _redis(environment),
    )


def _language_model(environment: Mapping[str, str], *, local: bool) -> tuple[str, str, str]:
    provider = environment.get("STIGMER_LLM_PROVIDER", "ollama" if local else "anthropic")
    if provider not in PROVIDERS:
        raise ConfigError(f"STIGMER_LLM_PROVIDER is {provider!r}: it must be one of {', '.join(PROVIDERS)}")
    model = environment.get("STIGMER_LLM_MODEL", "qwen2.5-coder:7b" if local else "claude-sonnet-4.5")
    if not model.strip():
        raise ConfigError("STIGMER_LLM_MODEL is blank")
    # OPENAI_API_KEY is ignored for every provider: surprising, but a rule of the contract.
    key = environment.get("STIGMER_LLM_API_KEY") or environment.get("ANTHROPIC_API_KEY") or ""
    if provider != "ollama" and not key:
        raise ConfigError(f"provider {provider} needs an API key: set STIGMER_LLM_API_KEY or ANTHROPIC_API_KEY")
    return provider, model, key


def _temperature(environment: Mapping[str, str], *, local: bool) -> float | None:
    text = environment.get("STIGMER_LLM_TEMPERATURE")
    if text is None:
        return 0.0 if local else None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"STIGMER_LLM_TEMPERATURE is {text!r}: not a number") from None


def _api_key(environment: Mapping[str, str], *, local: bool) -> str:
    key = environment.get("STIGMER_API_KEY") or ("dummy-local-key" if local else "")
    if not key:
        raise ConfigError("STIGMER_API_KEY is required in cloud mode")
    return key


def _redis(environment: Mapping[str, str]) -> Redis:
    host, password = environment.get("REDIS_HOST", "localhost"), environment.get("REDIS_PASSWORD", "")
    return Redis(host, _integer(environment, "REDIS_PORT", 6379), password)


def _integer(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name} is {text!r}: not a positive number")
    return int(text)
