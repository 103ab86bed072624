"""Service definitions of a bottle: stopping, restarting, and a start beside a running server."""

import plistlib
import re
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.formula.service_files import render_service, stop_seconds
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest.naming import service_names, service_path
from support.keg_standin import standin_manifest

LINUX, MAC = parse_target("linux-amd64"), parse_target("darwin-arm64")
MANIFEST = standin_manifest()


def unit(text: str) -> RawConfigParser:
    """Parse a unit; the last value of a repeated key counts."""
    read = RawConfigParser(strict=False, delimiters="=")
    read.read_string(text)
    return read


def test_each_file_has_the_name_that_brew_looks_for() -> None:
    assert service_path("stigmer", LINUX) == "homebrew.stigmer.service"
    assert service_path("stigmer", MAC) == "homebrew.mxcl.stigmer.plist"
    assert service_names("two-tiny") == ("homebrew.mxcl.two-tiny", "homebrew.two-tiny")


def test_systemd_signals_only_the_supervisor_and_waits_longer_than_all_graces() -> None:
    """By default, as in brew's own unit, it signals all processes at once, Temporal before its clients."""
    service = unit(render_service(MANIFEST, LINUX))["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) == stop_seconds(MANIFEST.components)
    graces = {part.run.stop_order: part.run.grace for part in MANIFEST.components}
    assert stop_seconds(MANIFEST.components) > sum(graces.values())


def test_systemd_restarts_after_a_crash_with_a_delay_and_gives_up_on_repeated_failures() -> None:
    read = unit(render_service(MANIFEST, LINUX))
    service, limits = read["Service"], read["Unit"]
    assert (service["Restart"], service["OOMPolicy"]) == ("on-failure", "continue")
    assert int(service["RestartSec"]) * int(limits["StartLimitBurst"]) < int(limits["StartLimitIntervalSec"])


def test_a_start_beside_a_running_server_is_not_retried() -> None:
    """The command then exits with 0 before it reports that it is ready, which systemd counts as a failure."""
    service = unit(render_service(MANIFEST, LINUX))["Service"]
    assert (service["Type"], service["RestartPreventExitStatus"]) == ("notify", "0")


def test_the_documented_unit_is_that_of_the_bottle() -> None:
    """The documented one once let systemd retry a start beside another server forever."""
    page = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    documented, ours = unit(block), unit(render_service(MANIFEST, LINUX))
    brews = {"description", "documentation", "execstart", "environment", "environmentfile"}
    for section in ours.sections():
        wanted = {key: value for key, value in ours[section].items() if key not in brews}
        assert {key: value for key, value in documented[section].items() if key not in brews} == wanted


def test_launchd_does_not_restart_a_server_that_exited_successfully() -> None:
    """As after `server stop`, or beside a running server."""
    agent = plistlib.loads(render_service(MANIFEST, MAC).encode())
    assert agent["Label"] == "homebrew.mxcl.stigmer"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ExitTimeOut"] == stop_seconds(MANIFEST.components)
    assert agent["ThrottleInterval"] > 0


@pytest.mark.parametrize("target", [LINUX, MAC], ids=str)
def test_the_program_is_referenced_through_brews_prefix(target: Target) -> None:
    """A path in the Cellar would be gone after the next upgrade."""
    text = render_service(MANIFEST, target)
    assert "@@HOMEBREW_PREFIX@@/opt/stigmer/bin/stigmer" in text
    assert "Cellar" not in text


@pytest.mark.parametrize("description", ["50 % more\nExecStart=/bin/false", "ends with \\"])
def test_a_description_cannot_add_directives(description: str) -> None:
    manifest = replace(MANIFEST, product=replace(MANIFEST.product, description=description))
    plain, read = unit(render_service(MANIFEST, LINUX)), unit(render_service(manifest, LINUX))
    assert read["Service"] == plain["Service"]
    assert {**read["Unit"], "description": ""} == {**plain["Unit"], "description": ""}
    assert "% m" not in read["Unit"]["Description"].replace("%%", "")
