"""Platforms, in Go's words: `linux-amd64`."""

from typing import NamedTuple

SYSTEMS = ("darwin", "linux")
ARCHITECTURES = ("arm64", "amd64")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Target(NamedTuple):
    """One platform we ship for, in Go's words: `linux-amd64` is `Target("linux", "amd64")`."""

    system: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.system}-{self.architecture}"


EMULATED = frozenset({(Target("linux", "amd64"), Target("linux", "arm64"))})
"""On which platform the programs of which other one can be run, by emulation."""


def is_runnable(target: Target, host: Target) -> bool:
    """Tell whether programs for `target` can run on a machine of the platform `host`, if need be by emulation."""
    return target == host or (host, target) in EMULATED


def platform_of(system: str, machine: str) -> Target:
    """Name a platform by what `uname` or Python say of it; one we do not know keeps their words."""
    return Target(system.lower(), _MACHINES.get(machine.lower(), machine.lower()))


def parse_target(text: str) -> Target:
    """Read `darwin-arm64` and the like; raise ValueError for a platform we do not know."""
    system, _, architecture = text.partition("-")
    if system not in SYSTEMS or architecture not in ARCHITECTURES:
        raise ValueError(f"unknown target {text!r}")
    return Target(system, architecture)
