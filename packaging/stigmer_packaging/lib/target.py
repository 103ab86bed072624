"""Platforms, in Go's notation: `linux-amd64`."""

from typing import NamedTuple

SYSTEMS = ("darwin", "linux")
ARCHITECTURES = ("arm64", "amd64")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Target(NamedTuple):
    """A platform that we ship for: `linux-amd64` is `Target("linux", "amd64")`."""

    system: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.system}-{self.architecture}"


EMULATED = frozenset({(Target("linux", "amd64"), Target("linux", "arm64"))})
"""Pairs of a host platform and the platform whose programs it can run by emulation."""


def is_runnable(target: Target, host: Target) -> bool:
    """Return whether a machine of the platform `host` can run programs for `target`, if need be by emulation."""
    return target == host or (host, target) in EMULATED


def platform_of(system: str, machine: str) -> Target:
    """Return the platform for names that `uname` or Python report; names that we do not know are kept in lower case."""
    return Target(system.lower(), _MACHINES.get(machine.lower(), machine.lower()))


def parse_target(text: str) -> Target:
    """Parse text such as `darwin-arm64`; raise ValueError for an unknown platform."""
    system, _, architecture = text.partition("-")
    if system not in SYSTEMS or architecture not in ARCHITECTURES:
        raise ValueError(f"unknown target {text!r}")
    return Target(system, architecture)
