"""The model is what the environment, then the file, then the defaults say; its key is found, asked for, or an error."""

import contextlib
import os
import pty
import sys
from pathlib import Path

import pytest

from stigmer_launcher.config.file import Config, Setting
from stigmer_launcher.config.llm import DEFAULTS, Llm, find_llm, require_key
from stigmer_launcher.errors import ConfigError, SecretError
from stigmer_launcher.system.places import Places

NOTHING = Config("config.yaml", {})
SECRET = "sk-very-secret"  # noqa: S105 - the point of the tests


def filed(**settings: str) -> Config:
    """Give a configuration whose `backend.local.llm` says this."""
    return Config("config.yaml", {f"backend.local.llm.{key}": Setting(value, 1) for key, value in settings.items()})


def unasked(prompt: str) -> str:
    """Fail when somebody is asked."""
    pytest.fail(f"asked: {prompt}")


def test_without_anything_said_it_is_ollama_and_needs_no_key() -> None:
    llm = find_llm({}, NOTHING)
    assert llm == ("ollama", "qwen2.5-coder:7b", "http://localhost:11434", "", "not needed")
    assert require_key(llm, unasked) == llm


@pytest.mark.parametrize("provider", DEFAULTS)
def test_each_provider_has_its_defaults(provider: str) -> None:
    """A blank model makes the runner exit: there is always one."""
    llm = find_llm({"STIGMER_LLM_PROVIDER": provider, "STIGMER_LLM_MODEL": " ", "STIGMER_LLM_API_KEY": "k"}, NOTHING)
    assert (llm.model, llm.base_url) == (DEFAULTS[provider].model, DEFAULTS[provider].base_url)
    assert llm.model


def test_the_environment_overrules_the_file() -> None:
    environ = {
        "STIGMER_LLM_PROVIDER": "OpenAI",
        "STIGMER_LLM_MODEL": "m",
        "STIGMER_LLM_BASE_URL": "u",
        "OPENAI_API_KEY": "k",
    }
    llm = find_llm(environ, filed(provider="openai", model="x", base_url="y", api_key="z"))
    assert llm == ("openai", "m", "u", "k", "OPENAI_API_KEY")


def test_the_file_overrules_the_defaults() -> None:
    llm = find_llm({}, filed(provider="anthropic", model="x", base_url="y", api_key=SECRET))
    assert llm == ("anthropic", "x", "y", SECRET, "config.yaml")


def test_what_the_file_says_of_one_provider_is_not_given_to_another() -> None:
    """The key of one company must not be sent to another, nor a model's name they do not know."""
    llm = find_llm(
        {"STIGMER_LLM_PROVIDER": "openai"}, filed(provider="anthropic", model="x", base_url="y", api_key=SECRET)
    )
    assert llm == ("openai", "gpt-4", "https://api.openai.com/v1", "", "")


@pytest.mark.parametrize(
    ("provider", "environ", "key_from"),
    [
        ("anthropic", {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}, "ANTHROPIC_API_KEY"),
        ("openai", {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}, "OPENAI_API_KEY"),
        ("openai", {"STIGMER_LLM_API_KEY": "s", "OPENAI_API_KEY": "o"}, "STIGMER_LLM_API_KEY"),
        ("openai", {"STIGMER_LLM_API_KEY": "", "OPENAI_API_KEY": "o"}, "OPENAI_API_KEY"),
        ("openai", {"ANTHROPIC_API_KEY": "a"}, ""),
        ("ollama", {"ANTHROPIC_API_KEY": "a", "STIGMER_LLM_API_KEY": "s"}, "not needed"),
    ],
)
def test_the_key_is_that_of_the_provider(provider: str, environ: dict[str, str], key_from: str) -> None:
    llm = find_llm({**environ, "STIGMER_LLM_PROVIDER": provider}, NOTHING)
    assert llm.key_from == key_from
    assert llm.api_key == environ.get(key_from, "")
    assert llm.needs_key == (key_from == "")


def test_an_unknown_provider_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="for STIGMER_LLM_PROVIDER: expected one of ollama, anthropic, openai"):
        find_llm({"STIGMER_LLM_PROVIDER": "gemini"}, NOTHING)


def test_a_missing_key_is_asked_for_once_and_kept_in_memory_only() -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return f" {SECRET}\n"

    llm = require_key(find_llm({"STIGMER_LLM_PROVIDER": "anthropic"}, NOTHING), answer)
    assert (llm.api_key, llm.key_from) == (SECRET, "prompt")
    assert len(asked) == 1


def test_an_empty_answer_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(SecretError, match="anthropic needs an API key") as caught:
        require_key(find_llm({"STIGMER_LLM_PROVIDER": "anthropic"}, NOTHING), lambda _: " ")
    assert "ANTHROPIC_API_KEY" in caught.value.remedy


def test_a_key_does_not_get_into_a_message_by_way_of_its_representation() -> None:
    llm = Llm("openai", "m", "u", SECRET, "prompt")
    assert SECRET not in f"{llm!r} {llm} {(llm,)}"


ASK = """
import sys; sys.path.insert(0, sys.argv[1])
from stigmer_launcher.config.file import Config
from stigmer_launcher.config.llm import ask_terminal, find_llm, require_key
llm = find_llm({"STIGMER_LLM_PROVIDER": "openai"}, Config("", {}))
print("answered", len(require_key(llm, ask_terminal).api_key))
"""
LAUNCHER = str(Path(sys.modules[find_llm.__module__].__file__ or "").parents[2])


def run_at_a_terminal(arguments: list[str], environ: dict[str, str], typed: bytes) -> tuple[int, bytes]:
    """Run Python at a terminal, type at the question for the key, and give its exit code and the screen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, *arguments], environ)  # noqa: S606 - a process at a terminal
    shown = b""
    while b"not stored): " not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, typed)
    with contextlib.suppress(OSError):  # the process has ended
        while data := os.read(terminal, 1000):
            shown += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_at_a_terminal_the_key_is_not_shown() -> None:
    code, shown = run_at_a_terminal(["-c", ASK, LAUNCHER], {"TERM": "xterm"}, SECRET.encode() + b"\n")
    assert code == 0
    assert SECRET.encode() not in shown
    assert f"answered {len(SECRET)}".encode() in shown


def test_an_interrupt_at_the_question_for_a_key_is_an_interrupt(keg: Path, places: Places) -> None:
    environ = {"STIGMER_PAYLOAD": str(keg), "STIGMER_HOME": places.home, "STIGMER_LLM_PROVIDER": "openai"}
    environ |= {"PYTHONPATH": LAUNCHER, "TERM": "xterm"}
    code, shown = run_at_a_terminal(["-S", "-m", "stigmer_launcher", "server"], environ, b"\x03")
    assert code == 130
    assert b"needs an API key" not in shown
    assert shown.startswith(b"API key for openai"), "nothing else is shown before the question"
