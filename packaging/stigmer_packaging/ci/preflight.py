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


Check = Callable[[Runner], Iterable[MissingToolError]]


def _tools(runner: Runner) -> Iterator[MissingToolError]:
    for one in system.find_missing(system.RELEASE, runner.machine):
        yield MissingToolError(f"{one.what} ({one.stage}: it {one.purpose})", f"install {one.package or one.what}")


def _namespaces(runner: Runner) -> Iterator[MissingToolError]:
    """Look only where tools that ask for them run as a user: root needs none."""
    if runner.machine.system != "linux" or runner.machine.is_root:
        return
    words = ["unshare", "--user", "--map-root-user", "true"]
    try:
        command.run(words, env={**runner.env, "PATH": runner.machine.path}, seconds=60)
    except (CommandError, MissingToolError) as error:
        said = str(error).splitlines()[0]
        yield MissingToolError(f"user namespaces: {said}", "set kernel.apparmor_restrict_unprivileged_userns=0")


def _guest_mirror(runner: Runner) -> Iterator[MissingToolError]:
    if runner.machine.system == "linux":
        yield from _failure_of(lambda: apt.find_mirror(runner.etc))


def _debian_archives(runner: Runner) -> Iterator[MissingToolError]:
    in_ci = f"set the repository's variable {debian.MIRROR} to a Debian mirror" if runner.env.get("CI") else ""
    yield from _failure_of(lambda: debian.find_archives("", runner.env, runner.etc), in_ci)


def _failure_of(find: Callable[[], object], remedy: str = "") -> Iterator[MissingToolError]:
    try:
        find()
    except MissingToolError as error:
        yield MissingToolError(str(error), remedy or error.remedy)


RUNNER: tuple[Check, ...] = (_tools, _namespaces, _guest_mirror)
"""What every job that builds or verifies needs."""

SOURCES: Check = _debian_archives
"""What a job needs that builds from Debian's sources."""


def find_lacks(checks: Iterable[Check], runner: Runner) -> tuple[MissingToolError, ...]:
    """Give everything that is missing, so that it can be corrected at once."""
    return tuple(lack for check in checks for lack in check(runner))


def render_lacks(lacks: Iterable[MissingToolError]) -> str:
    """Give one line for each, with its remedy."""
    return "this machine lacks:\n" + "\n".join(f"  {lack}\n    -> {lack.remedy}" for lack in lacks)
