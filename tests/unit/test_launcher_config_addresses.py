"""Precedence of sources for ports and Temporal's address: command line, environment, file, default."""

import pytest

from stigmer_launcher.config.file import Config, Setting
from stigmer_launcher.errors import ConfigError, UsageError
from stigmer_launcher.install.payload import Payload, Smoke
from stigmer_launcher.launch.environment import external_address, ports_of
from support.launcher_payloads import part

TEMPORAL = part(
    "temporal", external="TEMPORAL_SERVICE_ADDRESS", ports=(("temporal", 7233), ("temporal-ui", 8233))
).component
SERVER = part("stigmer-server", ports=(("server", 7234),)).component
PAYLOAD = Payload("stigmer", "1", "linux-amd64", (), Smoke("none"), (TEMPORAL, SERVER))


def config_with(**settings: str | int) -> Config:
    """Return a configuration with these settings: `port` is Temporal's, `ports_server` is `ports.server`."""
    names = {"ports_server": "ports.server", "ports_temporal": "ports.temporal", "ports_ui": "ports.temporal-ui"}
    keys = {names.get(name, f"backend.local.temporal.{name}"): value for name, value in settings.items()}
    return Config("config.yaml", {key: Setting(str(value), 3) for key, value in keys.items()})


@pytest.mark.parametrize(
    ("config", "chosen", "ports"),
    [
        (config_with(), {}, (7233, 8233, 7234)),
        (config_with(ports_server=1, ports_ui=2), {}, (7233, 2, 1)),
        (config_with(ports_server=1), {"server": 3}, (7233, 8233, 3)),
        (config_with(port=5), {}, (5, 8233, 7234)),
        (config_with(port=5, ports_temporal=6), {}, (6, 8233, 7234)),
    ],
)
def test_a_port_comes_from_the_command_line_then_the_file_then_the_payload(
    config: Config, chosen: dict[str, int], ports: tuple[int, int, int]
) -> None:
    temporal, interface, server = ports
    assert ports_of(PAYLOAD, config, chosen) == {"temporal": temporal, "temporal-ui": interface, "server": server}


def test_two_ports_that_are_equal_are_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="the ports temporal and server are both 7233") as caught:
        ports_of(PAYLOAD, config_with(), {"server": 7233})
    assert "`--port server=NUMBER`" in caught.value.remedy, "the file does not override the command line"
    assert "`stigmer config set ports.server NUMBER`" in caught.value.remedy


def test_an_unknown_port_name_is_a_usage_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no port ui; there are temporal, temporal-ui, server"):
        ports_of(PAYLOAD, config_with(), {"ui": 1})


@pytest.mark.parametrize(
    ("config", "variable", "address"),
    [
        (config_with(), "", ""),
        (config_with(), "there:1", "there:1"),
        (config_with(), "[::1]:7", "[::1]:7"),
        (config_with(managed="true", address="x:2"), "there:1", "there:1"),
        (config_with(address="x:2"), "", "x:2"),
        (config_with(managed="false", address="x:2"), "", "x:2"),
        (config_with(managed="true", address="x:2"), "", ""),
        (config_with(managed="true"), "", ""),
        (config_with(port=7000), "", ""),  # neither managed nor address: Temporal is managed
    ],
)
def test_environment_and_file_decide_whether_temporal_is_external(config: Config, variable: str, address: str) -> None:
    assert external_address((SERVER, TEMPORAL), config, {"TEMPORAL_SERVICE_ADDRESS": variable}) == address


def test_a_component_that_cannot_be_external_is_always_managed() -> None:
    assert external_address((SERVER,), config_with(address="x:2"), {"": "x:1"}) == ""


def test_an_unmanaged_temporal_without_an_address_is_an_error_with_the_line() -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml, line 3: managed is false, and there is no address"):
        external_address((SERVER, TEMPORAL), config_with(managed="false"), {})


@pytest.mark.parametrize(
    "address",
    [
        "there",
        "http://there:1",
        "there:0",
        "there:x",
        ":1",
        "there:70000",
        "\udcff:1",
        "a b:1",
        "::1:7",
        "[::1:7",
        "::1]:7",
    ],
)
def test_the_error_about_an_invalid_address_names_the_variable(address: str) -> None:
    with pytest.raises(ConfigError, match=r"for TEMPORAL_SERVICE_ADDRESS: expected host:port"):
        external_address((SERVER, TEMPORAL), config_with(), {"TEMPORAL_SERVICE_ADDRESS": address})
