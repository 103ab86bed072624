"""`stigmer config list` and `get` show effective values and their origin, but never a secret."""

import pytest

from stigmer_launcher.cli.commands.config import effective_values
from stigmer_launcher.config import file as config_file
from stigmer_launcher.config.schema import SCHEMA
from stigmer_launcher.system.places import Places
from support.configuring import UPSTREAM, config, write


def effective(places: Places, **environ: str) -> dict[str, tuple[str, str]]:
    """Return each key's value in effect and its origin."""
    read = effective_values(config_file.read_config(places.config), environ)
    return {key.removeprefix("backend.local."): found for key, found in read.items()}


def test_a_variable_overrides_the_file_and_the_file_overrides_the_default(places: Places) -> None:
    assert effective(places)["llm.provider"] == ("ollama", "default")
    write(places, UPSTREAM)
    assert effective(places)["llm.model"] == ("claude-sonnet-4.5", "file")
    chosen = effective(places, STIGMER_LLM_PROVIDER="openai", OPENAI_API_KEY="sk-very-secret")
    assert chosen["llm.provider"] == ("openai", "STIGMER_LLM_PROVIDER")
    assert chosen["llm.model"] == ("gpt-4", "default"), "the file's model is for another provider"
    assert chosen["llm.api_key"] == ("(set, not shown)", "OPENAI_API_KEY")
    write(places, UPSTREAM.replace("claude-sonnet-4.5", "gpt-4"))
    assert effective(places, STIGMER_LLM_PROVIDER="openai")["llm.model"] == ("gpt-4", "default"), (
        "equal to the file's model only by chance"
    )


def test_temporal_is_not_managed_if_an_address_is_set(places: Places) -> None:
    read = effective(places, TEMPORAL_SERVICE_ADDRESS="there:7233")
    assert read["temporal.address"] == ("there:7233", "TEMPORAL_SERVICE_ADDRESS")
    assert read["temporal.managed"] == ("false", "TEMPORAL_SERVICE_ADDRESS")
    write(places, "backend:\n  local:\n    temporal:\n      address: there:1\n      port: 5\n")
    assert effective(places)["temporal.managed"] == ("false", "file")
    assert effective(places)["ports.temporal"] == ("5", "file")
    write(places, "backend:\n  local:\n    temporal:\n      address: there:1\n      managed: true\n")
    assert effective(places)["temporal.managed"] == ("true", "file"), "as a start reads it"


def test_no_command_prints_a_secret(places: Places) -> None:
    write(places, "backend:\n  local:\n    llm:\n      provider: openai\n      api_key: sk-very-secret\n")
    assert effective(places)["llm.api_key"] == ("(set, not shown)", "file")
    assert effective(places)["backend.cloud.token"][0] == ""
    assert config(places, "get", "backend.local.llm.api_key") == (0, "(set, not shown)\n", "")
    for arguments in (("list",), ("list", "--json")):
        code, out, err = config(places, *arguments, STIGMER_LLM_API_KEY="sk-other-secret")
        assert (code, "STIGMER_LLM_API_KEY" in out) == (0, True)
        assert "secret" not in out + err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/v1", "https://host/v1"),
        ("https://ada:secret@host/v1?key=secret", "https://****@host/v1"),
        ("https://ada:sec/ret@host", "https://****@host"),
        ("ada:secret@host/v1", "****@host/v1"),
    ],
)
def test_user_password_and_query_of_a_url_are_not_shown(places: Places, url: str, shown: str) -> None:
    write(places, f"backend:\n  local:\n    llm:\n      base_url: {url}\n")
    assert effective(places)["llm.base_url"] == (shown, "file")
    assert config(places, "get", "backend.local.llm.base_url") == (0, f"{shown}\n", "")


@pytest.mark.parametrize("key", SCHEMA)
def test_every_key_has_either_a_description_or_a_replacement(key: str) -> None:
    assert bool(SCHEMA[key].about) != bool(SCHEMA[key].unused)
