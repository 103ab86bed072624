"""Whatever is wrong with what was installed, scripts/verify-install finds it by the check that is there for it."""

from pathlib import Path

import pytest

from stigmer_packaging.verify.guest_report import parse_report
from support.install_script import NONCE, bottle, failed, installed, run_script
from support.keg_standin import LSM_STORE

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="FakeStigmer's processes are looked for in /proc"
)


TWISTS = {
    "another version": (
        '[ "$*" != --version ] || { echo "stigmer 1.9.9"; exit 0; }',
        "the version is the expected one",
    ),
    "touches the home": (
        'mkdir -p "${STIGMER_HOME:-$HOME/.stigmer}"',
        "asking for version, help and completions leaves the home untouched",
    ),
    "does not start": ('[ "$*" = "${*#server --port}" ] || { echo "Error: no"; exit 1; }', "the server starts"),
    "a service is missing": (
        'case "$*" in *--json) status | sed "s/agent-runner/agent/"; exit 0 ;; esac',
        "every service runs",
    ),
    "does not listen": (
        r"""service() { sleep 300 & echo "$1 $! " >>"$home/run/services"; : >"$home/run/$1.up"; }""",
        "every port is open",
    ),
    "completions are missing": (
        'case "$*" in "completion zsh") exit 0 ;; esac',
        "asking for version, help and completions leaves the home untouched",
    ),
    "completions are another version's": (
        'case "$*" in "completion zsh") echo other; exit 0 ;; esac',
        "completions and manual page lie where shells and man look",
    ),
    "calls a Python": ("python3 -c 1 || true", "no Python was called"),
    "the call fails": ('[ "$*" != smoke ] || exit 1', "the end-to-end call returns"),
    "runs on after stop": ('[ "$*" != "server stop" ] || exit 0', "the server stops and leaves no process and no port"),
    "unpacks again": (
        r'[ "$*" = "${*#server --port}" ] || rm -rf "$home/versions"',
        "the server starts again, without unpacking anew",
    ),
    "forgets its state": (
        '[ "$*" != "server stop" ] || rm "$home/stigmer.db"',
        "the state survived, and the call returns again",
    ),
    "begins a new database at every start": (
        'open_store() { rm -f "$home/stigmer.db"; echo state >"$home/stigmer.db"; }',
        "the state survived, and the call returns again",
    ),
    "empties its database at every start": (
        'open_store() { echo state >"$home/stigmer.db"; }',
        "the state survived, and the call returns again",
    ),
    "begins with an empty home": (
        'open_store() { rm -rf "$home/stigmer.db" "$home/workspace"; mkdir "$home/storage"; echo x >"$home/storage/x"; }',
        "the state survived, and the call returns again",
    ),
    "loses the files of a user at every start": (
        'open_store() { echo state >>"$home/stigmer.db"; rm -f "$home/workspace/mine"; echo x >"$home/workspace/x"; }',
        "the state survived, and the call returns again",
    ),
    "makes its folder of tables anew at every start": (
        LSM_STORE + 'open_store() { rm -rf "$store"; mkdir -p "$store"; write_tables; }',
        "the state survived, and the call returns again",
    ),
    "removes its tables at every start": (
        LSM_STORE + 'open_store() { mkdir -p "$store"; rm -rf "$store"/*; write_tables; }',
        "the state survived, and the call returns again",
    ),
    "loses an execution when it opens its tables": (
        LSM_STORE + 'open_store() { mkdir -p "$store"; (compact() { echo state; }; write_tables); }',
        "the state survived, and the call returns again",
    ),
    "loses its tables at the stop": (
        LSM_STORE + 'close_store() { rm -f "$store"/*; }',
        "the state survived, and the call returns again",
    ),
    "leaves a temporary file": ('[ "$*" != smoke ] || : >"$TMPDIR/left"', "no temporary file is left"),
    "writes into the keg": ('[ "$*" != smoke ] || : >"$here/note"', "the keg is unchanged"),
}


@pytest.mark.parametrize("twist", TWISTS)
def test_a_fault_of_the_product_is_found_by_its_own_check(tmp_path: Path, twist: str) -> None:
    fragment, check = TWISTS[twist]
    done = run_script(installed(tmp_path, fragment))
    report = parse_report(done.stdout, NONCE)
    assert done.code == 1
    assert report.whole
    assert check in failed(report)


TRIALS = {
    "outlives its supervisor": ("watchdog() { :; }", "killed, the supervisor leaves no process and no port"),
    "trusts a file that is there": (
        'cmp() { [ -e "$3" ]; }',
        "the server starts again, and makes a damaged component anew",
    ),
    "goes on with the old version": (
        'case "$*" in "server restart"*) exit 0 ;; esac',
        "the next version takes over, in a poisoned environment",
    ),
    "removes the data in an upgrade": (
        'case "$*" in "server restart"*) rm -rf "$home/workspace" ;; esac',
        "the next version takes over, in a poisoned environment",
    ),
    "hands its environment on": (
        'clean() { exec env "$@"; }',
        "the next version takes over, in a poisoned environment",
    ),
    "leaves a trace in the user's home": (
        '[ "$*" != smoke ] || : >"$HOME/.trace"',
        "the removal leaves the user's data and nothing else",
    ),
}


@pytest.mark.parametrize("twist", TRIALS)
def test_a_fault_that_only_a_trial_shows_is_found_by_that_trial(tmp_path: Path, twist: str) -> None:
    fragment, check = TRIALS[twist]
    (tmp_path / "place").mkdir()
    done = run_script(tmp_path / "place", "--bottle", bottle(tmp_path, fragment), "--trials")
    report = parse_report(done.stdout, NONCE)
    assert report.whole
    assert failed(report)[0] == check, done.stdout


def remove_manual(keg: Path) -> None:
    """Take the manual page away."""
    (keg / "share/man/man1/stigmer.1").unlink()


def damage_text(keg: Path) -> None:
    """Change a component's content."""
    with (keg / "libexec/components/temporal").open("a", encoding="utf-8") as stream:
        stream.write("# one line more\n")


def remove_component(keg: Path) -> None:
    """Take a component away."""
    (keg / "libexec/components/agent-runner").unlink()


def add_file(keg: Path) -> None:
    """Add a file nobody knows."""
    (keg / "libexec/components/stowaway").touch()


def open_mode(keg: Path) -> None:
    """Let everybody write."""
    (keg / "libexec/components/temporal").chmod(0o777)


def close_mode(keg: Path) -> None:
    """Make a component that cannot be run."""
    (keg / "libexec/components/temporal").chmod(0o644)


def absolute_link(keg: Path) -> None:
    """Add a link that leads out."""
    (keg / "libexec/elsewhere").symlink_to("/etc")


def broken_index(keg: Path) -> None:
    """Cut the index."""
    index = keg / "libexec/payload.json"
    index.write_text(index.read_text(encoding="utf-8")[:-5], encoding="utf-8")


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (remove_manual, "completions and manual page lie where shells and man look"),
        (damage_text, "every file has its checksum"),
        (remove_component, "the keg holds what its index names and nothing else"),
        (add_file, "the keg holds what its index names and nothing else"),
        (open_mode, "modes and links are safe"),
        (close_mode, "modes and links are safe"),
        (absolute_link, "modes and links are safe"),
        (broken_index, "the index names the components"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_of_the_keg_is_found_by_its_own_check(tmp_path: Path, fault: object, check: str) -> None:
    prefix = installed(tmp_path)
    assert callable(fault)
    fault(prefix / "Cellar/stigmer/2.0.0")
    report = parse_report(run_script(prefix).stdout, NONCE)
    assert report.whole
    assert check in failed(report)
