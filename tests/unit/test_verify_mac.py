"""The driver for Macs: its profile and command line. It has not run on a Mac yet; the sandbox is a fake here."""

import re
import subprocess
from pathlib import Path

import pytest

from stigmer_packaging.verify.guest import Task, Trial
from stigmer_packaging.verify.macos import mac_command, sandbox_profile, this_mac
from support.native_code import place

TASK = Task(Path("/checkout/scripts/verify-install"), "abc", 60)
TRIAL = Trial(Path("/dist/stigmer-2.0.0.arm64_sonoma.bottle.tar.gz"), "stigmer", "2.0.0", TASK)


def denied(path: str) -> bool:
    """Return whether the last rule of the profile that matches a path denies executing it."""
    rules = [rule for rule in re.split(r"\n(?=\()", sandbox_profile()) if "process-exec" in rule]
    return next((rule.startswith("(deny") for rule in reversed(rules) if matches(rule, path)), False)


def matches(rule: str, path: str) -> bool:
    """Return whether one of a rule's literals, folders or regular expressions matches a path."""
    folders = re.findall(r'\(subpath "([^"]*)"\)', rule)
    patterns = re.findall(r'\(regex #"([^"]*)"\)', rule)
    below = any(path == folder or path.startswith(f"{folder}/") for folder in folders)
    return (
        path in re.findall(r'\(literal "([^"]*)"\)', rule) or below or any(re.search(each, path) for each in patterns)
    )


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3",
        "/opt/homebrew/bin/python3.14",
        "/opt/homebrew/Cellar/python@3.13/3.13.9/Frameworks/Python.framework/Versions/3.13/bin/python3.13",
        "/opt/homebrew/opt/python@3.13/libexec/bin/python",
        "/usr/local/bin/python3",
        "/Library/Frameworks/Python.framework/Versions/3.12/lib/libpython3.12.dylib",
        "/Library/Developer/CommandLineTools/usr/bin/python3",
        "/Applications/Xcode_16.4.app/Contents/Developer/usr/bin/python3",
        "/Users/runner/hostedtoolcache/Python/3.14.0/arm64/bin/python3",
        "/Users/someone/.pyenv/shims/python3",
        "/Users/someone/.local/bin/uv",
    ],
)
def test_every_python_of_a_runner_is_denied(path: str) -> None:
    assert denied(path)


def run_function(call: str, stubs: str, work: Path) -> subprocess.CompletedProcess[str]:
    """Run a function of verify-install with some of the others replaced; the command is a link into the keg."""
    text = (Path(__file__).parents[2] / "scripts/verify-install").read_text(encoding="utf-8")
    functions = "".join(re.findall(r"^[a-z_]+\(\) \{.*?^\}$\n", text, re.MULTILINE | re.DOTALL))
    variables = f"work='{work}' keg=/keg home='/the home' stigmer=/prefix/bin/stigmer"
    script = f'set -u; {variables}; : >"$work/ports"\n{functions}\n{stubs}\n{call}\n'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("check", ["nothing_is_left", "processes_are_ours_alone"])
def test_an_empty_process_table_fails_the_checks_of_processes(check: str, tmp_path: Path) -> None:
    """An empty process table is what a sandbox shows that denies ps."""
    stubs = "process_table() { :; }; needs_start() { :; }; component_names() { :; }; run_stigmer() { return 3; }"
    result = run_function(check, stubs, tmp_path)
    assert result.returncode == 1
    assert "the process table does not show this script" in result.stdout


def test_a_supervisor_that_was_called_through_a_link_is_among_the_processes_of_the_test(tmp_path: Path) -> None:
    """On macOS, `ps` prints the name by which a program was called, and shows no environment."""
    table = """
    1     0 /sbin/launchd
 7001     1 /prefix/bin/stigmer
 7002  7001 /prefix/bin/stigmer
 7003  7001 /the home/bin/temporal
 7004  7003 /usr/bin/git
 8001     1 /prefix/bin/stigmer
 8002  8001 /Users/someone/.stigmer/bin/temporal"""
    stubs = f"process_table() {{ cat <<'EOF'\n{table.strip()}\nEOF\n}}"
    found = run_function("our_processes", stubs, tmp_path).stdout.splitlines()
    assert sorted(line.split()[0] for line in found) == ["7001", "7002", "7003", "7004"]


@pytest.mark.parametrize(
    "path",
    [
        "/bin/sh",
        "/usr/bin/awk",
        "/private/tmp/t/prefix/Cellar/stigmer/2.0.0/libexec/components/agent-runner/agent-runner",
        "/private/tmp/t/prefix/Cellar/stigmer/2.0.0/libexec/components/agent-runner/_internal/libpython3.13.dylib",
        "/private/tmp/t/prefix/Cellar/stigmer/2.0.0/libexec/components/agent-runner/_internal/Python",
        "/opt/homebrew/Cellar/stigmer/2.0.0/bin/stigmer",
        "/private/tmp/t/tmp/verify-stigmer.a1B2c3/tripwire/pip3",
    ],
)
def test_programs_that_the_verification_needs_are_not_denied(path: str) -> None:
    assert not denied(path)


def test_the_profile_allows_the_setuid_ps_and_denies_the_network_except_for_localhost() -> None:
    """Without ps the verification would see no process, and so no problem with any. The last matching rule decides."""
    lines = sandbox_profile().splitlines()
    assert lines[lines.index("(deny network*)") - 1] == '(allow process-exec (literal "/bin/ps") (with no-sandbox))'
    allowed = lines[lines.index("(deny network*)") + 1 :]
    assert allowed[0] == '(allow network-bind network-inbound (local ip "*:*"))', "servers listen on wildcard addresses"
    assert allowed[1].startswith('(allow network* (local ip "localhost:*")')
    assert sandbox_profile().count("(") == sandbox_profile().replace("\\(", "").count(")")


def test_the_script_runs_in_the_sandbox_with_nothing_of_the_hosts_environment() -> None:
    words = mac_command(TRIAL, Path("/t"))
    assert words[:5] == ["sandbox-exec", "-f", "/t/profile.sb", "env", "-i"]
    assert words[5:8] == ["HOME=/t/home", "TMPDIR=/t/tmp", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"]
    assert "--python-free" not in words, "Apple's stub cannot be removed: it is denied instead"
    assert words[words.index("--prefix") + 1] == "/t/prefix"


FAKE_SANDBOX = """#!/bin/sh
# Fake sandbox-exec: ignores the profile and ends python3 and curl with a fixed exit code
shift 2
case "$1" in *python3 | *curl) exit {code} ;; esac
exec "$@"
"""


@pytest.mark.parametrize(("code", "passed"), [(71, True), (0, False)])
def test_a_profile_that_denies_nothing_fails_its_controls(
    code: int,
    passed: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = {"sandbox-exec": FAKE_SANDBOX.format(code=code), "python3": "#!/bin/sh\n", "curl": "#!/bin/sh\n"}
    for name, text in programs.items():
        place(tmp_path / name, text.encode())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("stigmer_packaging.verify.macos.PYTHON", str(tmp_path / "python3"))
    monkeypatch.setattr("stigmer_packaging.verify.macos.NETWORK", (str(tmp_path / "curl"),))
    script = tmp_path / "verify-install"
    script.write_text('echo "$0 $*"; echo "$HOME" >&2; exit 3\n', encoding="utf-8")
    trial = TRIAL._replace(task=TASK._replace(script=script))
    run = this_mac("macOS 15", "darwin-arm64").run(trial, tmp_path)
    assert [check.passed for check in run.steps] == [passed, passed]
    assert (run.code, run.errors) == (3, f"{tmp_path}/home\n")
    assert run.output.startswith(f"{script} --trials --bottle {TRIAL.bottle}")
