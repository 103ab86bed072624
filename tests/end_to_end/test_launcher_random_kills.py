"""Whatever is killed at whatever instant, the next start succeeds, nothing is left behind and nothing is lost.

Each round brings the stack into a situation, kills the command, the supervisor, the watchdog, both of these or a
service at an instant uniformly distributed over the duration of the situation, and starts the server. The start must
succeed; afterwards exactly the processes of the stack run, and everything the server had written is still there.

STIGMER_TEST_KILLS sets the number of rounds (default: 60), STIGMER_TEST_SEED the seed, and STIGMER_TEST_LOAD a number
of processes that keep the processors busy meanwhile.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stigmer_launcher.supervise.state import Instance, read_snapshot, supervisor_pid
from stigmer_launcher.system import locks
from support.launcher_checks import needs_proc, server_state
from support.launcher_services import NAMES, Stigmer, eventually, is_running, stigmer

ROUNDS = int(os.environ.get("STIGMER_TEST_KILLS", "60"))
SEED = int(os.environ.get("STIGMER_TEST_SEED", "1"))
LOAD = int(os.environ.get("STIGMER_TEST_LOAD", "0"))
COMMANDS = {
    "first start": "server",
    "start": "server",
    "restart": "server restart",
    "stop": "server stop",
    "restart of one": "server restart temporal",
    "stop of one": "server stop workflow-runner",
    "at rest": "",
}
VICTIMS = ("command", "supervisor", "watchdog", "supervisor and watchdog", *NAMES)


class Killing:
    """Rounds of kills with one launcher; it measures how long each situation takes."""

    def __init__(self, launcher: Stigmer) -> None:
        self._launcher, self._instance = launcher, Instance(str(launcher.home / "run"))
        self._seconds = dict.fromkeys(COMMANDS, 0.5)
        self.kills = 0
        """The number of rounds in which a process was killed."""

    def measure(self) -> None:
        """Measure how long each command takes without a kill."""
        for situation, command in COMMANDS.items():
            if command:
                self._prepare(situation)
                began = time.monotonic()
                done = self._launcher(*command.split())
                assert done.code == 0, done.err
                self._seconds[situation] = time.monotonic() - began

    def round(self, situation: str, victim: str, share: float) -> list[str]:
        """Create the situation, kill after a fraction of its duration, start again, and return the faults found."""
        self._prepare(situation)
        written = server_state(self._launcher) if situation != "first start" else []
        command = COMMANDS[situation]
        process = self._launcher.popen(*command.split()) if command else None
        time.sleep(share * self._seconds[situation])
        self._kill(self._pids(victim, process))
        if process and command != "server":  # it might still stop services that the next start finds running
            process.communicate(timeout=90)
        done = self._launcher("server", seconds=90)
        faults = [] if done.code == 0 else [f"the start failed with {done.code}: {done.out}{done.err}"]
        if process:
            process.communicate(timeout=90)
        return [*faults, *self._find_faults(written)]

    def stop(self) -> None:
        """Stop everything; nothing may be left."""
        done = self._launcher("server", "stop")
        assert (done.code, self._processes()) == (0, []), done

    def _prepare(self, situation: str) -> None:
        if COMMANDS[situation] == "server":
            self.stop()
        elif not supervisor_pid(self._instance):
            self._launcher.started()
        if situation == "first start":
            shutil.rmtree(self._launcher.home, ignore_errors=True)

    def _kill(self, candidates: list[int]) -> None:
        """Kill those that exist, and wait until they are gone."""
        pids = [pid for pid in candidates if is_running(pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, pids)), "the end of what was killed")
        self.kills += bool(pids)

    def _pids(self, victim: str, process: subprocess.Popen[str] | None) -> list[int]:
        if victim == "command":
            return [process.pid] if process else []
        if victim in NAMES:
            return [read_snapshot(self._instance).service(victim).pid] if supervisor_pid(self._instance) else []
        pids = {"supervisor": supervisor_pid(self._instance), "watchdog": locks.holder(self._instance.watchdog_lock)}
        return [pid for name, pid in pids.items() if name in victim]

    def _find_faults(self, written: list[str]) -> Iterator[str]:
        """Return the faults found while everything should be running."""
        status = self._launcher.status()
        if status["state"] != "running":
            yield f"the server is {status['state']}: {status['services']}"
        ours = {each["pid"] for each in status["services"]} | {
            status["supervisor_pid"],
            locks.holder(self._instance.watchdog_lock),
        }
        if orphans := set(self._processes()) - ours:
            yield f"orphans: {orphans}"
        if missing := ours - set(self._processes()):
            yield f"do not run: {missing}"
        database = server_state(self._launcher) if (self._launcher.home / "stigmer.db").exists() else []
        server = self._launcher.pid("stigmer-server")
        if database[: len(written)] != written or database[-1:] != [f"started {server}"]:
            yield f"lost: of {written} is left {database}"

    def _processes(self) -> list[int]:
        """Return all processes of this home, which have it in their environment or command line."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid)]  # noqa: PTH208 - names are wanted

    def _is_ours(self, pid: int) -> bool:
        mark = os.fsencode(self._launcher.home)
        with suppress(OSError):
            contents = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
            return any(mark in each for each in contents) and is_running(pid) and pid != os.getpid()
        return False


@pytest.fixture
def load() -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(LOAD)]
    yield
    for each in busy:
        each.kill()
        each.wait()


@needs_proc
@pytest.mark.usefixtures("load")
@pytest.mark.timeout(120 + 10 * ROUNDS)
def test_the_next_start_succeeds_whatever_is_killed_at_whatever_instant(tmp_path: Path) -> None:
    numbers, failed = random.Random(SEED), []  # noqa: S311 - repeatable on purpose
    with stigmer(tmp_path) as launcher:
        killing = Killing(launcher)
        killing.measure()
        for number in range(ROUNDS):
            kill = numbers.choice(tuple(COMMANDS)), numbers.choice(VICTIMS), numbers.random()
            if faults := killing.round(*kill):
                failed.append((number, kill, faults, launcher.log("supervisor")[-3000:]))
                launcher.end()
        killing.stop()
    assert failed == []
    assert killing.kills > ROUNDS / 3
