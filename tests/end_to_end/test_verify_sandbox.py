"""A bottle is verified in a root without Python and network, and only a complete report counts."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.bottle.standalone import make_program
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.records.model import ReleaseFile, VerificationReport
from stigmer_packaging.verify.guest import Task
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.sandbox import make_sandbox, run_in_sandbox, sandbox_command
from stigmer_packaging.verify.stage import current_report, verify_bottle
from support.guest_machines import await_no_process, copy_of, replace_text, shared_root
from support.install_script import SCRIPT
from support.keg_standin import EPOCH, StandIn, build_standin
from support.single_files import fake_credit, unpacker

TRIALS = SCRIPT.with_name("verify-trials")
NAME = "verify/sandbox/linux-amd64"
pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds the root


@pytest.fixture(scope="module")
def root() -> GuestRoot:
    return shared_root()


@pytest.fixture
def standin(tmp_path: Path) -> StandIn:
    return build_standin(tmp_path)


def verify(
    standin: StandIn,
    root: GuestRoot,
    *,
    bottle: ReleaseFile | None = None,
    script: Path = SCRIPT,
    seconds: float = 120,
) -> VerificationReport:
    task, product = Task(script, secrets.token_hex(8), seconds), bottle or standin.bottle
    return verify_bottle(product, make_sandbox(root), task, workspace=standin.workspace, name=NAME)


def failed(report: VerificationReport) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if not check.passed}


def log_of(standin: StandIn) -> str:
    return standin.workspace.path(f"{NAME}.log").read_text(encoding="utf-8")


def test_a_good_bottle_passes_and_no_check_is_skipped(standin: StandIn, root: GuestRoot) -> None:
    report = verify(standin, root)
    assert failed(report) == {}
    assert report.passed
    assert (report.level, report.guest, report.bottle_sha256) == ("sandbox", root.name, standin.bottle.sha256)
    assert len(report.checks) == 33
    assert log_of(standin).endswith("--- exit code 0\n")


def test_a_bottle_that_has_passed_is_not_verified_again_unless_something_changed(
    standin: StandIn, root: GuestRoot, tmp_path: Path
) -> None:
    report, changed = verify(standin, root), script_with(tmp_path, "#!/bin/sh\n", "#!/bin/sh\n# changed\n")
    for script, kept in ((SCRIPT, report), (changed, None)):
        task = Task(script, "another nonce")
        assert current_report(standin.bottle, make_sandbox(root), task, standin.workspace, NAME) == kept


QUESTIONS = (
    "id -u; cat /proc/net/dev | sed 1,2d | cut -d: -f1; grep CapEff /proc/self/status; touch /usr/written 2>&1; "
    "touch /home/tester/written && echo home; find / -name 'python*' 2>/dev/null; env | sort"
)


def assert_confined(answers: str) -> None:
    lines = [line.strip() for line in answers.splitlines()]
    assert lines[:3] == ["1000", "lo", "CapEff:\t0000000000000000"]
    assert "Read-only file system" in lines[3]
    assert lines[4] == "home"
    assert [line.split("=")[0] for line in lines[5:]] == ["HOME", "LANG", "PATH", "PWD"]


def test_the_guest_is_an_unprivileged_user_without_network_python_or_a_writable_system(
    root: GuestRoot, tmp_path: Path
) -> None:
    (tmp_path / "tester").mkdir()
    tmp_path.chmod(0o755)
    assert_confined(run_in_sandbox(root.path, tmp_path, ["sh", "-c", QUESTIONS], seconds=60).output)


def test_an_ordinary_user_can_run_the_sandbox_too(root: GuestRoot) -> None:
    """As in CI, where it is not root: the same command line with a user namespace."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv to switch to an ordinary user")
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        copied = copy_of(root, place / "root")
        (place / "home/tester").mkdir(parents=True)
        for folder in (place / "home", place / "home/tester"):
            os.chown(folder, 65534, 65534)
        words = sandbox_command(copied.path, place / "home", ["sh", "-c", QUESTIONS], privileged=False)
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = command.run([*become, *words], seconds=60, check=False)
        if "ermission" in done.stderr or "not permitted" in done.stderr:
            pytest.skip(f"users may not create namespaces on this machine: {done.stderr.strip()}")
        assert_confined(done.stdout)
    finally:
        shutil.rmtree(place)


def put_package_record(root: Path) -> None:
    status = root / "var/lib/dpkg/status"
    record = "\nPackage: python3-minimal\nStatus: install ok installed\nVersion: 3.13.5-1\n"
    replace_text(status, status.read_text(encoding="utf-8") + record)


def put_renamed_interpreter(root: Path) -> None:
    hidden = root / "usr/libexec/assistant"
    hidden.write_bytes(b"\x7fELF" + bytes(1_500_000) + b"Py_InitializeFromConfig" + bytes(100))
    hidden.chmod(0o755)


def put_standard_library(root: Path) -> None:
    replace_text(root / "opt/tool/lib/os.py", "")
    replace_text(root / "opt/tool/lib/encodings/__init__.py", "")


PYTHONS: dict[str, Callable[[Path], object]] = {
    "file: /usr/bin/python3.11": lambda root: shutil.copy(Path(sys.executable).resolve(), root / "usr/bin/python3.11"),
    "file: /usr/bin/python3": lambda root: (root / "usr/bin/python3").symlink_to("python3.13"),
    "package: python3-minimal": put_package_record,
    "interpreter by content: /usr/libexec/assistant": put_renamed_interpreter,
    "standard library: /opt/tool/lib": put_standard_library,
    "file: /usr/lib/libpython3.13.so.1.0": lambda root: replace_text(root / "usr/lib/libpython3.13.so.1.0", ""),
}
"""Traces of a Python, by the script's message about them."""

NO_PYTHON = (
    "before the installation there is no Python on the machine",
    "there is no Python on the machine outside the keg",
)


@pytest.mark.parametrize("trace", PYTHONS)
def test_a_trace_of_python_in_the_root_fails_the_verification_and_is_named(
    standin: StandIn, root: GuestRoot, tmp_path: Path, trace: str
) -> None:
    changed = copy_of(root, tmp_path / "root")
    PYTHONS[trace](changed.path)
    report = verify(standin, changed)
    assert not report.passed
    assert report.ended
    assert list(failed(report)) == list(NO_PYTHON)
    for check in NO_PYTHON:
        assert trace in failed(report)[check].splitlines()


def test_gdbs_printers_and_other_files_named_like_python_are_ignored(
    standin: StandIn, root: GuestRoot, tmp_path: Path
) -> None:
    changed = copy_of(root, tmp_path / "root")
    replace_text(changed.path / "usr/share/gcc/python/libstdcxx/v6/printers.py", "import gdb\n")
    replace_text(changed.path / "usr/share/mime/python.xml", "<mime/>\n")
    replace_text(changed.path / "var/lib/dpkg/info/libpython3.13-stdlib.list", "/.\n")
    assert failed(verify(standin, changed)) == {}


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_a_bottle_with_a_flipped_bit_is_not_poured(standin: StandIn, root: GuestRoot) -> None:
    flip_bit(standin.workspace.path(standin.bottle.path))
    with pytest.raises(RecordError, match="does not match its record"):
        verify(standin, root)


def test_a_bottle_recorded_as_damaged_does_not_install(standin: StandIn, root: GuestRoot) -> None:
    path = standin.workspace.path(standin.bottle.path)
    flip_bit(path)
    report = verify(standin, root, bottle=replace(standin.bottle, sha256=digest.sha256_of(path)))
    assert report.ended
    assert list(failed(report)) == ["the bottle installs"]
    assert "gzip" in failed(report)["the bottle installs"]


SERVER_STARTS = 'case "$*" in server|server\\ --port*)'


def test_a_launcher_that_needs_the_network_at_its_first_start_fails_to_start(tmp_path: Path, root: GuestRoot) -> None:
    fetch = (
        'perl -MIO::Socket::INET -e \'IO::Socket::INET->new(PeerAddr => "192.0.2.1:443", Timeout => 2)'
        ' or die "cannot download: $!\\n"\''
    )
    found = failed(verify(build_standin(tmp_path, twist=f"{SERVER_STARTS} {fetch} || exit 1 ;; esac"), root))
    assert next(iter(found)) == "the server starts"
    assert "cannot download: Network is unreachable" in found["the server starts"]


def test_a_service_left_running_after_the_stop_is_found(tmp_path: Path, root: GuestRoot) -> None:
    lax = """end_services() { kill $(awk 'NR > 1 { print $2 }' "$home/run/services"); }; wait() { :; }"""
    found = failed(verify(build_standin(tmp_path, twist=lax), root))
    check = "the server stops and leaves no process and no open port"
    assert next(iter(found)) == check
    assert "still running: " in found[check]
    assert "perl" in found[check]


@pytest.mark.parametrize(("twist", "passes"), [("", True), ('[ "${2:-}" != stop ] || exit 0', False)])
def test_a_single_file_is_verified_like_a_bottle_in_a_home_of_its_own(
    tmp_path: Path, root: GuestRoot, twist: str, *, passes: bool
) -> None:
    standin = build_standin(tmp_path, twist=twist)
    tools, workspace = unpacker(tmp_path / "modules"), standin.workspace
    program = make_program(standin.keg, tools, fake_credit, source_date_epoch=EPOCH, workspace=workspace)
    report = verify(standin, root, bottle=program)
    assert report.passed is passes, log_of(standin)
    assert report.bottle_sha256 == program.sha256
    assert ".stigmer/dist/2.0.0-" in log_of(standin)


def script_with(folder: Path, old: str, new: str) -> Path:
    """Write the script with one text replaced by another, beside verify-trials; return its path."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert old in text
    shutil.copy(TRIALS, folder)
    (folder / "changed.sh").write_text(text.replace(old, new), encoding="utf-8")
    return folder / "changed.sh"


LAST_CHECK = "\ncheck 'the server stops again' server_stops\n"
SPOILT = {
    "no end line": ('# END %s\\n\' "$number" "$nonce"', '\' "$number"'),
    "wrong nonce": ("--nonce) nonce=$2", "--nonce) nonce=other"),
    "killed": ("\nbegin_report\n", "\nbegin_report; kill -9 $$\n"),
    "ended early": (LAST_CHECK, "\nexit 0\n"),
    "exit code that does not fit": ('\n[ "$failures" -eq 0 ]\n', "\nexit 3\n"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_an_incomplete_report_does_not_pass_even_if_all_its_checks_did(
    standin: StandIn, root: GuestRoot, tmp_path: Path, fault: str
) -> None:
    report = verify(standin, root, script=script_with(tmp_path, *SPOILT[fault]))
    assert failed(report) == {}
    assert not report.ended
    assert not report.passed


def test_a_hanging_guest_is_killed_entirely_and_does_not_pass(
    standin: StandIn, root: GuestRoot, tmp_path: Path
) -> None:
    mark = f"hang-{secrets.token_hex(8)}"
    hanging = script_with(tmp_path, LAST_CHECK, f"\nsh -c 'sleep 600; : {mark}'\n")
    report = verify(standin, root, script=hanging, seconds=15)
    assert not report.ended
    assert len(report.checks) > 10
    assert log_of(standin).endswith("--- killed at its deadline\n")
    await_no_process(mark)
