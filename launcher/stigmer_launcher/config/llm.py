"""The language model that the agents use, and its API key. The key is never written to disk or passed as an argument.

The environment overrides the file, the file the defaults. A key in the file is honoured, because earlier versions
wrote it there; `doctor` warns when others can read the file. A key typed in is kept only in this process and its children.
"""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.schema import read_provider
from stigmer_launcher.errors import LauncherError

_LLM = "backend.local.llm"
_PROVIDER, _KEY = "STIGMER_LLM_PROVIDER", "STIGMER_LLM_API_KEY"


class Provider(NamedTuple):
    """A provider's default model and address, and the usual variable for its API key; empty when it needs no key."""

    model: str
    base_url: str
    variable: str


DEFAULTS = {
    "ollama": Provider("qwen2.5-coder:7b", "http://localhost:11434", ""),
    "anthropic": Provider("claude-sonnet-4.5", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "openai": Provider("gpt-4", "https://api.openai.com/v1", "OPENAI_API_KEY"),
}


class Llm(NamedTuple):
    """The language model, and how to reach it."""

    provider: str
    model: str
    base_url: str
    api_key: str

    def __repr__(self) -> str:  # a key must not get into a log by way of a traceback
        return f"Llm({self.provider}, {self.model}, {self.base_url})"

    @property
    def needs_key(self) -> bool:
        """Return whether the provider needs a key and there is none yet."""
        return bool(DEFAULTS[self.provider].variable) and not self.api_key


def redacted_url(url: str) -> str:
    """Return a URL without its parts that may be secret: user, password and query."""
    scheme, separator, rest = url.partition("?")[0].rpartition("://")
    userinfo, _, host = rest.rpartition("@")
    return f"{scheme}{separator}{'****@' if userinfo else ''}{host}"


def find_settings(environ: Mapping[str, str], config: Config) -> dict[str, tuple[str, str]]:
    """Return provider, model, address and key, each with its origin: a variable, `file` or `default`.

    The file's other values count only for the file's provider. ConfigError for an unknown provider.
    """
    configured = config.text(f"{_LLM}.provider")
    provider = read_provider(environ.get(_PROVIDER, "").strip().lower() or configured, _PROVIDER)
    usual = DEFAULTS[provider]

    def find(name: str, default: str, *variables: str) -> tuple[str, str]:
        for variable in variables:
            if value := environ.get(variable, "").strip():
                return value, variable
        key = f"{_LLM}.{name}"
        if provider == configured and config.find(key):
            return config.text(key), "file"
        return default, "default"

    return {
        "provider": (provider, find("provider", provider, _PROVIDER)[1]),
        "model": find("model", usual.model, "STIGMER_LLM_MODEL"),
        "base_url": find("base_url", usual.base_url, "STIGMER_LLM_BASE_URL"),
        "api_key": find("api_key", "", _KEY, usual.variable) if usual.variable else ("", "default"),
    }


def find_llm(environ: Mapping[str, str], config: Config) -> Llm:
    """Return the language model to use, perhaps without a key that it needs. ConfigError for an unknown provider."""
    return Llm(*(value for value, _ in find_settings(environ, config).values()))


def require_key(llm: Llm, ask: Callable[[str], str | None]) -> Llm:
    """Return `llm` with its key, asking once for a missing one; LauncherError when there is no answer."""
    if not llm.needs_key:
        return llm
    answer = ask(f"API key for {llm.provider} (not shown, not stored): ")
    if not (key := (answer or "").strip()):
        why = ", and there is no terminal to ask for it" if answer is None else ""
        remedy = f"set {DEFAULTS[llm.provider].variable} (or {_KEY}) in the environment and run the command again"
        raise LauncherError(f"{llm.provider} needs an API key{why}", remedy)
    return llm._replace(api_key=key)


def ask_terminal(prompt: str) -> str | None:
    """Return the answer typed at the terminal, without echo; None when there is no terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    import getpass

    try:
        return getpass.getpass(prompt)
    except EOFError:
        return ""
