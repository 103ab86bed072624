"""scripts/check-on-mac in the shells of macOS and similar ones, with FakeMac in place of the programs of macOS."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stigmer_packaging.lib import digest
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.verify.guest_report import parse_mac_report
from support.fake_mac import BOTTLE, FAKES, SCRIPT, make_fake_mac

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "zsh": ("zsh", "--emulate", "sh"), "mksh": ("mksh",)}
LAUNCHED = "launchd runs the server"
BREWED = "brew installs the bottle from a tap"
SELFTEST = {"SELFTEST": "--selftest"}
BOTH = {**SELFTEST, "WORKFLOW_TEST": "--selftest-workflow"}
AVAILABLE = {name: shell for name, shell in SHELLS.items() if shutil.which(shell[0])}


def failed(report: VerificationReport) -> list[str]:
    assert report.ended
    return [check.name for check in report.checks if not check.passed]


def is_running(arguments: str) -> bool:
    return arguments in subprocess.run(["ps", "-axo", "args="], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("shell", AVAILABLE)
def test_a_good_bottle_passes_every_check_in_every_shell_and_leaves_nothing_behind(tmp_path: Path, shell: str) -> None:
    mac = make_fake_mac(tmp_path)
    code, report = mac.check(*AVAILABLE[shell], environment=BOTH)
    assert (code, failed(report)) == (0, [])
    assert report.guest == "macOS 15.1 24B83 arm64 Mac15,3"
    names = (BOTTLE, "stigmer-2.0.0-darwin-arm64")
    assert parse_mac_report(mac.text())[1] == tuple(digest.sha256_of(mac.release / name) for name in names)
    assert len(report.checks) == 22
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "brew untap check-on-mac-" in mac.calls()
    assert "launchctl bootout gui/" in mac.calls()


BROKEN_SHASUM = f'[ "$3" != -c ] || {{ echo "a file: FAILED"; exit 1; }}; exec {shutil.which("shasum")} "$@"'
FAULTS = [
    ("codesign", "exit 1", {"codesign accepts every Mach-O file", "the single file is signed and answers"}),
    ("otool", "printf '   minos 15.2\\n'", {"every Mach-O file is built for this machine"}),
    ("shasum", BROKEN_SHASUM, {"every file matches its checksum", BREWED}),
    ("launchctl", '[ "$1" != bootstrap ]', {LAUNCHED}),
    ("launchctl", f'[ "$1" != bootout ] || exit 1\n{FAKES["launchctl"]}', {"launchd stops the server"}),
    ("brew", '[ "$1" != list ] && [ "$1" != install ]', {BREWED}),
    ("brew", f'[ "$1" != uninstall ] || exit 1\n{FAKES["brew"]}', {"brew uninstalls it"}),
]


def test_the_bottle_is_installed_by_a_brew_that_refuses_to_tap_what_is_not_trusted(tmp_path: Path) -> None:
    """Homebrew 7.0.0 does, but installs the formula that its full name on the command line trusts."""
    mac = make_fake_mac(tmp_path)
    mac.replace("brew", f'[ "$1" != tap ] || exit 1\n{FAKES["brew"]}')
    code, report = mac.check(environment=BOTH)
    assert (code, failed(report)) == (0, [])


@pytest.mark.parametrize(("name", "text", "failing"), FAULTS)
def test_a_rejection_by_a_program_of_macos_fails_just_its_check(
    tmp_path: Path, name: str, text: str, failing: set[str]
) -> None:
    mac = make_fake_mac(tmp_path)
    mac.replace(name, text)
    code, report = mac.check()
    assert (code, set(failed(report))) == (1, failing)


def test_launchctl_need_not_wait_until_launchd_has_stopped_the_server(tmp_path: Path) -> None:
    """Source: `launchctl error 36`, and Homebrew's `Services::Cli.stop`, which polls after this error."""
    mac = make_fake_mac(tmp_path)
    mac.replace("launchctl", f'{FAKES["launchctl"]}\n[ "$1" != bootout ] || exit 36')
    code, report = mac.check()
    assert (code, failed(report)) == (0, [])


def test_without_a_session_at_the_screen_launchd_runs_the_server_in_the_background(tmp_path: Path) -> None:
    """As over SSH, where launchd refuses agents for the default session type, Aqua. Source: launchd.plist(5)."""
    mac = make_fake_mac(tmp_path)
    refuse = """case "$1 $2" in
    'print gui/'*) exit 113 ;;
    'bootstrap user/'*) grep -q '<string>Background</string>' "$3" || exit 5 ;;
esac"""
    mac.replace("launchctl", refuse + FAKES["launchctl"])
    code, report = mac.check()
    assert (code, failed(report)) == (0, [])


def test_the_quarantine_of_a_download_is_not_copied_to_the_programs(tmp_path: Path) -> None:
    """On macOS, tar gives an archive's quarantine to what it extracts, and cp a file's to its copy."""
    mac = make_fake_mac(tmp_path)
    mac.replace("tar", f'case "$*" in *.tar.gz*/cellar) exit 1 ;; esac; exec {shutil.which("tar")} "$@"')
    mac.replace("cp", f'case $1 in *-darwin-arm64) exit 1 ;; esac; exec {shutil.which("cp")} "$@"')
    code, report = mac.check()
    assert (code, failed(report)) == (0, [])


@pytest.mark.parametrize(
    ("twist", "failing"),
    [
        ('[ "$1" != --version ] || { echo stigmer 1.9.9; exit; }', "the version is the expected one"),
        (
            "echo 'dyld[1]: <0A> /opt/homebrew/lib/libintl.8.dylib' >&2",
            "the libraries of the launcher come from the keg",
        ),
        ('[ "$1" != doctor ] || { echo damaged; exit 1; }', "the launcher finds no problem"),
        ('[ "$*" != "server status --json" ] || exit 4', "every service runs"),
        ('[ "$1" != smoke ] || exit 1', "the smoke call returns"),
        ('[ "$2" != stop ] || exit 0', "the server stops"),
        ('[ "$1 $2" != "server --port" ] || exit 1', "the server starts"),
    ],
)
def test_faults_of_the_product_are_detected(tmp_path: Path, twist: str, failing: str) -> None:
    mac = make_fake_mac(tmp_path, twist=twist)
    mac.replace("launchctl", "exit 1")  # waiting for launchd is tested elsewhere
    code, report = mac.check()
    assert code == 1
    assert any(name.startswith(failing) for name in failed(report))


INTEL_CODE = bytes.fromhex("cffaedfe07000001") + bytes(24)


@pytest.mark.parametrize(
    ("content", "failing"),
    [(INTEL_CODE, "every Mach-O file is built for this machine"), (b"text", "there are Mach-O files")],
    ids=["another processor's", "none"],
)
def test_a_bottle_without_code_for_this_processor_is_detected(tmp_path: Path, content: bytes, failing: str) -> None:
    _, report = make_fake_mac(tmp_path, content=content).check()
    assert failed(report) == [failing]


@pytest.mark.parametrize(("machine", "tag"), [("arm64", "arm64_sonoma"), ("x86_64", "sonoma")])
def test_unsigned_code_is_a_fault_only_for_apples_processors(tmp_path: Path, machine: str, tag: str) -> None:
    mac = make_fake_mac(tmp_path)
    mac.replace("codesign", 'echo "$3: code object is not signed at all" >&2; exit 1')
    mac.replace("uname", f"case $1 in -s) echo Darwin ;; *) echo {machine} ;; esac")
    mac.replace("launchctl", "exit 1")  # waiting for launchd is tested elsewhere
    bottle = (mac.release / BOTTLE).rename(mac.release / f"stigmer-2.0.0.{tag}.bottle.tar.gz")
    _, report = mac.check(what=str(bottle))
    (found,) = [check for check in report.checks if check.name == "codesign accepts every Mach-O file"]
    assert found.passed == (machine == "x86_64")


def test_bytes_that_differ_from_the_release_are_detected(tmp_path: Path) -> None:
    mac = make_fake_mac(tmp_path)
    (mac.release / "SHA256SUMS").write_text(f"{'0' * 64}  {BOTTLE}\n", encoding="ascii")
    _, report = mac.check()
    assert failed(report) == ["the checksum is that of the release"]


def test_a_damaged_bottle_yields_a_complete_report_with_failures(tmp_path: Path) -> None:
    mac = make_fake_mac(tmp_path)
    (mac.release / BOTTLE).write_bytes(b"no archive")
    code, report = mac.check(what=str(mac.release / BOTTLE))
    assert (code, len(failed(report)), len(report.checks)) == (1, 2, 2)


def test_checks_are_left_out_without_a_selftest_and_without_homebrew(tmp_path: Path) -> None:
    """An installed product is left alone, too."""
    mac = make_fake_mac(tmp_path)
    mac.replace("brew", "exit 0")
    code, report = mac.check()
    assert (code, BREWED in {check.name for check in report.checks}) == (0, False)
    assert "brew install" not in mac.calls()
    assert [check.name for check in report.checks if "agent-runner" in check.name] == [
        "agent-runner loads, and exits without Temporal",
        "the libraries of agent-runner come from the keg and the system",
    ]


LACKS_SSL = "echo \"ModuleNotFoundError: No module named 'ssl'\" >&2; exit 1"
LOADS_HOMEBREWS = "echo 'dyld[1]: <0A> /opt/homebrew/lib/libz.dylib' >&2"


@pytest.mark.parametrize(
    ("runner", "tests", "failing", "detail"),
    [
        (LACKS_SSL, {}, "agent-runner loads", "No module named 'ssl'"),
        (LACKS_SSL, SELFTEST, "the selftest of agent-runner", "No module named 'ssl'"),
        (LOADS_HOMEBREWS, BOTH, "the libraries of agent-runner come from the keg", "/opt/homebrew/lib/libz.dylib"),
        ('[ "$1" != --selftest-workflow ] || exit 1', BOTH, "the workflow of agent-runner succeeds", ""),
    ],
)
def test_faults_of_a_frozen_service_are_detected(
    tmp_path: Path, runner: str, tests: dict[str, str], failing: str, detail: str
) -> None:
    code, report = make_fake_mac(tmp_path, runner=runner).check(environment=tests)
    (found,) = (check for check in report.checks if not check.passed)
    assert (code, found.name.startswith(failing)) == (1, True)
    assert detail in found.detail


def test_a_hanging_check_is_killed_with_all_its_processes_and_fails(tmp_path: Path) -> None:
    endless = f"sleep 4321.{os.getpid()}"
    mac = make_fake_mac(tmp_path, twist=f'[ "$1" != smoke ] || {{ {endless} & {endless}; }}')
    impatient = tmp_path / "check-on-mac"
    text = SCRIPT.read_text(encoding="utf-8")
    impatient.write_text(text.replace("check 200 'the smoke", "check 2 'the smoke"), encoding="utf-8")
    code, report = mac.check(script=impatient)
    (hung,) = (check for check in report.checks if not check.passed)
    assert (code, hung.name, hung.detail.splitlines()[-1]) == (
        1,
        "the smoke call returns",
        "killed: it exceeded its time limit",
    )
    assert not is_running(endless)


def test_an_interrupted_run_leaves_nothing_running_and_an_incomplete_report(tmp_path: Path) -> None:
    endless = f"sleep 4322.{os.getpid()}"
    mac = make_fake_mac(tmp_path, twist=f'[ "$1" != smoke ] || {{ kill -TERM "$(cat {tmp_path}/pid)"; {endless}; }}')
    starter = tmp_path / "starter"
    starter.write_text(f'echo $$ >"{tmp_path}/pid"\nexec sh "{SCRIPT}" "$@"\n', encoding="utf-8")
    code, report = mac.check(script=starter)
    assert (code, report.ended) == (143, False)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not is_running(endless)


def test_it_refuses_to_run_on_other_systems(tmp_path: Path) -> None:
    done = subprocess.run(["sh", SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    if Path("/System/Library").exists():
        pytest.skip("this is a Mac")
    assert (done.returncode, done.stderr) == (2, "Error: this script needs macOS; this is Linux\n")
