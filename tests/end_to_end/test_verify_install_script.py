"""scripts/verify-install on this machine, as a user runs it after `brew install`, in every shell.

The product is FakeStigmer, with free ports and a temporary home; this machine may have a Python.
"""

import json
import os
import re
import shutil
import stat
import time
from pathlib import Path

import pytest

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.loopback import free_port
from support.install_script import NONCE, SCRIPT, bottle, failed, installed, needs_proc, run_script
from support.keg_standin import LSM_STORE

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}

pytestmark = needs_proc


def test_a_good_installation_passes_and_stays_unchanged(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    done, report = run_script(prefix)
    assert (done.code, failed(report), done.stderr) == (0, [], ""), done.stdout
    assert len(report.checks) == 22
    detail = {check.name: check.detail for check in report.checks}
    assert detail["there is no network"] == "not requested (see --offline)"
    assert re.search(r"\b[5-9] processes", detail["no process touches a Python outside the keg"])
    assert (prefix / "bin/stigmer").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "pre fix", "user"]
    assert list((tmp_path / "user").iterdir()) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_good_bottle_passes_all_trials_in_every_shell(tmp_path: Path, shell: str) -> None:
    if not shutil.which(SHELLS[shell][0]):
        pytest.skip(f"there is no {shell} on this machine")
    prefix = tmp_path / "place"
    done, report = run_script(prefix, "--bottle", bottle(tmp_path), "--trials", interpreter=tuple(SHELLS[shell]))
    assert (done.code, failed(report), done.stderr) == (0, [], ""), done.stdout
    assert len(report.checks) == 32
    detail = {check.name: check.detail for check in report.checks}
    assert detail["the next version installs while the server runs"] == "2.0.0 runs, 2.0.1 is installed"
    assert [path for path in prefix.rglob("*") if not path.is_dir()] == []


def test_json_has_the_same_content(tmp_path: Path) -> None:
    done, _ = run_script(installed(tmp_path), "--json")
    report = json.loads(done.stdout)
    assert (report["begin"], report["end"], report["passed"], done.code) == (NONCE, NONCE, True, 0)
    assert {check["outcome"] for check in report["checks"]} == {"passed", "skipped"}
    assert report["checks"][1] == {
        "name": "the version is the expected one",
        "outcome": "passed",
        "seconds": report["checks"][1]["seconds"],
        "detail": "stigmer 2.0.0",
    }


def test_a_store_that_rewrites_its_tables_when_it_closes_counts_as_kept(
    tmp_path: Path,
) -> None:
    """As LSM tree databases do: a clean stop removes the lock and the memtable, and replaces all tables."""
    done, report = run_script(installed(tmp_path, LSM_STORE), "--home", str(tmp_path / "home"))
    assert (done.code, failed(report)) == (0, []), done.stdout
    assert "LOCK" not in {path.name for path in (tmp_path / "home/stigmer.db").iterdir()}


def without_smoke(prefix: Path) -> Path:
    libexec = prefix / "Cellar/stigmer/2.0.0/libexec"
    index, sums = libexec / "payload.json", libexec / "SHA256SUMS"
    before = digest.sha256_of(index)
    index.write_text(json.dumps(json.loads(index.read_text("utf-8")) | {"smoke": {"kind": "none"}}, indent=1), "utf-8")
    sums.write_text(sums.read_text("utf-8").replace(before, digest.sha256_of(index)), "utf-8")
    return prefix


def test_without_a_smoke_call_readiness_is_required_and_the_reason_given(tmp_path: Path) -> None:
    prefix = without_smoke(installed(tmp_path, "[ \"$*\" != smoke ] || { echo 'smoke: none in this stack'; exit 0; }"))
    _, report = run_script(prefix)
    detail = {check.name: check.detail for check in report.checks}
    assert failed(report) == []
    assert detail["every service is ready"].startswith(
        "no smoke call in this stack: readiness proofs only\nsmoke: none"
    )
    assert '"state": "running"' in detail["every service is ready"]
    assert "the end-to-end call returns" not in detail


@pytest.mark.parametrize("answer", ["echo 'smoke: none'; exit 1", "echo 'agent-runner answered'; exit 0"])
def test_a_smoke_command_that_does_not_report_a_missing_call_is_a_fault(tmp_path: Path, answer: str) -> None:
    prefix = without_smoke(installed(tmp_path, f'[ "$*" != smoke ] || {{ {answer}; }}'))
    assert "every service is ready" in failed(run_script(prefix)[1])


def test_a_home_given_by_the_user_is_used_and_an_existing_one_refused(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    assert run_script(prefix, "--home", str(tmp_path / "trial home"))[0].code == 0
    assert (tmp_path / "trial home/stigmer.db").exists()
    again, _ = run_script(prefix, "--home", str(tmp_path / "trial home"))
    assert (again.code, again.stdout) == (2, "")
    assert "exists already" in again.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--frobnicate"], "no option --frobnicate"),
        (["--keg"], "needs a value"),
        (["--stigmer", "/nowhere"], "not an executable"),
        (["--stigmer", "/bin/sh", "--name", "tea"], "--name tea --prefix ~/.tea/dist/*`"),
    ],
)
def test_wrong_usage_is_named_and_gives_exit_code_2(tmp_path: Path, options: list[str], complaint: str) -> None:
    done, _ = run_script(tmp_path, *options)
    assert (done.code, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_help_explains_every_option(tmp_path: Path) -> None:
    text = run_script(tmp_path, "--help")[0].stdout
    options = re.findall(r"^ +(--[a-z-]+)\)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"--stigmer", "--prefix", "--keg", "--python-free", "--offline", "--own", "--nonce"} <= set(options)
    assert [option for option in options if option not in text] == []


def test_files_that_brew_writes_beside_ours_are_no_fault(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    keg = prefix / "Cellar/stigmer/2.0.0"
    for name in ("homebrew.stigmer.service", "homebrew.mxcl.stigmer.plist", "sbom.spdx.json"):
        (keg / name).write_text("brew's\n", encoding="utf-8")
    (keg / "INSTALL_RECEIPT.json").write_text("{}\n", encoding="utf-8")
    assert run_script(prefix)[0].code == 0


def test_a_python_started_by_the_product_is_detected(tmp_path: Path) -> None:
    """A launcher runs the system's Python; it is detected although the process has left the process tree."""
    twist = """case "$*" in server\\ --port*) (setsid "$PYTHON_OF_TEST" -c 'import time; time.sleep(60)' >/dev/null 2>&1 &) ;; esac"""
    interpreter = shutil.which("python3", path="/usr/bin:/usr/local/bin") or shutil.which("python3") or "python3"
    _, report = run_script(installed(tmp_path, twist.replace("$PYTHON_OF_TEST", str(Path(interpreter).resolve()))))
    found = failed(report)
    assert "no process touches a Python outside the keg" in found
    assert "the server stops and leaves no process and no open port" in found


def test_a_server_the_user_runs_from_the_same_keg_is_left_alone(tmp_path: Path) -> None:
    prefix = installed(tmp_path)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STIGMER_HOME": str(tmp_path / "users home")}
    stigmer = prefix / "bin/stigmer"
    ports = [word for name in ("server", "temporal", "temporal-ui") for word in ("--port", f"{name}={free_port()}")]
    command.run([stigmer, "server", *ports], env=environment, seconds=30)
    try:
        done, report = run_script(prefix)
        assert (done.code, failed(report)) == (0, [])
        assert command.run([stigmer, "smoke"], env=environment, seconds=30).code == 0
    finally:
        command.run([stigmer, "server", "stop"], env=environment, seconds=30)


def test_an_interrupted_run_reports_no_end_and_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the server starts, which never becomes ready; every command of FakeStigmer records its pid."""
    twist = 'echo $$ >>"$TMPDIR/../../pids"; case "$*" in server\\ --port*) (start "$@"); sleep 600 ;; esac'
    done, report = run_script(installed(tmp_path, twist), interpreter=("timeout", "--signal=INT", "5", "sh"))
    assert "# BEGIN" in done.stdout
    assert not report.complete
    assert list(tmp_path.glob("verify-stigmer.*")) == []
    pids = (tmp_path / "pids").read_text(encoding="utf-8").split()
    while any(Path("/proc", pid, "exe").exists() for pid in pids):  # killed, but possibly not gone yet
        time.sleep(0.05)


def test_the_script_needs_no_timeout_program(tmp_path: Path) -> None:
    """As on macOS: PATH has everything except `timeout`."""
    folder = tmp_path / "path"
    folder.mkdir()
    for source in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(source).glob("*") if Path(source).is_dir() else []:
            if program.name != "timeout" and program.stat().st_mode & stat.S_IXUSR:
                (folder / program.name).unlink(missing_ok=True)
                (folder / program.name).symlink_to(program)
    done, report = run_script(installed(tmp_path), path=str(folder))
    assert (done.code, failed(report)) == (0, [])
