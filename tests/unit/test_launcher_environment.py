"""A service gets exactly the arguments and variables its component names, and what the payload lets through."""

from pathlib import Path

import pytest

from stigmer_launcher.config.file import Config, Setting
from stigmer_launcher.config.llm import Llm
from stigmer_launcher.errors import KegError, OverrideError
from stigmer_launcher.launch import environment
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.manifest.rules import VARIABLES
from support.launcher_payloads import part

ROOT = Path(__file__).parents[2]

LLM = Llm("openai", "gpt-4", "https://api", "sk-very-secret", "prompt")
NOTHING = Config("config.yaml", {})
PORTS = {"server": 7234, "temporal": 7233, "temporal-ui": 8233}
VALUES = environment.variables("/h ome", PORTS, "", "default", LLM, NOTHING)


def test_every_variable_of_a_payload_has_its_value() -> None:
    assert VALUES == {
        "home": "/h ome",
        "home.relative": ".",
        "port.server": "7234",
        "port.temporal": "7233",
        "port.temporal-ui": "8233",
        "temporal.address": "127.0.0.1:7233",
        "temporal.namespace": "default",
        "llm.provider": "openai",
        "llm.model": "gpt-4",
        "llm.base_url": "https://api",
        "llm.api_key": "sk-very-secret",
        "execution.mode": "",
        "execution.sandbox_image": "",
        "execution.auto_pull": "",
        "execution.cleanup": "",
        "execution.ttl": "",
    }


def test_somebody_elses_temporal_is_told_to_every_service() -> None:
    """The server too: once it was not told, and an external Temporal broke the server alone."""
    values = environment.variables("/h", PORTS, "there:1", "team", LLM, NOTHING)
    assert (values["temporal.address"], values["temporal.namespace"]) == ("there:1", "team")


def test_what_the_file_says_of_execution_is_passed_on() -> None:
    config = Config("", {"backend.local.execution.cleanup": Setting(value=False, line=1)})
    values = environment.variables("/h", PORTS, "", "default", LLM, config)
    assert values["execution.cleanup"] == "false"
    assert values["execution.mode"] == ""


def test_a_manifest_may_use_exactly_what_the_launcher_fills_in() -> None:
    assert {name for name in VALUES if not name.startswith("port.")} == set(VARIABLES)


def test_all_that_the_file_may_say_of_execution_reaches_the_agent_runner() -> None:
    """Once it could be said, was checked, and was sent to nobody."""
    manifest = load_manifest(ROOT / "packaging" / "manifest.yaml")
    runner = next(part for part in manifest.components if part.name == "agent-runner")
    sent = set(runner.run.environment.values())
    assert {f"{{execution.{name}}}" for name in environment.EXECUTION} <= sent


def test_variables_are_filled_in_wherever_they_stand() -> None:
    component = part(
        "one",
        arguments=("--db", "{home}/x.db", "plain", "{port.server}:{port.temporal-ui}"),
        environment=(("ADDRESS", "localhost:{port.server}"), ("KEY", "{llm.api_key}"), ("FIXED", "1")),
    ).component
    assert environment.expand(component, VALUES) == (
        ("--db", "/h ome/x.db", "plain", "7234:8233"),
        {"ADDRESS": "localhost:7234", "KEY": "sk-very-secret", "FIXED": "1"},
    )


def test_a_variable_that_comes_out_empty_is_not_set() -> None:
    """An empty STIGMER_LLM_API_KEY is not the same as none."""
    component = part("one", environment=(("KEY", "{llm.api_key}"), ("OTHER", "x{llm.api_key}"))).component
    assert environment.expand(component, {**VALUES, "llm.api_key": ""})[1] == {"OTHER": "x"}


def test_a_value_is_not_filled_in_again() -> None:
    """A home called `{llm.api_key}` stays that."""
    component = part("one", arguments=("{home}",)).component
    assert environment.expand(component, {**VALUES, "home": "/{llm.api_key}"})[0] == ("/{llm.api_key}",)


@pytest.mark.parametrize("text", ["{unknown}", "{home", "{}", "{llm.api_key!r}"])
def test_an_unknown_variable_is_an_error_that_names_the_component(text: str) -> None:
    component = part("one", arguments=(text,)).component
    with pytest.raises(KegError, match="one is started with"):
        environment.expand(component, VALUES)


def test_only_what_the_payload_names_is_inherited() -> None:
    environ = {"HOME": "/h", "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "GRPC_PORT": "1", "TEMPORAL_HOST_PORT": "y"}
    assert environment.inherited(environ, ("HOME", "PATH", "LANG")) == {"HOME": "/h", "PATH": "/bin"}


DOCKER = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR")
CALLS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY")


TEMPORALS = ("TEMPORAL_NAMESPACE", "TEMPORAL_ENV", "TEMPORAL_CONFIG_FILE", "XDG_CONFIG_HOME")


def test_services_see_where_docker_certificates_and_proxies_are_and_nothing_of_the_users_own_temporal() -> None:
    """The sandbox, and calls from within a company, need them."""
    inherit = load_manifest(ROOT / "packaging" / "manifest.yaml").inherit
    seen = environment.inherited(dict.fromkeys([*DOCKER, *CALLS, *TEMPORALS], "x"), inherit)
    assert seen == dict.fromkeys([*DOCKER, *CALLS], "x")


@pytest.mark.parametrize(
    "name",
    [
        "LD_LIBRARY_PATH",
        "LD_LIBRARY_PATH_ORIG",
        "LD_PRELOAD",
        "DYLD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "_PYI_ARCHIVE_FILE",
        "_MEIPASS2",
        "PYINSTALLER_RESET_ENVIRONMENT",
    ],
)
def test_what_belongs_to_the_frozen_launcher_never_gets_through(name: str) -> None:
    """Not even when a payload names it: the frozen agent-runner would load the launcher's libraries."""
    assert environment.inherited({name: "/keg/lib"}, (name,)) == {}


def test_a_command_is_the_components_executable_its_arguments_and_both_environments() -> None:
    component = part("one", arguments=("serve",), environment=(("HOME", "/elsewhere"), ("X", "{home}"))).component
    command = environment.command_of(component, "/v/1", VALUES, ("HOME", "LANG"), {"HOME": "/h", "LANG": "C", "Z": "z"})
    assert command.argv == ("/v/1/one", "serve")
    assert command.env == {"HOME": "/elsewhere", "LANG": "C", "X": "/h ome"}


def test_a_key_is_not_in_the_arguments_nor_in_the_commands_representation() -> None:
    component = part("one", environment=(("STIGMER_LLM_API_KEY", "{llm.api_key}"),)).component
    command = environment.command_of(component, "/v/1", VALUES, (), {})
    assert command.env["STIGMER_LLM_API_KEY"] == "sk-very-secret"
    assert "sk-very-secret" not in f"{command!r} {command} {command.argv}"


def executable(path: Path, content: bytes = b"#!/bin/sh\n", mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_a_developers_executable_is_run_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    component = part("one", override="STIGMER_ONE_BIN").component
    mine = executable(tmp_path / "mine")
    assert environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": mine}) == mine
    monkeypatch.chdir(tmp_path)
    assert environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": "mine"}) == mine, "the directory may change"
    assert environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": ""}) == "/v/1/one"


def test_an_executable_that_is_set_and_cannot_be_run_is_an_error_and_never_ours(tmp_path: Path) -> None:
    component = part("one", override="STIGMER_ONE_BIN").component
    foreign = b"\x7fELF\x02\x01\x01" + bytes(11) + (243).to_bytes(2, "little") + bytes(44)
    wrong = {
        "does not exist": str(tmp_path / "missing"),
        "is no file": str(tmp_path),
        "is not executable": executable(tmp_path / "plain", mode=0o644),
        "is built for another machine": executable(tmp_path / "foreign", foreign),
    }
    for problem, path in wrong.items():
        with pytest.raises(OverrideError, match=f"STIGMER_ONE_BIN names {path}, which {problem}"):
            environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": path})
