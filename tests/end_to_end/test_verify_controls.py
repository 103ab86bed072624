"""Negative controls: faults that the verification must find, each by the check that is there for it.

Those of the guest and of its report (Python in the root, a flipped bit, no END line, a wrong nonce) are in
test_verify_sandbox.py; those that need Temporal or the frozen parts are not repeated here.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.records.model import ReleaseFile, VerificationReport
from stigmer_packaging.verify.guest import Task
from stigmer_packaging.verify.guest_report import parse_report
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.sandbox import make_sandbox
from stigmer_packaging.verify.stage import verify_bottle
from support.guest_roots import shared_root
from support.keg_faults import (
    OWN_VERSION,
    installed_launcher,
    said_to_be_for_arm64,
    with_agent_for_arm64,
    without_agent,
)
from support.keg_standin import StandIn, build_standin, quiet

SCRIPT = Path(__file__).parents[2] / "scripts/verify-install"
pytestmark = pytest.mark.timeout(900)  # the first run on a machine makes the root

STARTS = 'case "$*" in server|server\\ --port*)'


@pytest.fixture(scope="module")
def root() -> GuestRoot:
    return shared_root()


def failures(standin: StandIn, root: GuestRoot, bottle: ReleaseFile | None = None) -> dict[str, str]:
    """Verify a bottle that must not pass; give the failed checks in their order, with what they saw."""
    task = Task(SCRIPT, secrets.token_hex(8), seconds=120)
    report: VerificationReport = verify_bottle(
        bottle or standin.bottle,
        make_sandbox(root),
        task,
        workspace=standin.workspace,
        name="verify/controls",
        report=quiet,
    )
    assert report.ended
    assert not report.passed
    return {check.name: check.detail for check in report.checks if not check.passed}


def test_a_launcher_that_tries_a_python_is_found_though_it_goes_on_without(tmp_path: Path, root: GuestRoot) -> None:
    found = failures(build_standin(tmp_path, twist=f"{STARTS} python3 -c pass || true ;; esac"), root)
    assert list(found) == ["no Python was called"]
    assert "tripwire/python3 -c pass" in found["no Python was called"]


def test_a_launcher_that_needs_the_network_at_its_first_start_fails_to_start(tmp_path: Path, root: GuestRoot) -> None:
    fetch = (
        'perl -MIO::Socket::INET -e \'IO::Socket::INET->new(PeerAddr => "192.0.2.1:443", Timeout => 2)'
        ' or die "cannot download: $!\\n"\''
    )
    found = failures(build_standin(tmp_path, twist=f"{STARTS} {fetch} || exit 1 ;; esac"), root)
    assert next(iter(found)) == "the server starts"
    assert "cannot download: Network is unreachable" in found["the server starts"]


def test_a_service_left_running_after_the_stop_is_found(tmp_path: Path, root: GuestRoot) -> None:
    lax = """end_services() { kill $(awk 'NR > 1 { print $2 }' "$home/run/services"); }; wait() { :; }"""
    found = failures(build_standin(tmp_path, twist=lax), root)
    check = "the server stops and leaves no process and no port"
    assert next(iter(found)) == check
    assert "still runs: " in found[check]
    assert "perl" in found[check]


@pytest.mark.parametrize(
    ("fault", "check", "reason"),
    [
        (without_agent, "the index names the components", "the index names no agent-runner"),
        (
            with_agent_for_arm64,
            "the programs are made for this machine",
            "made for another machine: libexec/components/agent-runner",
        ),
        (
            said_to_be_for_arm64,
            "the programs are made for this machine",
            "the index says linux-arm64, this machine is linux-amd64",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bottle_that_is_whole_but_not_what_it_must_be_is_found(
    tmp_path: Path, root: GuestRoot, fault: Callable[[StandIn], ReleaseFile], check: str, reason: str
) -> None:
    standin = build_standin(tmp_path)
    found = failures(standin, root, fault(standin))
    assert next(iter(found)) == check
    assert reason in found[check]


def failures_of_the_launcher(prefix: Path, *options: str) -> dict[str, str]:
    """Run the script on this machine over the real launcher, which is a Python program as long as it is not frozen."""
    (prefix.parent / "user").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(prefix.parent / "user"), "TMPDIR": str(prefix.parent)}
    words = [
        "sh",
        str(SCRIPT),
        "--prefix",
        str(prefix),
        "--expect-version",
        OWN_VERSION,
        "--free-ports",
        "--nonce",
        "1",
    ]
    done = command.run([*words, *options], env=environment, seconds=100, check=False)
    report = parse_report(done.stdout, "1")
    assert report.whole, done.stdout + done.stderr
    not_frozen = {
        "there is no Python on the machine but in the keg",
        "there is no network",
        "completions and manual page lie where shells and man look",
        "no process touches a Python outside the keg",
        "after the upgrade no process touches a Python outside the keg",
    }
    return {check.name: check.detail for check in report.checks if not check.passed and check.name not in not_frozen}


def test_the_real_launcher_endures_kill_and_damage(tmp_path: Path) -> None:
    """The control of the controls below: without a fault nothing is found."""
    assert failures_of_the_launcher(installed_launcher(tmp_path / "prefix"), "--trials") == {}


def test_a_service_that_never_gets_ready_fails_the_start_by_name(tmp_path: Path) -> None:
    prefix = installed_launcher(tmp_path / "prefix", seconds=2, agent="unready=1")
    found = failures_of_the_launcher(prefix)
    assert next(iter(found)) == "the server starts"
    assert "agent-runner" in found["the server starts"]
    assert "not ready" in found["the server starts"]


def test_an_agent_runner_that_breaks_at_import_fails_the_start_with_its_reason(tmp_path: Path) -> None:
    found = failures_of_the_launcher(installed_launcher(tmp_path / "prefix", broken_import=True))
    assert next(iter(found)) == "the server starts"
    assert "No module named 'a_module_that_was_not_frozen'" in found["the server starts"]
