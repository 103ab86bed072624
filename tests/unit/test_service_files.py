"""The service definitions of a bottle say what stopping, restarting and a server that runs already need."""

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
    """Read a unit; of a key that stands twice, the last value."""
    read = RawConfigParser(strict=False, delimiters="=")
    read.read_string(text)
    return read


def test_each_file_has_the_name_by_which_brew_looks_for_it() -> None:
    assert service_path("stigmer", LINUX) == "homebrew.stigmer.service"
    assert service_path("stigmer", MAC) == "homebrew.mxcl.stigmer.plist"
    assert service_names("two-tiny") == ("homebrew.mxcl.two-tiny", "homebrew.two-tiny")


def test_systemd_signals_the_supervisor_alone_and_waits_longer_than_all_graces() -> None:
    """With the default of brew's own unit it ends all processes at once, Temporal before what needs it."""
    service = unit(render_service(MANIFEST, LINUX))["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) == stop_seconds(MANIFEST.components)
    graces = {part.run.stop_order: part.run.grace for part in MANIFEST.components}
    assert stop_seconds(MANIFEST.components) > sum(graces.values())


def test_systemd_restarts_after_a_crash_with_a_delay_and_gives_a_failing_start_up() -> None:
    read = unit(render_service(MANIFEST, LINUX))
    service, limits = read["Service"], read["Unit"]
    assert (service["Restart"], service["OOMPolicy"]) == ("on-failure", "continue")
    assert int(service["RestartSec"]) * int(limits["StartLimitBurst"]) < int(limits["StartLimitIntervalSec"])


def test_a_start_beside_a_server_that_runs_already_fails_once() -> None:
    """The command ends with 0 then, before it says that it is ready."""
    service = unit(render_service(MANIFEST, LINUX))["Service"]
    assert (service["Type"], service["RestartPreventExitStatus"]) == ("notify", "0")


def test_the_unit_that_users_are_told_to_write_is_that_of_the_bottle() -> None:
    """The documented one lacked what keeps systemd from restarting a start beside another server for ever."""
    page = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    documented, ours = unit(block), unit(render_service(MANIFEST, LINUX))
    brews = {"description", "documentation", "execstart", "environment", "environmentfile"}
    for section in ours.sections():
        wanted = {key: value for key, value in ours[section].items() if key not in brews}
        assert {key: value for key, value in documented[section].items() if key not in brews} == wanted


def test_launchd_starts_nothing_again_that_ended_as_it_should() -> None:
    """As after `server stop`, and beside a server that runs already."""
    agent = plistlib.loads(render_service(MANIFEST, MAC).encode())
    assert agent["Label"] == "homebrew.mxcl.stigmer"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ExitTimeOut"] == stop_seconds(MANIFEST.components)
    assert agent["ThrottleInterval"] > 0


@pytest.mark.parametrize("target", [LINUX, MAC], ids=str)
def test_what_is_run_is_found_through_brews_prefix(target: Target) -> None:
    """A path of the Cellar would be gone with the next upgrade."""
    text = render_service(MANIFEST, target)
    assert "@@HOMEBREW_PREFIX@@/opt/stigmer/bin/stigmer" in text
    assert "Cellar" not in text


@pytest.mark.parametrize("description", ["50 % more\nExecStart=/bin/false", "ends with \\"])
def test_a_description_stays_a_description(description: str) -> None:
    manifest = replace(MANIFEST, product=replace(MANIFEST.product, description=description))
    plain, read = unit(render_service(MANIFEST, LINUX)), unit(render_service(manifest, LINUX))
    assert read["Service"] == plain["Service"]
    assert {**read["Unit"], "description": ""} == {**plain["Unit"], "description": ""}
    assert "% m" not in read["Unit"]["Description"].replace("%%", "")
