"""Programs of another architecture, run by QEMU and the kernel without privileges and without leaving a trace."""

import os
import platform
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.lib.emulation import NATIVE, require_emulation, runner_for
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.target import Target
from support.native_code import go_program, place

HOST, ARM = Target("linux", "amd64"), Target("linux", "arm64")
ENVIRONMENT = {"PATH": os.environ["PATH"]}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
PANIC = 2  # the exit code of a Go program that panics


@pytest.fixture
def emulator() -> tuple[str, ...]:
    """Return the command prefix for emulation; skip the test on a machine that cannot emulate."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("emulation is for Linux on x86_64")
    if not shutil.which("qemu-aarch64-static"):
        pytest.skip("needs qemu-user-static")
    words = runner_for(ARM, HOST, ENVIRONMENT).prefix
    try:
        require_emulation(words, ENVIRONMENT)
    except MissingToolError as error:
        pytest.skip(str(error))
    return words


def panicking(folder: Path) -> Path:
    return place(folder / "program", go_program("linux", "arm64", body="panic(1)"))


def test_a_program_of_another_architecture_runs_to_its_own_exit_code(emulator: tuple[str, ...], tmp_path: Path) -> None:
    program = panicking(tmp_path)
    assert command.run([*emulator, program], env=ENVIRONMENT, seconds=30, check=False).code == PANIC


def test_what_an_emulated_command_starts_is_emulated_too(emulator: tuple[str, ...], tmp_path: Path) -> None:
    """A frozen program, which executes itself again, and a shell's children depend on this."""
    program = panicking(tmp_path)
    script = f"{program}; echo $?; sh -c '{program}'; echo $?"
    assert command.run([*emulator, "sh", "-c", script], env=ENVIRONMENT, seconds=30).stdout.split() == [str(PANIC)] * 2


def test_emulation_leaves_no_trace_on_the_machine(emulator: tuple[str, ...], tmp_path: Path) -> None:
    def seen() -> tuple[list[str], str]:
        return sorted(path.name for path in BINFMT.iterdir()), Path("/proc/self/mounts").read_text(encoding="utf-8")

    before = seen()
    command.run([*emulator, panicking(tmp_path)], env=ENVIRONMENT, seconds=30, check=False)
    assert seen() == before


def test_an_emulated_program_is_killed_at_its_deadline(emulator: tuple[str, ...], tmp_path: Path) -> None:
    program = place(tmp_path / "endless", go_program("linux", "arm64", body="for {}"))
    with pytest.raises(CommandError, match="did not end within"):
        command.run([*emulator, program], env=ENVIRONMENT, seconds=1)
    assert str(program) not in command.run(["ps", "-axo", "args="]).stdout


def test_a_stop_signal_goes_to_the_command_that_bubblewrap_runs(tmp_path: Path) -> None:
    """SIGTERM would kill bwrap, and its command with it, so the command could not stop cleanly."""
    if not shutil.which("bwrap"):
        pytest.skip("needs bubblewrap")
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done"
    words = ["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--die-with-parent", "sh", "-c", script]
    with command.running(words, env=ENVIRONMENT, cwd=tmp_path, log=tmp_path / "log") as service:
        service.wait_for("up", seconds=30)
        assert service.stop(seconds=30) == 7


def test_native_programs_run_without_an_emulator() -> None:
    assert runner_for(HOST, HOST, {}) == NATIVE


def test_without_the_emulator_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        runner_for(ARM, HOST, {"PATH": str(tmp_path)})
    assert "install qemu-user-static" in caught.value.remedy


def test_if_the_kernel_forbids_emulation_the_error_says_what_an_administrator_can_do() -> None:
    refusing = ("sh", "-c", "echo 'mount: permission denied' >&2; exit 1")
    with pytest.raises(MissingToolError, match="permission denied") as caught:
        require_emulation(refusing, ENVIRONMENT)
    assert "Linux 6.7" in caught.value.remedy
