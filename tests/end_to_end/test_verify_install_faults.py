"""Each fault of an installation is detected by the check of scripts/verify-install that is meant for it."""

from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from support.install_script import bottle, failed, installed, needs_proc, run_script
from support.keg_standin import LSM_STORE

pytestmark = needs_proc


def each_of(faults: dict[str, dict[str, str]]) -> pytest.MarkDecorator:
    """Return a mark that parametrizes a test with the faults, which are listed by the check that detects them."""
    cases = [pytest.param(twist, check, id=name) for check, twists in faults.items() for name, twist in twists.items()]
    return pytest.mark.parametrize(("twist", "check"), cases)


def changed(prefix: Path, fault: str) -> Path:
    command.run(["sh", "-c", fault], cwd=prefix / "Cellar/stigmer/2.0.0")
    return prefix


PRODUCT = {
    "the version is the expected one": {
        "another version": '[ "$*" != --version ] || { echo "stigmer 1.9.9"; exit 0; }'
    },
    "asking for version, help and completions leaves the home untouched": {
        "touches the home": 'mkdir -p "${STIGMER_HOME:-$HOME/.stigmer}"',
        "completions are missing": 'case "$*" in "completion zsh") exit 0 ;; esac',
    },
    "completions and the manual page are where shells and man look": {
        "completions are another version's": 'case "$*" in "completion zsh") echo other; exit 0 ;; esac',
    },
    "the server starts": {"does not start": '[ "$*" = "${*#server --port}" ] || { echo "Error: no"; exit 1; }'},
    "every service runs": {
        "a service is missing": 'case "$*" in *--json) status | sed "s/agent-runner/agent/"; exit 0 ;; esac',
    },
    "every port is open": {
        "does not listen": r"""service() { sleep 300 & echo "$1 $! " >>"$home/run/services"; : >"$home/run/$1.up"; }""",
    },
    "no Python was called": {"calls a Python": "python3 -c 1 || true"},
    "the end-to-end call returns": {"the call fails": '[ "$*" != smoke ] || exit 1'},
    "the server stops and leaves no process and no open port": {
        "runs on after stop": '[ "$*" != "server stop" ] || exit 0',
    },
    "the server starts again without reinstalling its components": {
        "unpacks again": r'[ "$*" = "${*#server --port}" ] || rm -rf "$home/versions"',
    },
    "the state survived, and the call returns again": {
        "loses its state": '[ "$*" != "server stop" ] || rm "$home/stigmer.db"',
        "begins a new database at every start": (
            'open_store() { rm -f "$home/stigmer.db"; echo state >"$home/stigmer.db"; }'
        ),
        "empties its database at every start": 'open_store() { echo state >"$home/stigmer.db"; }',
        "begins with an empty home": (
            'open_store() { rm -rf "$home/stigmer.db" "$home/workspace"; mkdir "$home/storage"; echo x >"$home/storage/x"; }'
        ),
        "loses the files of a user at every start": (
            'open_store() { echo state >>"$home/stigmer.db"; rm -f "$home/workspace/mine"; echo x >"$home/workspace/x"; }'
        ),
        "recreates its folder of tables at every start": (
            LSM_STORE + 'open_store() { rm -rf "$store"; mkdir -p "$store"; write_tables; }'
        ),
        "removes its tables at every start": (
            LSM_STORE + 'open_store() { mkdir -p "$store"; rm -rf "$store"/*; write_tables; }'
        ),
        "loses an execution when it opens its tables": (
            LSM_STORE + 'open_store() { mkdir -p "$store"; (compact() { echo state; }; write_tables); }'
        ),
        "loses its tables at the stop": LSM_STORE + 'close_store() { rm -f "$store"/*; }',
    },
    "the server stops again": {
        "stops only once": '[ "$*" != "server stop" ] || { [ ! -e "$home/stopped" ] && : >"$home/stopped"; } || exit 0',
    },
    "no temporary file is left": {"leaves a temporary file": '[ "$*" != smoke ] || : >"$TMPDIR/left"'},
    "the keg is unchanged": {"writes into the keg": '[ "$*" != smoke ] || : >"$here/note"'},
}


@each_of(PRODUCT)
def test_a_fault_of_the_product_is_detected_by_its_own_check(tmp_path: Path, twist: str, check: str) -> None:
    done, report = run_script(installed(tmp_path, twist))
    assert done.code == 1
    assert check in failed(report)


TRIALS = {
    "a killed supervisor leaves no process and no open port": {"outlives its supervisor": "watchdog() { :; }"},
    "the server starts again and repairs a damaged component": {
        "does not compare existing files": 'cmp() { [ -e "$3" ]; }',
    },
    "the keg is unchanged by the trials": {
        "records its repairs in the keg": (
            'cmp() { command cmp "$@" || { [ ! -e "$3" ] || : >"$here/healed"; return 1; }; }'
        ),
    },
    "the next version installs while the server runs": {
        "is ended by the next version": 'case "$version $*" in "2.0.1 server status --json") stop ;; esac',
        "reports the installed version as running": (
            '[ "$*" != "server status --json" ] || [ ! -e "$home/run/version" ] || echo "$version" >"$home/run/version"'
        ),
    },
    "the next version takes over, in a poisoned environment": {
        "keeps running the old version": 'case "$*" in "server restart"*) exit 0 ;; esac',
        "removes the data in an upgrade": 'case "$*" in "server restart"*) rm -rf "$home/workspace" ;; esac',
        "passes its environment on": 'clean() { exec env "$@"; }',
    },
    "the removal leaves the user's data and nothing else": {
        "leaves a trace in the user's home": '[ "$*" != smoke ] || : >"$HOME/.trace"',
    },
}


@each_of(TRIALS)
def test_a_fault_that_only_a_trial_reveals_is_detected_by_that_trial(tmp_path: Path, twist: str, check: str) -> None:
    (tmp_path / "place").mkdir()
    done, report = run_script(tmp_path / "place", "--bottle", bottle(tmp_path, twist), "--trials")
    assert failed(report)[0] == check, done.stdout


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("rm share/man/man1/stigmer.1", "completions and the manual page are where shells and man look"),
        ("echo '# one line more' >>libexec/components/temporal", "every file matches its checksum"),
        ("rm libexec/components/agent-runner", "the keg contains the files of its index and no others"),
        ("touch libexec/components/stowaway", "the keg contains the files of its index and no others"),
        ("chmod 777 libexec/components/temporal", "modes and links are safe"),
        ("chmod 644 libexec/components/temporal", "modes and links are safe"),
        ("ln -s /etc libexec/elsewhere", "modes and links are safe"),
        ("sed -i '$d' libexec/payload.json", "the index names the components"),
    ],
)
def test_a_fault_of_the_keg_is_detected_by_its_own_check(tmp_path: Path, fault: str, check: str) -> None:
    assert check in failed(run_script(changed(installed(tmp_path), fault))[1])


ARM64_HEADER = r"printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0'"


def test_the_temporary_directory_has_the_name_of_the_product(tmp_path: Path) -> None:
    prefix = installed(tmp_path, 'echo "$TMPDIR" >>"$TMPDIR/../../temporary"')
    run_script(prefix, "--name", "greetings", "--stigmer", f"{prefix}/bin/stigmer")
    written = (tmp_path / "temporary").read_text(encoding="utf-8").splitlines()
    assert {Path(line).parent.name.partition(".")[0] for line in written} == {"verify-greetings"}


def test_the_launcher_of_another_product_is_checked_for_this_machine(tmp_path: Path) -> None:
    """The path of our own launcher was looked up, and a missing file passed."""
    prefix = changed(installed(tmp_path), f"{ARM64_HEADER} >bin/greetings")
    _, report = run_script(prefix, "--name", "greetings", "--stigmer", f"{prefix}/bin/stigmer")
    details = {each.name: each.detail for each in report.checks}
    assert "built for another machine: bin/greetings" in details["the programs are built for this machine"]


@pytest.mark.parametrize(
    ("fault", "check", "detail"),
    [
        (
            """sed -i 's/"name": "agent-runner"/"name": "agent"/' libexec/payload.json""",
            "the index names the components",
            "agent-runner is missing from the index",
        ),
        (
            f"{ARM64_HEADER} >libexec/components/agent-runner",
            "the programs are built for this machine",
            "built for another machine: libexec/components/agent-runner",
        ),
        (
            "sed -i s/linux-amd64/linux-arm64/ libexec/payload.json",
            "the programs are built for this machine",
            "the index is for linux-arm64, but this machine is linux-amd64",
        ),
    ],
    ids=["lacks a service", "a service for arm64", "an index for arm64"],
)
def test_a_consistent_keg_with_wrong_content_is_detected(tmp_path: Path, fault: str, check: str, detail: str) -> None:
    sums = "cut -c 67- libexec/SHA256SUMS | xargs sha256sum >../sums && mv ../sums libexec/SHA256SUMS"
    _, report = run_script(changed(installed(tmp_path), f"{fault} && {sums}"))
    assert check in failed(report)
    assert detail in next(each.detail for each in report.checks if each.name == check)


def network_cards() -> list[str]:
    lines = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()[2:]
    return [card for card in (line.partition(":")[0].strip() for line in lines) if card != "lo"]


def test_a_network_is_detected_if_none_is_allowed(tmp_path: Path) -> None:
    """The host has a network; the sandbox and the virtual machine, which have none, pass the same check."""
    cards = network_cards()
    if not cards:
        pytest.skip("this machine has no network interface")
    done, report = run_script(installed(tmp_path), "--offline")
    found = next(check for check in report.checks if check.name == "there is no network")
    assert (done.code, found.passed, failed(report)) == (1, False, [])
    assert found.detail.splitlines()[: len(cards)] == [f"there is a network: {cards[0]}", *cards[1:]]
