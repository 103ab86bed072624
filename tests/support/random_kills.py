"""Kill a process of the launcher with -9 at a random instant, again and again, and see that the next start is right.

    python random_kills.py [--rounds N] [--seed N] [--load N] DIRECTORY

Each round brings the stack into a situation (a first start, a start, a restart or a stop, of everything or of one service,
or at rest), kills the command, the supervisor, the watchdog, both of these or a service at an instant that is uniform over
the time the situation takes, and starts the server. That must succeed; afterwards exactly the stack runs, and what the
server had written is still there.
`--load` keeps that many processors busy. A failed round is printed with all that is needed to understand it.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2] / name) for name in ("launcher", "tests")]

from stigmer_launcher.supervise.state import Instance, read_snapshot, supervisor_pid, watchdog_pid
from support.launcher_checks import kept
from support.launcher_services import NAMES, Stigmer, end, eventually, is_running, stigmer

SITUATIONS = ("first start", "start", "restart", "stop", "restart of one", "stop of one", "at rest")
VICTIMS = ("command", "supervisor", "watchdog", "supervisor and watchdog", *NAMES)
COMMANDS = {
    "first start": ("server",),
    "start": ("server",),
    "restart": ("server", "restart"),
    "stop": ("server", "stop"),
    "restart of one": ("server", "restart", "temporal"),
    "stop of one": ("server", "stop", "workflow-runner"),
}
BUSY = "while True: pass"


class Kill(NamedTuple):
    """What is killed, in which situation, and when: a share of the time that the situation takes."""

    situation: str
    victim: str
    share: float


class Outcome(NamedTuple):
    """What came of a round: how many processes were killed, and what was wrong afterwards."""

    kill: Kill
    killed: int
    faults: tuple[str, ...]


def choose(random_number: random.Random) -> Kill:
    """Choose a kill."""
    return Kill(random_number.choice(SITUATIONS), random_number.choice(VICTIMS), random_number.random())


class Killing:
    """Rounds of kills over one launcher; it learns how long each situation takes."""

    def __init__(self, launcher: Stigmer) -> None:
        self._launcher, self._instance = launcher, Instance(str(launcher.home / "run"))
        self._seconds = dict.fromkeys(SITUATIONS, 0.5)

    def measure(self) -> None:
        """Measure how long each command takes when nothing is killed."""
        for situation, command in COMMANDS.items():
            self._prepare(situation)
            began = time.monotonic()
            done = self._launcher(*command)
            assert done.code == 0, done.err
            self._seconds[situation] = time.monotonic() - began

    def round(self, kill: Kill) -> Outcome:
        """Bring the stack into the situation, kill, start, and look."""
        self._prepare(kill.situation)
        written = kept(self._launcher) if kill.situation != "first start" else []
        command = COMMANDS.get(kill.situation)
        process = self._launcher.popen(*command) if command else None
        time.sleep(kill.share * self._seconds[kill.situation])
        killed = self._kill(kill.victim, process)
        if process and kill.situation not in ("first start", "start"):  # it may still stop what the start finds running
            process.communicate(timeout=90)
        done = self._launcher("server", seconds=90)
        faults = [] if done.code == 0 else [f"the start failed with {done.code}: {done.out}{done.err}"]
        if process:
            process.communicate(timeout=90)
        faults += self._find_faults(written)
        return Outcome(kill, killed, tuple(faults))

    def stop(self) -> list[str]:
        """Stop everything, and tell what is wrong then."""
        done = self._launcher("server", "stop")
        left = self._processes()
        return [f"after a stop ({done.code}: {done.out}{done.err}) still runs: {left}"] if done.code or left else []

    def _prepare(self, situation: str) -> None:
        if situation in ("first start", "start"):
            assert self.stop() == []
        elif not supervisor_pid(self._instance):
            self._launcher.started()
        if situation == "first start":
            shutil.rmtree(self._launcher.home, ignore_errors=True)

    def _kill(self, victim: str, process: subprocess.Popen[str] | None) -> int:
        """Kill whom there is of the victims, and wait for their end; give how many there were."""
        pids = [pid for pid in self._pids(victim, process) if is_running(pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, pids)), "the end of what was killed")
        return len(pids)

    def _pids(self, victim: str, process: subprocess.Popen[str] | None) -> list[int]:
        if victim == "command":
            return [process.pid] if process else []
        if victim in NAMES:
            return [read_snapshot(self._instance).service(victim).pid] if supervisor_pid(self._instance) else []
        pids = {"supervisor": supervisor_pid(self._instance), "watchdog": watchdog_pid(self._instance)}
        return [pid for name, pid in pids.items() if name in victim]

    def _find_faults(self, written: list[str]) -> Iterator[str]:
        """Tell what is wrong while everything should run."""
        status = self._launcher.status()
        if status["state"] != "running":
            yield f"the server is {status['state']}: {status['services']}"
        ours = {each["pid"] for each in status["services"]} | {status["supervisor_pid"], watchdog_pid(self._instance)}
        if orphans := set(self._processes()) - ours:
            yield f"orphans: {orphans}"
        if missing := ours - set(self._processes()):
            yield f"do not run: {missing}"
        database = kept(self._launcher) if (self._launcher.home / "stigmer.db").exists() else []
        server = self._launcher.pid("stigmer-server")
        if database[: len(written)] != written or database[-1:] != [f"started {server}"]:
            yield f"lost: of {written} is left {database}"

    def _processes(self) -> list[int]:
        """List every process of this home: those that carry it in their environment or their command line."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid)]  # noqa: PTH208 - names are wanted

    def _is_ours(self, pid: int) -> bool:
        mark = os.fsencode(self._launcher.home)
        with suppress(OSError):
            told = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
            return any(mark in each for each in told) and is_running(pid) and pid != os.getpid()
        return False


@contextmanager
def load(count: int) -> Iterator[None]:
    """Keep processors busy."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


def kill_at_random(launcher: Stigmer, rounds: int, seed: int, report: Callable[[Outcome], None]) -> list[Outcome]:
    """Play the rounds of a seed, and give those that failed."""
    numbers = random.Random(seed)  # noqa: S311 - repeatable on purpose
    killing = Killing(launcher)
    killing.measure()
    failed = []
    for _ in range(rounds):
        outcome = killing.round(choose(numbers))
        report(outcome)
        if outcome.faults:
            failed.append(outcome)
            end(launcher)
    assert killing.stop() == []
    return failed


def main() -> int:
    """Play rounds by hand."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("directory", type=Path)
    asked = parser.parse_args()
    rounds = killed = 0

    def report(outcome: Outcome) -> None:
        nonlocal rounds, killed
        rounds += 1
        killed += outcome.killed > 0
        if rounds % 50 == 0:
            print(f"{rounds} rounds", file=sys.stderr, flush=True)  # noqa: T201 - the run takes minutes
        for fault in outcome.faults:
            print(f"{outcome.kill}: {fault}\n{launcher.log('supervisor')[-3000:]}", flush=True)  # noqa: T201 - the result

    with load(asked.load), stigmer(asked.directory) as launcher:
        failed = kill_at_random(launcher, asked.rounds, asked.seed, report)
    print(f"{asked.rounds} rounds with seed {asked.seed}, {killed} met a process, {len(failed)} failed")  # noqa: T201
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
