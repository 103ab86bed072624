"""The keys of config.yaml: the type of each, its default, and whether it is accepted only because older files have it."""

from collections.abc import Callable
from typing import NamedTuple

from stigmer_launcher.config.yaml_subset import is_printable
from stigmer_launcher.errors import ConfigError
from stigmer_launcher.version import PORTS

Reader = Callable[[str, str], str]


class Field(NamedTuple):
    """One key: the reader that checks its value, its default, and what it decides (`about`).

    A reader takes a value and the name of its key or variable, and returns the value in its normal form; its ConfigError
    says what was expected. A key with `unused` has no effect: older files have it, and the text says what to do instead.
    """

    read: Reader
    default: str
    about: str = ""
    secret: bool = False
    unused: str = ""


def is_number(value: str) -> bool:
    """Return whether a text is a whole number, 0 or more, of at most 18 digits; Python refuses to convert thousands."""
    return value.isascii() and value.isdigit() and len(value) < 19


def is_port(value: str) -> bool:
    """Return whether a text is a port number, 1-65535."""
    return is_number(value) and 0 < int(value) < 65536


def _is_address(value: str) -> bool:
    host, _, end = value.rpartition(":")
    has_brackets = host.startswith("[") and host.endswith("]")
    is_host = bool(host) and host.isprintable() and not set("/ ") & set(host) and has_brackets == (":" in host)
    return is_host and is_port(end)


def _reader(expected: str, accepts: Callable[[str], bool], normalize: Callable[[str], str] = str) -> Reader:
    def read(value: str, name: str) -> str:
        if not accepts(value):
            problem = f"invalid value {value!r} for {name}: expected {expected}"
            raise ConfigError(problem, "correct the variable or unset it")
        return normalize(value)

    return read


def _one_of(*words: str) -> Reader:
    return _reader(f"one of {', '.join(words)}", words.__contains__)


read_text = _reader("UTF-8 text of printable characters", is_printable)
read_flag = _reader("true or false", lambda value: value.lower() in ("true", "false"), str.lower)
read_number = _reader("a whole number", is_number, lambda value: str(int(value)))
read_port = _reader("1-65535", is_port, lambda value: str(int(value)))
read_address = _reader("host:port, without a scheme, an IPv6 address in brackets", _is_address)
read_provider = _one_of("ollama", "anthropic", "openai")
_LOCAL, _CLOUD = "backend.local", "backend.cloud"
MANAGED, ADDRESS = f"{_LOCAL}.temporal.managed", f"{_LOCAL}.temporal.address"
_SHIPPED = "the version is the one Stigmer ships; use `backend.local.temporal.address` for a Temporal of your own"
_NOT_READ = "accepted; the server does not read it"

SCHEMA: dict[str, Field] = {
    "backend.type": Field(_one_of("local", "cloud"), "local", _NOT_READ),
    f"{_LOCAL}.endpoint": Field(read_text, "", unused="the server listens on `ports.server`"),
    f"{_LOCAL}.data_dir": Field(read_text, "", unused="set STIGMER_HOME to move everything"),
    f"{_LOCAL}.llm.provider": Field(read_provider, "ollama", "the provider of the language model"),
    f"{_LOCAL}.llm.model": Field(read_text, "", "the model's name; empty: the provider's usual one"),
    f"{_LOCAL}.llm.base_url": Field(read_text, "", "the provider's address; empty: the usual one"),
    f"{_LOCAL}.llm.api_key": Field(read_text, "", "the provider's key; better set in the environment", secret=True),
    MANAGED: Field(read_flag, "true", "whether the server starts a Temporal of its own"),
    ADDRESS: Field(read_address, "", "the Temporal to use where `managed` is false"),
    f"{_LOCAL}.temporal.version": Field(read_text, "", unused=_SHIPPED),
    f"{_LOCAL}.temporal.port": Field(read_port, "7233", "the same as `ports.temporal`, which overrides it"),
    f"{_LOCAL}.execution.mode": Field(_one_of("local", "sandbox", "auto"), "local", "where agents run commands"),
    f"{_LOCAL}.execution.sandbox_image": Field(read_text, "", "the container image of the sandbox"),
    f"{_LOCAL}.execution.auto_pull": Field(read_flag, "true", "whether a missing image is pulled"),
    f"{_LOCAL}.execution.cleanup": Field(read_flag, "true", "whether sandboxes are removed after use"),
    f"{_LOCAL}.execution.ttl": Field(read_number, "3600", "seconds that a sandbox may live"),
    f"{_CLOUD}.endpoint": Field(read_text, "", _NOT_READ),
    f"{_CLOUD}.token": Field(read_text, "", _NOT_READ, secret=True),
    f"{_CLOUD}.org_id": Field(read_text, "", _NOT_READ),
    f"{_CLOUD}.env_id": Field(read_text, "", _NOT_READ),
    "context.organization": Field(read_text, "", _NOT_READ),
    "context.environment": Field(read_text, "", _NOT_READ),
    **{f"ports.{name}": Field(read_port, str(port), f"port of {part}") for name, (port, part) in PORTS.items()},
}

FORMER_KEYS = {"ports.temporal": f"{_LOCAL}.temporal.port"}  # keys of older files that still count, by today's

TEMPLATE = """\
# Stigmer's configuration. Change it with `stigmer config set KEY VALUE`, or here; comments are kept.
# `stigmer config list` shows every key with its value. API keys belong in the environment
# (ANTHROPIC_API_KEY, OPENAI_API_KEY or STIGMER_LLM_API_KEY), not into this file.
backend:
  type: local
  local:
    llm:
      provider: ollama # or anthropic, openai
    temporal:
      managed: true # false, with an address, to use a Temporal of your own
"""
