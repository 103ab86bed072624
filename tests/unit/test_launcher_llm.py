"""LLM settings: precedence of environment, file and defaults; a missing API key is prompted for or an error."""

import contextlib
import os
import pty
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stigmer_launcher.config.file import Config, Setting
from stigmer_launcher.config.llm import DEFAULTS, Llm, find_llm, find_settings, require_key
from stigmer_launcher.errors import ConfigError, LauncherError
from stigmer_launcher.system.places import Places

SECRET = "sk-very-secret"  # noqa: S105 - a fake key that the tests look for
EMPTY = Config("config.yaml", {})
SETTINGS = {"provider": "anthropic", "model": "x", "base_url": "y", "api_key": SECRET}
CONFIGURED = Config("config.yaml", {f"backend.local.llm.{key}": Setting(value, 1) for key, value in SETTINGS.items()})
LAUNCHER = str(Path(sys.modules[find_llm.__module__].__file__ or "").parents[2])


@pytest.mark.parametrize(
    ("environ", "config", "expected"),
    [
        pytest.param({}, EMPTY, ("ollama", "qwen2.5-coder:7b", "http://localhost:11434", ""), id="the defaults"),
        pytest.param({}, CONFIGURED, ("anthropic", "x", "y", SECRET), id="the file overrides the defaults"),
        pytest.param(
            {
                "STIGMER_LLM_PROVIDER": "Anthropic",
                "STIGMER_LLM_MODEL": "m",
                "STIGMER_LLM_BASE_URL": "u",
                "ANTHROPIC_API_KEY": "k",
            },
            CONFIGURED,
            ("anthropic", "m", "u", "k"),
            id="the environment overrides the file",
        ),
        pytest.param(
            {"STIGMER_LLM_PROVIDER": "openai"},
            CONFIGURED,
            ("openai", "gpt-4", "https://api.openai.com/v1", ""),
            id="key and model of one provider are not used for another",
        ),
    ],
)
def test_the_environment_overrides_the_file_and_the_file_the_defaults(
    environ: dict[str, str], config: Config, expected: tuple[str, ...]
) -> None:
    assert find_llm(environ, config) == expected


@pytest.mark.parametrize("provider", DEFAULTS)
def test_each_provider_has_its_defaults(provider: str) -> None:
    """The runner exits if its model is blank, so a blank one is replaced by the default."""
    llm = find_llm({"STIGMER_LLM_PROVIDER": provider, "STIGMER_LLM_MODEL": " ", "STIGMER_LLM_API_KEY": "k"}, EMPTY)
    assert (llm.model, llm.base_url) == DEFAULTS[provider][:2]
    assert llm.model


@pytest.mark.parametrize(
    ("provider", "environ", "origin"),
    [
        ("anthropic", {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}, "ANTHROPIC_API_KEY"),
        ("openai", {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}, "OPENAI_API_KEY"),
        ("openai", {"STIGMER_LLM_API_KEY": "s", "OPENAI_API_KEY": "o"}, "STIGMER_LLM_API_KEY"),
        ("openai", {"STIGMER_LLM_API_KEY": "", "OPENAI_API_KEY": "o"}, "OPENAI_API_KEY"),
        ("openai", {"ANTHROPIC_API_KEY": "a"}, "default"),
        ("ollama", {"ANTHROPIC_API_KEY": "a", "STIGMER_LLM_API_KEY": "s"}, "default"),
    ],
)
def test_the_key_comes_from_the_variable_of_the_provider(provider: str, environ: dict[str, str], origin: str) -> None:
    environ = {**environ, "STIGMER_LLM_PROVIDER": provider}
    key = environ.get(origin, "")
    assert find_settings(environ, EMPTY)["api_key"] == (key, origin)
    llm = find_llm(environ, EMPTY)
    assert (llm.api_key, llm.needs_key) == (key, provider != "ollama" and not key)


def test_an_unknown_provider_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="for STIGMER_LLM_PROVIDER: expected one of ollama, anthropic, openai"):
        find_llm({"STIGMER_LLM_PROVIDER": "gemini"}, EMPTY)


def test_a_missing_key_is_prompted_for_once() -> None:
    answers = iter([f" {SECRET}\n"])
    llm = require_key(find_llm({"STIGMER_LLM_PROVIDER": "anthropic"}, EMPTY), lambda _: next(answers))
    assert llm.api_key == SECRET
    assert require_key(llm, pytest.fail) == llm


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(" ", "anthropic needs an API key$"), (None, "needs an API key, and there is no terminal to ask for it$")],
)
def test_a_missing_answer_is_an_error_that_names_the_variable(answer: str | None, reason: str) -> None:
    with pytest.raises(LauncherError, match=reason) as caught:
        require_key(find_llm({"STIGMER_LLM_PROVIDER": "anthropic"}, EMPTY), lambda _: answer)
    assert "ANTHROPIC_API_KEY" in caught.value.remedy


def test_the_repr_of_a_model_does_not_show_its_key() -> None:
    llm = Llm("openai", "m", "u", SECRET)
    assert SECRET not in f"{llm!r} {llm} {(llm,)}"


def typed_at_terminal(typed: bytes, arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Run Python in a terminal, type at the prompt for the key, and return the exit code and the output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, *arguments], {**environ, "PYTHONPATH": LAUNCHER, "TERM": "xterm"})  # noqa: S606 - a process in a terminal
    shown = b""
    while b"not stored): " not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, typed)
    with contextlib.suppress(OSError):  # the process has ended
        while data := os.read(terminal, 1000):
            shown += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_the_key_is_not_echoed_in_a_terminal() -> None:
    program = (
        "from stigmer_launcher.config.llm import Llm, ask_terminal, require_key\n"
        "print('answered', len(require_key(Llm('openai', '', '', ''), ask_terminal).api_key))"
    )
    code, shown = typed_at_terminal(SECRET.encode() + b"\n", ["-c", program], {})
    assert code == 0
    assert SECRET.encode() not in shown
    assert f"answered {len(SECRET)}".encode() in shown


def test_the_key_is_prompted_for_first_and_ctrl_c_at_the_prompt_interrupts(keg: Path, places: Places) -> None:
    environ = {"STIGMER_PAYLOAD": str(keg), "STIGMER_HOME": places.home, "STIGMER_LLM_PROVIDER": "openai"}
    code, shown = typed_at_terminal(b"\x03", ["-S", "-m", "stigmer_launcher", "server"], environ)
    assert code == 130
    assert shown.startswith(b"API key for openai")
    assert b"needs an API key" not in shown
