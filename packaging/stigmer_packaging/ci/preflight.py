"""What a hosted runner must give to a release: one table of checks, all of which report before the work starts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import apt, command, debian
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.pipeline import system


class Runner(NamedTuple):
    """The machine, its environment, and its /etc."""

    machine: system.Machine
    env: Mapping[str, str]
    etc: Path


class Lack(NamedTuple):
    """What is missing, and what to do about it."""

    what: str
    remedy: str


Check = Callable[[Runner], Iterable[Lack]]


def _tools(runner: Runner) -> Iterator[Lack]:
    for one in system.find_missing(system.RELEASE, runner.machine):
        yield Lack(f"{one.what} ({one.stage}: it {one.purpose})", f"install {one.package or one.what}")


def _namespaces(runner: Runner) -> Iterator[Lack]:
    """Look only where tools that ask for them run as a user: root needs none."""
    if runner.machine.system != "linux" or runner.machine.is_root:
        return
    words = ["unshare", "--user", "--map-root-user", "true"]
    try:
        command.run(words, env={**runner.env, "PATH": runner.machine.path}, seconds=60)
    except (CommandError, MissingToolError) as error:
        yield Lack(
            f"user namespaces: {str(error).splitlines()[0]}", "set kernel.apparmor_restrict_unprivileged_userns=0"
        )


def _guest_mirror(runner: Runner) -> Iterator[Lack]:
    if runner.machine.system != "linux":
        return
    try:
        apt.find_mirror(runner.etc)
    except MissingToolError as error:
        yield Lack(str(error), error.remedy)


def _debian_archives(runner: Runner) -> Iterator[Lack]:
    try:
        debian.find_archives("", runner.env, runner.etc)
    except MissingToolError as error:
        remedy = (
            f"set the repository's variable {debian.MIRROR} to a Debian mirror"
            if runner.env.get("CI")
            else error.remedy
        )
        yield Lack(str(error), remedy)


RUNNER: tuple[Check, ...] = (_tools, _namespaces, _guest_mirror)
"""What every job that builds or verifies needs."""

SOURCES: Check = _debian_archives
"""What a job needs that builds from Debian's sources."""


def find_lacks(checks: Iterable[Check], runner: Runner) -> tuple[Lack, ...]:
    """Give everything that is missing, so that it can be corrected at once."""
    return tuple(lack for check in checks for lack in check(runner))


def render_lacks(lacks: Iterable[Lack]) -> str:
    """Give one line for each, with its remedy."""
    return "this machine lacks:\n" + "\n".join(f"  {lack.what}\n    -> {lack.remedy}" for lack in lacks)
