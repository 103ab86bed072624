"""The keys of config.yaml: what each holds, its default, and which are accepted from older files but not used."""

from collections.abc import Callable
from typing import NamedTuple

from stigmer_launcher.config.yaml_subset import is_printable
from stigmer_launcher.errors import ConfigError

Reader = Callable[[str, str], str]


class Field(NamedTuple):
    """One key: how its text is checked, its default, and what it decides (`about`).

    A reader takes a text and the name of what holds it, and returns it in its normal form; its ConfigError says what was
    expected. `unused` says what to do instead; the key is accepted because files of earlier versions have it.
    """

    read: Reader
    default: str
    about: str = ""
    secret: bool = False
    unused: str = ""


def is_number(value: str) -> bool:
    """Return whether a text is a whole number, 0 or more; Python refuses to convert one of thousands of digits."""
    return value.isascii() and value.isdigit() and len(value) < 19


def is_port(value: str) -> bool:
    """Return whether a text is the number of a port."""
    return is_number(value) and 0 < int(value) < 65536


def _is_address(value: str) -> bool:
    host, _, end = value.rpartition(":")
    return host.isprintable() and bool(host) and not {"/", " "} & set(host) and is_port(end)


def _reader(expected: str, accepts: Callable[[str], bool], normalize: Callable[[str], str] = str) -> Reader:
    def read(value: str, name: str) -> str:
        if not accepts(value):
            problem = f"invalid value {value!r} for {name}: expected {expected}"
            raise ConfigError(problem, "correct the variable or unset it")
        return normalize(value)

    return read


def _one_of(*words: str) -> Reader:
    return _reader(f"one of {', '.join(words)}", words.__contains__)


text = _reader("UTF-8 text of printable characters", is_printable)
flag = _reader("true or false", lambda value: value.lower() in ("true", "false"), str.lower)
number = _reader("a whole number", is_number, lambda value: str(int(value)))
port = _reader("1-65535", is_port, lambda value: str(int(value)))
address = _reader("host:port, without a scheme", _is_address)
provider = _one_of("ollama", "anthropic", "openai")
_LOCAL, _CLOUD = "backend.local", "backend.cloud"
_SHIPPED = "the version is the one Stigmer ships; use `backend.local.temporal.address` for a Temporal of your own"
_OTHERS = "accepted; the server does not read it"

SCHEMA: dict[str, Field] = {
    "backend.type": Field(_one_of("local", "cloud"), "local", _OTHERS),
    f"{_LOCAL}.endpoint": Field(text, "", unused="the server listens on `ports.server`"),
    f"{_LOCAL}.data_dir": Field(text, "", unused="set STIGMER_HOME to move everything"),
    f"{_LOCAL}.llm.provider": Field(provider, "ollama", "who runs the language model"),
    f"{_LOCAL}.llm.model": Field(text, "", "the model's name; empty: the provider's usual one"),
    f"{_LOCAL}.llm.base_url": Field(text, "", "the provider's address; empty: the usual one"),
    f"{_LOCAL}.llm.api_key": Field(text, "", "the provider's key; better set in the environment", secret=True),
    f"{_LOCAL}.temporal.managed": Field(flag, "true", "whether the server starts a Temporal of its own"),
    f"{_LOCAL}.temporal.address": Field(address, "", "the Temporal to use where `managed` is false"),
    f"{_LOCAL}.temporal.version": Field(text, "", unused=_SHIPPED),
    f"{_LOCAL}.temporal.port": Field(port, "7233", "the same as `ports.temporal`, which goes first"),
    f"{_LOCAL}.execution.mode": Field(_one_of("local", "sandbox", "auto"), "local", "where agents run commands"),
    f"{_LOCAL}.execution.sandbox_image": Field(text, "", "the container image of the sandbox"),
    f"{_LOCAL}.execution.auto_pull": Field(flag, "true", "whether a missing image is pulled"),
    f"{_LOCAL}.execution.cleanup": Field(flag, "true", "whether sandboxes are removed after use"),
    f"{_LOCAL}.execution.ttl": Field(number, "3600", "seconds that a sandbox may live"),
    f"{_CLOUD}.endpoint": Field(text, "", _OTHERS),
    f"{_CLOUD}.token": Field(text, "", _OTHERS, secret=True),
    f"{_CLOUD}.org_id": Field(text, "", _OTHERS),
    f"{_CLOUD}.env_id": Field(text, "", _OTHERS),
    "context.organization": Field(text, "", _OTHERS),
    "context.environment": Field(text, "", _OTHERS),
    "ports.server": Field(port, "7234", "the port of stigmer-server"),
    "ports.temporal": Field(port, "7233", "the port of Temporal"),
    "ports.temporal-ui": Field(port, "8233", "the port of Temporal's web page"),
}

# Where a value counts that the file has under another key only.
EARLIER = {"ports.temporal": f"{_LOCAL}.temporal.port"}

# What the file begins with when Stigmer writes it: the defaults, and where to read on.
FIRST_FILE = """\
# Stigmer's configuration. Change it with `stigmer config set KEY VALUE`, or here; comments are kept.
# `stigmer config list` shows every key with its value. API keys belong into the environment
# (ANTHROPIC_API_KEY, OPENAI_API_KEY or STIGMER_LLM_API_KEY), not into this file.
backend:
  type: local
  local:
    llm:
      provider: ollama # or anthropic, openai
    temporal:
      managed: true # false, with an address, to use a Temporal of your own
"""


def did_you_mean(key: str) -> str:
    """Return `, did you mean …?` for a key that does not exist, or nothing when none is near."""
    import difflib

    of_this_name = [known for known in SCHEMA if known.rpartition(".")[2] == key.rpartition(".")[2]]
    near = difflib.get_close_matches(key, SCHEMA, n=1, cutoff=0.7) or of_this_name
    return f", did you mean {near[0]}?" if near else ""
