"""What a hosted runner must give to a release: all that it lacks is told before the work starts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from stigmer_packaging.lib import apt, command, debian
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.pipeline import system


def find_lacks(
    machine: system.Machine, env: Mapping[str, str], etc: Path, *, sources: bool
) -> Iterator[MissingToolError]:
    """Give everything that a job lacks for building and verifying, with `sources` Debian's archives among it."""
    for one in system.find_missing(system.RELEASE, machine):
        yield MissingToolError(f"{one.what} ({one.stage}: it {one.purpose})", f"install {one.package or one.what}")
    if machine.system == "linux":
        if not machine.is_root:  # root needs no user namespaces
            yield from _failure_of(lambda: _try_namespaces({**env, "PATH": machine.path}))
        yield from _failure_of(lambda: apt.find_mirror(etc))
    if sources:
        in_ci = f"set the repository's variable {debian.MIRROR} to a Debian mirror" if env.get("CI") else ""
        yield from _failure_of(lambda: debian.find_archives("", env, etc), in_ci)


def _try_namespaces(env: Mapping[str, str]) -> None:
    try:
        command.run(["unshare", "--user", "--map-root-user", "true"], env=env, seconds=60)
    except (CommandError, MissingToolError) as error:
        said = str(error).splitlines()[0]
        remedy = "set kernel.apparmor_restrict_unprivileged_userns=0"
        raise MissingToolError(f"user namespaces: {said}", remedy) from error


def _failure_of(find: Callable[[], object], remedy: str = "") -> Iterator[MissingToolError]:
    try:
        find()
    except MissingToolError as error:
        yield MissingToolError(str(error), remedy or error.remedy)


def render_lacks(lacks: Iterable[MissingToolError]) -> str:
    """Give one line for each, with its remedy."""
    return "this machine lacks:\n" + "\n".join(f"  {lack}\n    -> {lack.remedy}" for lack in lacks)
