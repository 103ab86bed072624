"""A service gets exactly its component's arguments and variables, and those it may inherit from the user."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stigmer_launcher.config.file import Config, Setting
from stigmer_launcher.config.llm import Llm
from stigmer_launcher.errors import ConfigError, KegError
from stigmer_launcher.launch import environment
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.manifest.rules import VARIABLES
from support.launcher_payloads import part

MANIFEST = load_manifest(Path(__file__).parents[2] / "packaging" / "manifest.yaml")
LLM = Llm("openai", "gpt-4", "https://api", "sk-very-secret")
NOTHING = Config("config.yaml", {})
PORTS = {"server": 7234, "temporal": 7233, "temporal-ui": 8233}
VALUES = environment.variables("/h ome", PORTS, "", LLM, NOTHING, {"TEMPORAL_NAMESPACE": "for external ones only"})


def test_every_variable_of_a_payload_has_a_value() -> None:
    expected = {
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
        **{f"execution.{name}": "" for name in environment.EXECUTION_NAMES},
    }
    assert expected == VALUES
    assert {name for name in VALUES if not name.startswith("port.")} == set(VARIABLES), (
        "a manifest may use exactly these"
    )


def test_address_and_namespace_of_an_external_temporal_and_execution_settings_are_available() -> None:
    """The server did not get the address at first, and was the only service to fail."""
    config = Config("", {"backend.local.execution.cleanup": Setting("false", line=1)})
    values = environment.variables("/h", PORTS, "there:1", LLM, config, {"TEMPORAL_NAMESPACE": "team"})
    assert (values["temporal.address"], values["temporal.namespace"]) == ("there:1", "team")
    assert (values["execution.cleanup"], values["execution.mode"]) == ("false", "")


def test_a_product_without_temporal_has_no_temporal_address() -> None:
    """It used to be 127.0.0.1:0, which the status showed and doctor could not reach."""
    values = environment.variables("/h", {"clock": 17411}, "", LLM, NOTHING, {})
    assert values["temporal.address"] == ""


@pytest.mark.parametrize("namespace", ["\udcff", "a\ab"])
def test_the_error_about_a_namespace_that_is_not_utf8_names_the_variable(namespace: str) -> None:
    """Temporal's protocol allows only UTF-8; the supervisor used to crash when it probed the namespace."""
    with pytest.raises(ConfigError, match="for TEMPORAL_NAMESPACE: expected UTF-8 text"):
        environment.variables("/h", PORTS, "there:1", LLM, NOTHING, {"TEMPORAL_NAMESPACE": namespace})


def test_all_execution_settings_are_passed_to_the_agent_runner() -> None:
    """They used to be accepted and validated but not passed to any service."""
    runner = next(part for part in MANIFEST.components if part.name == "agent-runner")
    sent = set(runner.run.environment.values())
    assert {f"{{execution.{name}}}" for name in environment.EXECUTION_NAMES} <= sent


def test_placeholders_are_filled_in_everywhere_but_not_recursively() -> None:
    """An empty value is not set, as services distinguish an empty STIGMER_LLM_API_KEY from a missing one."""
    own = {"ADDRESS": "localhost:{port.server}", "MODEL": "{llm.model}", "KEY": "{llm.api_key}", "FIXED": "1"}
    arguments = ("--db", "{home}/x.db", "plain", "{port.server}:{port.temporal-ui}")
    component = part("one", arguments=arguments, environment=tuple(own.items())).component
    values = {**VALUES, "home": "/{llm.model}", "llm.api_key": ""}
    command = environment.command_of(component, "/v/1", values, ("KEY",), {})
    assert command.argv[1:] == ("--db", "/{llm.model}/x.db", "plain", "7234:8233")
    assert command.env == {"ADDRESS": "localhost:7234", "MODEL": "gpt-4", "FIXED": "1"}


@pytest.mark.parametrize("text", ["{unknown}", "{home", "{}", "{llm.api_key!r}"])
def test_an_unknown_placeholder_is_an_error_that_names_the_component(text: str) -> None:
    component = part("one", arguments=(text,)).component
    with pytest.raises(KegError, match="one is started with"):
        environment.command_of(component, "/v/1", VALUES, (), {})


INHERITED = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY"),
)
NOT_INHERITED = (
    *("TEMPORAL_NAMESPACE", "TEMPORAL_ENV", "TEMPORAL_CONFIG_FILE", "TEMPORAL_HOST_PORT", "XDG_CONFIG_HOME"),
    *("AWS_SECRET_ACCESS_KEY", "GRPC_PORT"),
)
FROZEN = (
    *("LD_LIBRARY_PATH", "LD_LIBRARY_PATH_ORIG", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"),
    *("_PYI_ARCHIVE_FILE", "_MEIPASS2", "PYINSTALLER_RESET_ENVIRONMENT"),
)


def inherited(environ: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the variables that a service without variables of its own inherits from the user's environment."""
    return environment.command_of(part("one").component, "/v/1", VALUES, names, environ).env


def test_services_inherit_only_variables_for_docker_certificates_and_proxies() -> None:
    """The sandbox and corporate networks need these; others, such as TEMPORAL_*, would reconfigure our services."""
    environ = dict.fromkeys([*INHERITED, *NOT_INHERITED], "x")
    assert inherited(environ, MANIFEST.inherit) == dict.fromkeys(INHERITED, "x")


def test_variables_of_the_frozen_launcher_are_never_inherited() -> None:
    """Not even if a payload lists them: the frozen agent-runner would load the launcher's libraries."""
    assert inherited(dict.fromkeys(FROZEN, "/keg/lib"), FROZEN) == {}


def test_a_command_combines_executable_arguments_and_own_and_inherited_variables() -> None:
    """An API key must be neither in the arguments nor in the repr of the command."""
    own = (("HOME", "/elsewhere"), ("X", "{home}"), ("STIGMER_LLM_API_KEY", "{llm.api_key}"))
    component = part("one", arguments=("serve",), environment=own).component
    command = environment.command_of(component, "/v/1", VALUES, ("HOME", "LANG"), {"HOME": "/h", "LANG": "C", "Z": "z"})
    assert command.argv == ("/v/1/one", "serve")
    key = {"STIGMER_LLM_API_KEY": "sk-very-secret"}
    assert command.env == {"HOME": "/elsewhere", "LANG": "C", "X": "/h ome", **key}
    assert "sk-very-secret" not in f"{command!r} {command}"


def executable(path: Path, content: bytes = b"#!/bin/sh\n", mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_an_override_replaces_the_executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    component = part("one", override="STIGMER_ONE_BIN").component
    own = executable(tmp_path / "own")
    assert environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": own}) == own
    monkeypatch.chdir(tmp_path)
    assert environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": "own"}) == own, "made absolute"
    assert environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": ""}) == "/v/1/one"


def test_an_override_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    component = part("one", override="STIGMER_ONE_BIN").component
    foreign = b"\x7fELF\x02\x01\x01" + bytes(11) + (243).to_bytes(2, "little") + bytes(44)
    paths = {
        "does not exist": str(tmp_path / "missing"),
        "is no file": str(tmp_path),
        "is not executable": executable(tmp_path / "plain", mode=0o644),
        "is built for another machine": executable(tmp_path / "foreign", foreign),
    }
    for problem, path in paths.items():
        with pytest.raises(ConfigError, match=f"STIGMER_ONE_BIN names {path}, which {problem}"):
            environment.executable_of(component, "/v/1", {"STIGMER_ONE_BIN": path})
