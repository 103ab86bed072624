"""Faults to survive: whatever is killed, misbehaves or is in the way, nothing is left behind and nothing is lost.

After each of them the next `stigmer server` works. STIGMER_TEST_ROUNDS asks for more start and stop rounds than the usual.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stigmer_launcher import locks
from support.launcher_payloads import Part, build_libexec
from support.launcher_services import (
    LAUNCHER,
    NAMES,
    Stigmer,
    end,
    eventually,
    fake_stack,
    free_ports,
    is_running,
    stigmer,
)

ROUNDS = int(os.environ.get("STIGMER_TEST_ROUNDS", "50"))


def kept(launcher: Stigmer) -> list[str]:
    """Give what the fake server has written to its database, a line for each of its starts."""
    return (launcher.home / "stigmer.db").read_text(encoding="utf-8").splitlines()


def works(launcher: Stigmer) -> None:
    """Start, call and stop: after a fault everything is as it should be, and the server's state is still there."""
    before = kept(launcher) if (launcher.home / "stigmer.db").exists() else []
    launcher.started()
    assert launcher("smoke").code == 0
    assert kept(launcher)[: len(before)] == before
    assert launcher("server", "stop").code == 0
    assert launcher.processes() == []


def all_run(launcher: Stigmer) -> dict[str, int]:
    """Give the pids of the services once all of them run."""

    def pids() -> dict[str, int]:
        status = launcher.status()
        return {each["name"]: each["pid"] for each in status["services"]} if status["state"] == "running" else {}

    return dict(eventually(pids, "everything to run"))


def warden(launcher: Stigmer) -> int:
    """Give the pid of the warden."""
    return locks.holder(str(launcher.home / "run" / "warden.lock"))


# --- kill -9 -------------------------------------------------------------------------------------------------------------


def test_a_killed_supervisor_leaves_no_service_behind(tmp_path: Path) -> None:
    """The warden stops them all, in order."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")
        assert launcher("server", "status").code == 3
        works(launcher)


def test_the_next_start_waits_for_a_warden_at_work(tmp_path: Path) -> None:
    """Two sets of services must never run at once, nor fight for the ports."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=2)) as launcher:
        launcher.started()
        old = launcher.services()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        done = launcher("server")
        assert done.code == 0, done.err
        assert "which stops the services of a killed supervisor" in done.out
        assert not [pid for pid in old if is_running(pid)]


def test_supervisor_and_warden_killed_together_the_next_start_ends_what_they_left(tmp_path: Path) -> None:
    """By identity: exactly those."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        old = all_run(launcher)
        for pid in (warden(launcher), launcher.status()["supervisor_pid"]):
            os.kill(pid, signal.SIGSTOP)
        for pid in (warden(launcher), launcher.status()["supervisor_pid"]):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not launcher.status()["supervisor_pid"], "the supervisor's end")
        assert all(is_running(pid) for pid in old.values())
        done = launcher("server")
        assert done.code == 0, done.err
        assert "Ended 4 processes that a killed supervisor had left" in done.out
        assert not [pid for pid in old.values() if is_running(pid)]
        assert launcher("server", "stop").code == 0
        works(launcher)


def test_stop_ends_what_a_killed_pair_left(tmp_path: Path) -> None:
    """Nobody has to start the server in order to stop it."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        old = all_run(launcher)
        pids = [warden(launcher), launcher.status()["supervisor_pid"]]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        eventually(lambda: not launcher.status()["supervisor_pid"], "the supervisor's end")
        assert launcher("server", "stop").out == "Ended 4 processes of a killed server\n"
        assert not [pid for pid in old.values() if is_running(pid)]
        works(launcher)


def test_a_stale_pid_that_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """The state file names a number; its owner is a stranger by now."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        state_file = launcher.home / "run" / "state.json"
        state = json.loads(state_file.read_text(encoding="utf-8"))
        assert launcher("server", "stop").code == 0
        stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
        try:
            for service in state["services"]:
                service["pid"] = stranger.pid
            state["supervisor_pid"] = stranger.pid
            state_file.write_text(json.dumps(state), encoding="utf-8")
            assert launcher("server", "status").code == 3
            assert launcher("server", "stop").code == 0
            works(launcher)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\0" * 100])
def test_a_broken_state_file_is_nothing_to_stumble_over(tmp_path: Path, content: str) -> None:
    """A power cut may leave anything."""
    with stigmer(tmp_path) as launcher:
        (launcher.home / "run").mkdir(parents=True)
        (launcher.home / "run" / "state.json").write_text(content, encoding="utf-8")
        assert launcher("server", "status").code == 3
        works(launcher)


@pytest.mark.parametrize("names", [(name,) for name in NAMES] + [("temporal", "agent-runner"), NAMES], ids="+".join)
def test_killed_services_are_started_again(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Each alone, two at once, all at once; the others keep running."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = all_run(launcher)
        for name in names:
            os.kill(before[name], signal.SIGKILL)
        eventually(lambda: "pausing" in launcher.log("supervisor"), "the crash to be seen")
        after = all_run(launcher)
        assert {name for name in NAMES if before[name] != after[name]} == set(names)
        restarts = {each["name"]: each["restarts"] for each in launcher.status()["services"]}
        assert restarts == {name: int(name in names) for name in NAMES}
        errors = {each["name"]: each["last_error"] for each in launcher.status()["services"]}
        assert all(errors[name] == "was ended by SIGKILL" for name in names)
        assert launcher("smoke").code == 0


def test_a_killed_warden_is_replaced(tmp_path: Path) -> None:
    """And the new one knows the services."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        first = warden(launcher)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: warden(launcher) not in (0, first), "another warden")
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")
        works(launcher)


def test_a_supervisor_killed_while_it_stops_is_finished_by_the_warden(tmp_path: Path) -> None:
    """The services that were still to go do go."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=1)) as launcher:
        launcher.started()
        pid = launcher.status()["supervisor_pid"]
        stopping = launcher.popen("server", "stop")
        eventually(lambda: "agent-runner: ending" in launcher.log("supervisor"), "the stop")
        os.kill(pid, signal.SIGKILL)
        stopping.communicate(timeout=30)
        eventually(lambda: launcher.processes() == [], "the end of every process")
        works(launcher)


def test_a_killed_command_does_not_take_the_services_with_it(tmp_path: Path) -> None:
    """Whoever started it is gone; the start goes on, and the next command finds it."""
    with stigmer(tmp_path, fake_stack(agent_runner="slow=1")) as launcher:
        process = launcher.popen("server")
        eventually(lambda: "agent-runner: starting" in launcher.log("supervisor"), "the runner's start")
        process.kill()
        process.communicate()
        done = launcher("server")
        assert done.code == 0, done.err
        assert "Stigmer is starting already" in done.out
        all_run(launcher)


# --- misbehaving services ----------------------------------------------------------------------------------------------


def test_a_service_that_ignores_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    """The stop comes to an end, and so does the service."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=0.5)) as launcher:
        works(launcher)


def test_what_a_service_forks_does_not_outlive_it(tmp_path: Path) -> None:
    """Neither in its group, nor escaped into a session of its own."""
    with stigmer(tmp_path, fake_stack(agent_runner="forks=1")) as launcher:
        launcher.started()
        assert len(launcher.services()) == 6
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []
        launcher.started()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher.processes() == [], "the end of every process")


def test_a_service_that_prints_a_hundred_megabytes_is_no_trouble(tmp_path: Path) -> None:
    """The others start meanwhile, and the log stays within its bounds."""
    with stigmer(tmp_path, fake_stack(stigmer_server="megabytes=100")) as launcher:
        launcher.started()
        files = list((launcher.home / "logs").glob("stigmer-server.log*"))
        assert sum(path.stat().st_size for path in files) <= 5 * 10 * 1024 * 1024
        assert len(files) == 5
        timeline = launcher.status()["timeline"]
        assert timeline["temporal"]["ready"] < timeline["stigmer-server"]["ready"]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_service_that_exits_at_once_fails_the_start(tmp_path: Path, code: int) -> None:
    """Also with status 0: it is named, with its last lines, and everything else is stopped."""
    stack = fake_stack(workflow_runner=f"says=no-such-endpoint exit={code}")
    with stigmer(tmp_path, stack) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert f"Error: workflow-runner exited with status {code}\n" in done.err
        assert "\n    no-such-endpoint\n" in done.err
        assert "Remedy: " in done.err
        assert launcher.processes() == []
        assert launcher("server", "status").code == 3


def test_a_service_that_never_gets_ready_fails_the_start_with_what_it_lacked(tmp_path: Path) -> None:
    """Not "Ready!" although the runner polls nothing."""
    with stigmer(tmp_path, fake_stack(seconds=1.5, agent_runner="unready=1")) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert "agent-runner was not ready within 1.5 s: no worker polls the queue agent_execution_runner" in done.err
        assert launcher.processes() == []


def test_a_service_that_crashes_right_after_the_start_stays_down(tmp_path: Path) -> None:
    """No loop: the rest works, the status is degraded and says why, and so does the next start."""
    with stigmer(tmp_path, fake_stack(agent_runner="exit=1 after=1.5")) as launcher:
        launcher.started()
        eventually(lambda: launcher.status()["state"] == "degraded", "the crash")
        done = launcher("server", "status")
        assert done.code == 4
        assert "agent-runner: exited with status 1 right after its start" in done.out
        again = launcher("server")
        assert again.code == 4
        assert "agent-runner is failed" in again.err
        assert launcher("smoke").code == 0
        assert launcher("server", "stop").code == 0
        assert launcher.processes() == []


def test_a_component_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    """As a script whose interpreter this machine does not have."""
    program = tmp_path / "nonsense"
    program.write_text("#!/nonexistent/interpreter\n", encoding="utf-8")
    program.chmod(0o755)
    with stigmer(tmp_path, STIGMER_TEMPORAL_BIN=str(program)) as launcher:
        done = launcher("server")
        assert done.code == 1
        assert "Error: temporal could not be run\n" in done.err
        assert f"cannot run {program}: No such file or directory" in done.err
        assert launcher.processes() == []


# --- somebody is in the way ------------------------------------------------------------------------------------------------


def test_twenty_starts_at_once_make_one_server(tmp_path: Path) -> None:
    """The work is done once, and all of them succeed."""
    with stigmer(tmp_path) as launcher:
        processes = [launcher.popen("server") for _ in range(20)]
        finished = [(process.communicate(timeout=100), process.returncode) for process in processes]
        assert [code for _, code in finished] == [0] * 20, [texts for texts, code in finished if code]
        outputs = [out for (out, _), _ in finished]
        assert sum("All services running" in out for out in outputs) == 1
        assert sum("Stigmer is running already" in out for out in outputs) == 19
        assert len(launcher.services()) == 4
        assert kept(launcher) == [f"started {launcher.pid('stigmer-server')}"]


def test_twenty_starts_at_once_of_what_cannot_start_all_fail(tmp_path: Path) -> None:
    """With the reason, whoever it was that tried."""
    with stigmer(tmp_path, fake_stack(workflow_runner="exit=1")) as launcher:
        processes = [launcher.popen("server") for _ in range(5)]
        finished = [(process.communicate(timeout=100), process.returncode) for process in processes]
        assert [code for _, code in finished] == [1] * 5
        assert all("workflow-runner exited with status 1" in err for (_, err), _ in finished)
        assert launcher.processes() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - a stranger's carelessness
def test_a_port_of_somebody_else_is_named_with_its_owner(tmp_path: Path, address: str) -> None:
    """Before anything is started, with what can be done."""
    (port,) = free_ports(1)
    program = f"import socket; s = socket.create_server(({address!r}, {port})); print(1, flush=True); s.accept()"
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    owner.stdout.read(1)
    try:
        with stigmer(tmp_path) as launcher:
            done = launcher("server", "--port", f"server={port}")
            assert done.code == 1
            assert f"port {port} (server) is taken by " in done.err
            assert f"(process {owner.pid})" in done.err
            assert "--port server=NUMBER" in done.err
            assert launcher.processes() == []
            works(launcher)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()


def test_a_port_of_another_stigmer_is_named_too(tmp_path: Path) -> None:
    """Two homes on one machine: the second start fails, the first server goes on."""
    parts = fake_stack()
    with stigmer(tmp_path / "one", parts) as one, stigmer(tmp_path / "two", parts) as two:
        one.started()
        done = two("server")
        assert done.code == 1
        assert f"(process {one.pid('temporal')})" in done.err or f"(process {one.pid('stigmer-server')})" in done.err
        assert two.processes() == []
        assert one("smoke").code == 0


def test_a_port_taken_at_the_last_moment_fails_the_start(tmp_path: Path) -> None:
    """The check came too early; then it is the service that says it."""
    with stigmer(tmp_path, fake_stack(stigmer_server="slow=1")) as launcher:
        process = launcher.popen("server")
        eventually(lambda: "stigmer-server: starting" in launcher.log("supervisor"), "the start")
        port = launcher.status()["ports"]["server"]
        with socket.create_server(("127.0.0.1", port)):
            _, err = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "stigmer-server exited with status 1" in err
        assert "Address already in use" in err


# --- upgrades and homes ----------------------------------------------------------------------------------------------------


def copy_of_launcher(directory: Path) -> Path:
    """Copy the launcher, so that it can be deleted under a running server."""
    target = directory / "launcher"
    shutil.copytree(LAUNCHER, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.mark.parametrize(("old", "new"), [("1.0.0", "1.1.0"), ("2.0.0", "1.9.0")], ids=["upgrade", "downgrade"])
def test_a_keg_replaced_under_the_running_server_changes_nothing_until_a_restart(
    tmp_path: Path, old: str, new: str
) -> None:
    """The old one is deleted, launcher and all; services still come back, the new command stops and starts them."""
    parts = fake_stack()
    cellar = tmp_path / "cellar"
    first = Stigmer(
        build_libexec(cellar / old, parts, version=old), tmp_path / "home", launcher=copy_of_launcher(cellar / old)
    )
    first.started()
    second = Stigmer(build_libexec(cellar / new, parts, version=new), tmp_path / "home")
    try:
        shutil.rmtree(cellar / old)
        os.kill(second.pid("agent-runner"), signal.SIGKILL)
        eventually(lambda: "pausing" in second.log("supervisor"), "the crash to be seen")
        all_run(second)
        os.kill(warden(second), signal.SIGKILL)
        eventually(lambda: warden(second), "another warden")
        assert f"{old} is running, {new} is installed" in second("server", "status").out
        restarted = second("server", "restart")
        assert restarted.code == 0, restarted.err
        assert second.status()["version"] == new
        assert "Traceback" not in second.log("supervisor")
        works_after = kept(second)
        assert len(works_after) == 2
    finally:
        end(second)


def test_a_running_version_is_not_removed_by_another_start(tmp_path: Path) -> None:
    """A service that crashes must find its program."""
    parts = fake_stack()
    with stigmer(tmp_path, parts) as launcher:
        launcher.started()
        newer = Stigmer(build_libexec(tmp_path / "newer", parts, version="1.1.0"), launcher.home)
        assert newer("server").code == 0
        os.kill(launcher.pid("temporal"), signal.SIGKILL)
        eventually(lambda: "pausing" in launcher.log("supervisor"), "the crash to be seen")
        all_run(launcher)
        assert newer("server", "restart").code == 0
        end(newer)


def long_name(length: int) -> str:
    """Make a home whose path has so many characters, however deep the tests' own directory is."""
    return "/".join("d" * 20 for _ in range(length // 21 + 1))


@pytest.mark.parametrize(
    "name",
    ["with two  spaces", "größe-日本語", "quote'\"$HOME", long_name(200)],
    ids=["spaces", "unicode", "quotes", "long"],
)
def test_any_home_will_do(tmp_path: Path, name: str) -> None:
    """Whatever its path is made of."""
    libexec = build_libexec(tmp_path / "keg", fake_stack())
    launcher = Stigmer(libexec, tmp_path / name / "home")
    try:
        works(launcher)
    finally:
        end(launcher)


def test_a_home_behind_a_link_is_one_home(tmp_path: Path) -> None:
    """By either path the same server is found."""
    libexec = build_libexec(tmp_path / "keg", fake_stack())
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    real, link = Stigmer(libexec, tmp_path / "real"), Stigmer(libexec, tmp_path / "link")
    try:
        link.started()
        assert real("server").out.startswith("Stigmer is running already")
        assert real("server", "stop").code == 0
        assert link.processes() == real.processes() == []
    finally:
        end(real)


def test_without_home_the_password_database_knows_it(tmp_path: Path) -> None:
    """With STIGMER_HOME nothing else is needed; `config path` shows what is found without both."""
    with stigmer(tmp_path) as launcher:
        del launcher.environment["HOME"]
        works(launcher)
        del launcher.environment["STIGMER_HOME"]
        assert launcher("config", "path").out.endswith("/.stigmer/config.yaml\n")


def test_a_strict_umask_keeps_everything_working(tmp_path: Path) -> None:
    """What is to be executed can be, by its owner."""
    with stigmer(tmp_path) as launcher:
        process = launcher.popen("server", umask=0o077)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert launcher("smoke").code == 0
        works_mode = (launcher.home / "run" / "state.json").stat().st_mode
        assert works_mode & 0o077 == 0


# --- again and again -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120 + 5 * ROUNDS)
def test_rounds_of_start_and_stop_leave_nothing(tmp_path: Path) -> None:
    """No process, no port, no file beyond those of the first round, and no descriptor that piles up."""
    with stigmer(tmp_path) as launcher:
        works(launcher)
        files = sorted(path.name for path in launcher.home.rglob("*"))
        for _ in range(ROUNDS):
            launcher.started()
            assert launcher("server", "stop").code == 0
            assert launcher.processes() == []
        assert sorted(path.name for path in launcher.home.rglob("*")) == files
        assert len(kept(launcher)) == ROUNDS + 1


def test_crashes_leave_no_descriptor_open_in_the_supervisor(tmp_path: Path) -> None:
    """Each start of a service opens a pipe and a connection; each end closes them."""

    def descriptors() -> int:
        return len(list(Path(f"/proc/{launcher.status()['supervisor_pid']}/fd").iterdir()))

    with stigmer(tmp_path) as launcher:
        launcher.started()
        before = descriptors()
        for _ in range(3):
            pid = launcher.pid("stigmer-server")
            os.kill(pid, signal.SIGKILL)
            eventually(lambda gone=pid: all_run(launcher)["stigmer-server"] != gone, "another process")
        assert descriptors() == before


def part_named(parts: tuple[Part, ...], name: str) -> Part:
    """Give a part of a stack by its name."""
    return next(each for each in parts if each.component.name == name)


def test_a_stack_of_one_service_works_as_well(tmp_path: Path) -> None:
    """The launcher knows no service by name."""
    only = part_named(fake_stack(), "stigmer-server")
    only = only._replace(component=only.component._replace(name="other", entry="stigmer-server"))
    with stigmer(tmp_path, (only,)) as launcher:
        launcher.started()
        assert launcher.status()["services"][0]["name"] == "other"
