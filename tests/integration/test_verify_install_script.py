"""scripts/verify-install.sh on this machine, as a user runs it after `brew install`: in every shell, and telling faults.

The product is FakeStigmer. Ports are free ones, the home is temporary; a Python on this machine is none of its business.
"""

import json
import os
import re
import shutil
import stat
import time
from pathlib import Path

import pytest

from stigmer_packaging.tools import command
from stigmer_packaging.tools.cellar import pour
from stigmer_packaging.tools.command import Completed
from stigmer_packaging.tools.guest_report import GuestReport, parse_report
from support.keg_standin import build_standin

SCRIPT = Path(__file__).parents[2] / "scripts/verify-install.sh"
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
NONCE = "5eed"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="FakeStigmer's processes are looked for in /proc"
)


def installed(folder: Path, twist: str = "") -> Path:
    """Pour FakeStigmer and give the prefix."""
    standin = build_standin(folder / "build", twist=twist)
    prefix = folder / "pre fix"  # a blank, as some prefixes have
    pour(standin.workspace.path(standin.bottle.path), prefix, "stigmer", "2.0.0")
    return prefix


def bottle(folder: Path, twist: str = "") -> str:
    """Make FakeStigmer's bottle."""
    standin = build_standin(folder / "build", twist=twist)
    return str(standin.workspace.path(standin.bottle.path))


def run_script(
    prefix: Path, *options: str, interpreter: tuple[str, ...] = ("sh",), seconds: float = 90, path: str = ""
) -> Completed:
    """Run the script on a prefix, in a user's home of its own."""
    home = prefix.parent / "user"
    home.mkdir(exist_ok=True)
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(home), "TMPDIR": str(prefix.parent)}
    environment["PATIENCE"] = "15"
    words = [*interpreter, str(SCRIPT), "--prefix", str(prefix), "--free-ports", "--nonce", NONCE, *options]
    return command.run(words, env=environment, seconds=seconds, check=False)


def failed(report: GuestReport) -> list[str]:
    """Name the checks that found a fault; the two that are only made on demand are left out."""
    on_demand = {"there is no Python on the machine but in the keg", "there is no network"}
    return [check.name for check in report.checks if not check.passed and check.name not in on_demand]


def test_a_good_installation_passes_and_stays_as_it_is(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    done = run_script(prefix)
    report = parse_report(done.stdout, NONCE)
    assert (done.code, report.whole, failed(report), done.stderr) == (0, True, [], ""), done.stdout
    assert len(report.checks) == 22
    detail = {check.name: check.detail for check in report.checks}
    assert detail["there is no network"] == "not demanded (see --offline)"
    assert re.search(r"\b[5-9] processes", detail["no process touches a Python outside the keg"])
    assert (prefix / "bin/stigmer").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_good_bottle_installs_endures_the_trials_upgrades_and_goes_in_every_shell(tmp_path: Path, shell: str) -> None:
    if not shutil.which(SHELLS[shell][0]):
        pytest.skip(f"there is no {shell} on this machine")
    prefix = tmp_path / "place"
    done = run_script(prefix, "--bottle", bottle(tmp_path), "--trials", interpreter=tuple(SHELLS[shell]))
    report = parse_report(done.stdout, NONCE)
    assert (done.code, report.whole, failed(report), done.stderr) == (0, True, [], ""), done.stdout
    assert len(report.checks) == 32
    detail = {check.name: check.detail for check in report.checks}
    assert detail["the next version installs while the server runs"] == "2.0.0 runs, 2.0.1 is installed"
    assert [path for path in prefix.rglob("*") if not path.is_dir()] == []


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck on this machine")
def test_shellcheck_finds_nothing_to_say() -> None:
    assert command.run(["shellcheck", "--external-sources", SCRIPT], cwd=SCRIPT.parents[1], check=False).stdout == ""


def test_nothing_is_left_behind_and_the_users_home_stays_empty(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    assert run_script(prefix).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "pre fix", "user"]
    assert list((tmp_path / "user").iterdir()) == []


def test_json_says_the_same(tmp_path: Path) -> None:
    done = run_script(installed(tmp_path), "--json")
    report = json.loads(done.stdout)
    assert (report["begin"], report["end"], report["passed"], done.code) == (NONCE, NONCE, True, 0)
    assert {check["outcome"] for check in report["checks"]} == {"passed", "skipped"}
    assert report["checks"][1] == {
        "name": "the version is the expected one",
        "outcome": "passed",
        "seconds": report["checks"][1]["seconds"],
        "detail": "stigmer 2.0.0",
    }


def test_a_home_given_by_the_user_is_used_and_an_existing_one_refused(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    assert run_script(prefix, "--home", str(tmp_path / "trial home")).code == 0
    assert (tmp_path / "trial home/stigmer.db").exists()
    again = run_script(prefix, "--home", str(tmp_path / "trial home"))
    assert (again.code, again.stdout) == (2, "")
    assert "exists already" in again.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--frobnicate"], "no option --frobnicate"),
        (["--keg"], "needs a value"),
        (["--stigmer", "/nowhere"], "not an executable"),
    ],
)
def test_wrong_usage_is_named_and_gives_exit_code_2(tmp_path: Path, options: list[str], complaint: str) -> None:
    done = run_script(tmp_path, *options)
    assert done.code == 2
    assert complaint in done.stderr
    assert done.stdout == ""


def test_help_explains_every_option(tmp_path: Path) -> None:
    text = run_script(tmp_path, "--help").stdout
    known = {
        word
        for line in SCRIPT.read_text(encoding="utf-8").splitlines()
        for word in line.split()
        if word.startswith("--")
    }
    options = {word.rstrip(")") for word in known if word.rstrip(")")[2:].replace("-", "").isalpha()}
    assert {"--stigmer", "--prefix", "--keg", "--python-free", "--offline", "--own", "--nonce"} <= options
    assert [
        option for option in ("--stigmer", "--prefix", "--keg", "--home", "--own", "--json") if option not in text
    ] == []


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
    "outlives its supervisor": ("warden() { :; }", "killed, the supervisor leaves no process and no port"),
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


def test_files_that_brew_writes_beside_ours_are_no_fault(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    keg = prefix / "Cellar/stigmer/2.0.0"
    for name in ("homebrew.stigmer.service", "homebrew.mxcl.stigmer.plist", "sbom.spdx.json"):
        (keg / name).write_text("brew's\n", encoding="utf-8")
    (keg / "INSTALL_RECEIPT.json").write_text("{}\n", encoding="utf-8")
    assert run_script(prefix).code == 0


def test_a_python_started_by_the_product_is_found(tmp_path: Path) -> None:
    """A launcher that shells out to the system's Python: seen although the process has left the tree."""
    twist = """case "$*" in server\\ --port*) (setsid "$PYTHON_OF_TEST" -c 'import time; time.sleep(60)' >/dev/null 2>&1 &) ;; esac"""
    interpreter = shutil.which("python3", path="/usr/bin:/usr/local/bin") or shutil.which("python3") or "python3"
    done = run_script(installed(tmp_path, twist.replace("$PYTHON_OF_TEST", str(Path(interpreter).resolve()))))
    report = parse_report(done.stdout, NONCE)
    found = failed(report)
    assert "no process touches a Python outside the keg" in found
    assert "the server stops and leaves no process and no port" in found


def test_a_server_the_user_runs_from_the_same_keg_is_left_alone(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STIGMER_HOME": str(tmp_path / "users home")}
    stigmer = prefix / "bin/stigmer"
    ports = [word for name in ("server", "temporal", "temporal-ui") for word in ("--port", f"{name}={free_port()}")]
    command.run([stigmer, "server", *ports], env=environment, seconds=30)
    try:
        done = run_script(prefix)
        assert (done.code, failed(parse_report(done.stdout, NONCE))) == (0, [])
        assert command.run([stigmer, "smoke"], env=environment, seconds=30).code == 0
    finally:
        command.run([stigmer, "server", "stop"], env=environment, seconds=30)


def free_port() -> int:
    """Ask the system for a port nobody uses."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_interrupted_run_reports_no_end_and_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the server starts and never gets ready; every command of FakeStigmer writes down its process."""
    twist = 'echo $$ >>"$TMPDIR/../../pids"; case "$*" in server\\ --port*) (start "$@"); sleep 600 ;; esac'
    done = run_script(installed(tmp_path, twist), interpreter=("timeout", "--signal=INT", "5", "sh"))
    assert "# BEGIN" in done.stdout
    assert not parse_report(done.stdout, NONCE).whole
    assert list(tmp_path.glob("verify-stigmer.*")) == []
    pids = (tmp_path / "pids").read_text(encoding="utf-8").split()
    while any(Path("/proc", pid, "exe").exists() for pid in pids):  # killed, but perhaps not quite gone
        time.sleep(0.05)


def test_the_script_needs_no_timeout_program(tmp_path: Path) -> None:
    """As on macOS: the whole PATH but `timeout`."""
    folder = tmp_path / "path"
    folder.mkdir()
    for source in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(source).glob("*") if Path(source).is_dir() else []:
            if program.name != "timeout" and program.stat().st_mode & stat.S_IXUSR:
                (folder / program.name).unlink(missing_ok=True)
                (folder / program.name).symlink_to(program)
    done = run_script(installed(tmp_path), path=str(folder))
    assert (done.code, failed(parse_report(done.stdout, NONCE))) == (0, [])
