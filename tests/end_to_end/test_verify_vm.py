"""A bottle is verified in a virtual machine; one that hangs or goes silent does not count as a verification."""

import os
import secrets
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import ForeignTargetError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.verify.guest import Machine, Task
from stigmer_packaging.verify.guest_boot import Boot
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.machines import MachineFactory
from stigmer_packaging.verify.qemu import Hardware, choose_accelerator, qemu_command, run_machine
from stigmer_packaging.verify.sandbox import make_sandbox
from stigmer_packaging.verify.stage import verify_bottle
from stigmer_packaging.verify.virtual_machine import make_virtual_machine
from support.guest_machines import await_no_process, shared_machine
from support.keg_standin import StandIn, build_standin
from support.native_code import place

SCRIPT = Path(__file__).parents[2] / "scripts/verify-install"
NAME = "verify/vm/linux-amd64"
pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds root and kernel
SECONDS = 300  # on a busy machine without KVM a boot takes a minute
HANGS = "rdinit=/nowhere panic=0"  # the kernel finds no init program and waits forever


@pytest.fixture(scope="module")
def machine() -> Machine:
    return shared_machine(MachineFactory.virtual_machine)


@pytest.fixture(scope="module")
def boot() -> Boot:
    return shared_machine(MachineFactory.boot)[0]


def verify(standin: StandIn, machine: Machine, script: Path, seconds: float) -> VerificationReport:
    task = Task(script, secrets.token_hex(8), seconds)
    return verify_bottle(standin.bottle, machine, task, workspace=standin.workspace, name=NAME)


def with_script(folder: Path, text: str) -> Path:
    """Write a script beside a copy of the other one that it needs."""
    for name in (SCRIPT.name, "verify-trials"):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / SCRIPT.name


FINDS_NONCE = 'while [ $# -gt 1 ]; do [ "$1" != --nonce ] || nonce=$2; shift; done\n'
BEGINS = FINDS_NONCE + "printf 'TAP version 13\\n# BEGIN %s\\nok 1 - all is well\\n' \"$nonce\"\n"


@pytest.mark.parametrize(
    ("script", "code", "passes"),
    [
        (BEGINS + "printf '1..1\\n# END %s\\n' \"$nonce\"\n", 0, True),
        (BEGINS, 0, False),
        (BEGINS + "printf '1..1\\n# END another\\n'\n", 0, False),
        (BEGINS + "printf '1..1\\n# END %s\\n' \"$nonce\"; exit 3\n", 3, False),
    ],
    ids=["whole", "the end is missing", "the nonce is another", "the exit code is another"],
)
def test_only_a_complete_report_of_this_run_passes(
    script: str,
    code: int,
    passes: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
    machine: Machine,
    boot: Boot,
) -> None:
    """`scripts/verify --level vm` runs the whole verification; here the guest prints what a test wants."""
    report = verify(build_standin(tmp_path), machine, with_script(tmp_path, script), SECONDS)
    log = (tmp_path / "workspace/verify/vm/linux-amd64.log").read_text(encoding="utf-8")
    assert [(check.name, check.passed) for check in report.checks] == [
        ("the machine boots", True),
        ("all is well", True),
    ], log
    assert boot.version in report.checks[0].detail
    assert (report.level, report.guest) == ("vm", machine.name)
    assert report.passed is passes
    assert log.endswith(f"--- exit code {code}\n")


FAILS_ONCE = """#!/bin/sh
PATH=${PATH#*:}
mkdir "$0.failed" 2>/dev/null && exit 1
exec qemu-system-x86_64 "$@"
"""


def test_a_machine_that_does_not_boot_is_started_once_more(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulators sometimes fail, which does not concern the bottle."""
    emulator = place(tmp_path / "bin/qemu-system-x86_64", FAILS_ONCE.encode())
    monkeypatch.setenv("PATH", str(emulator.parent), prepend=os.pathsep)
    script = with_script(tmp_path, BEGINS + "printf '1..1\n# END %s\n' \"$nonce\"\n")
    assert verify(build_standin(tmp_path), machine, script, SECONDS).passed
    assert emulator.with_name("qemu-system-x86_64.failed").is_dir()


def test_the_guests_user_has_no_privileges_no_network_and_cannot_write_the_bottle(
    tmp_path: Path, machine: Machine
) -> None:
    questions = "id -u; ls /sys/class/net; grep CapEff /proc/self/status; echo x >/dev/vdb; ls /dev/vdb; env | sort\n"
    verify(build_standin(tmp_path), machine, with_script(tmp_path, questions), SECONDS)
    log = (tmp_path / "workspace/verify/vm/linux-amd64.log").read_text(encoding="utf-8")
    lines = log.splitlines()
    assert lines[:4] == ["1000", "lo", "CapEff:\t0000000000000000", "/dev/vdb"]
    assert [line.split("=")[0] for line in lines[4:9]] == ["HOME", "LANG", "PATH", "PWD", "TMPDIR"]


FOREGROUND = """
pids=$HOME/.stigmer/pid
runs() { kill -0 "$(cat "$pids")" 2>/dev/null; }
case "$*" in
    server*) mkdir -p "$HOME/.stigmer" ;;
esac
case "$*" in
    'server --foreground') runs || { echo $$ >"$pids"; exec systemd-notify --ready --exec \\; sleep 100000; } ;;
    server) setsid sleep 100000 >/dev/null & echo $! >"$pids" ;;
    'server stop') kill "$(cat "$pids")" ;;
    'server status') runs && exit 0 || exit 3 ;;
esac
"""


@pytest.mark.skipif("STIGMER_SERVICE_TRIAL" not in os.environ, reason="takes two minutes: set STIGMER_SERVICE_TRIAL")
def test_a_service_comes_back_after_a_crash_and_after_a_reboot(tmp_path: Path) -> None:
    """With systemd, in a machine that boots twice; the stand-in's server is a sleeping process."""
    standin = build_standin(tmp_path, twist=FOREGROUND)
    task = Task(SCRIPT, secrets.token_hex(8), 600)
    machine = shared_machine(partial(MachineFactory.virtual_machine, service=True))
    report = verify_bottle(standin.bottle, machine, task, workspace=standin.workspace, name=NAME)
    assert {check.name: check.detail for check in report.checks if not check.passed} == {}
    assert report.passed
    assert [check.name for check in report.checks][-4:] == [
        "the machine boots again",
        "after the reboot the service starts without a login",
        "the start fails if a server already runs",
        "once disabled, the service stops in order and leaves no process",
    ]


def hanging(boot: Boot, folder: Path) -> list[str]:
    return qemu_command(Hardware("amd64", "tcg", 1), boot, folder, HANGS)


def test_a_hanging_machine_is_killed_at_its_deadline(tmp_path: Path, boot: Boot) -> None:
    ended = run_machine(hanging(boot, tmp_path), tmp_path, seconds=3)
    assert not ended.switched_off
    await_no_process(str(tmp_path))


def test_a_machine_does_not_outlive_the_process_that_started_it(tmp_path: Path, boot: Boot) -> None:
    """Killed with SIGKILL, the host process cannot clean up."""
    program = (
        "import ast, sys\nfrom pathlib import Path\nfrom stigmer_packaging.verify.qemu import run_machine\n"
        "run_machine(ast.literal_eval(sys.argv[1]), Path(sys.argv[2]), seconds=600)\n"
    )
    words = [sys.executable, "-c", program, repr(hanging(boot, tmp_path)), str(tmp_path)]
    packaging = Path(__file__).parents[2] / "packaging"
    host = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(packaging)})
    try:
        while not (tmp_path / "console").exists():
            assert host.poll() is None
            time.sleep(0.05)
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait()
    await_no_process(str(tmp_path))


def test_an_accelerator_is_used_only_if_a_machine_boots_with_it(tmp_path: Path, boot: Boot) -> None:
    """Whatever the state of /dev/kvm, the chosen accelerator boots, and another architecture is always emulated."""
    own, foreign = Target("linux", "amd64"), Target("linux", "arm64")
    assert choose_accelerator(foreign, own, boot, tmp_path) == "tcg"
    chosen = choose_accelerator(own, own, boot, tmp_path)
    probe = qemu_command(Hardware("amd64", chosen, 1), boot, tmp_path, "guest=probe")
    assert run_machine(probe, tmp_path, seconds=60).ports["marks"] == "alive\n"


@pytest.mark.parametrize("level", ["sandbox", "vm"])
def test_a_guest_of_another_architecture_is_refused_before_anything_runs(
    level: str, tmp_path: Path, boot: Boot
) -> None:
    standin = build_standin(tmp_path)
    root = GuestRoot(tmp_path, "debian trixie", "recipe", "linux-arm64")
    machine = (
        make_sandbox(root) if level == "sandbox" else make_virtual_machine(root, boot, Hardware("arm64", "tcg", 1))
    )
    task = Task(SCRIPT, secrets.token_hex(8))
    with pytest.raises(ForeignTargetError, match="for linux-arm64 and cannot run programs for linux-amd64"):
        verify_bottle(standin.bottle, machine, task, workspace=standin.workspace, name=NAME)
