"""Bottle tags: which platform each one serves, in which order brew lists them, and what a formula must require.

Source: Homebrew's `Utils::Bottles::Tag`, `MacOSVersion::SYMBOLS` and the style rule `FormulaAudit/BottleOrder`.
"""

from typing import NamedTuple

MACOS_VERSIONS = {
    "golden_gate": 27,
    "tahoe": 26,
    "sequoia": 15,
    "sonoma": 14,
    "ventura": 13,
    "monterey": 12,
    "big_sur": 11,
}
MACOS = tuple(MACOS_VERSIONS)
"""macOS releases from the newest to the oldest: brew takes the first listed bottle that is not newer than the host."""

_LINUX = {"arm64_linux": "arm64", "x86_64_linux": "x86_64"}


class Platform(NamedTuple):
    """What a bottle runs on: `linux`, or `macos` from `release` on; `architecture` in brew's words."""

    system: str
    architecture: str
    release: str = ""


def parse_tag(tag: str) -> Platform:
    """Read a bottle tag; raise ValueError for one brew does not know."""
    if tag in _LINUX:
        return Platform("linux", _LINUX[tag])
    architecture = "arm64" if tag.startswith("arm64_") else "x86_64"
    release = tag.removeprefix("arm64_")
    if release not in MACOS:
        raise ValueError(f"unknown bottle tag {tag!r}")
    return Platform("macos", architecture, release)


def listing_order(tag: str) -> tuple[bool, bool, int]:
    """Give a sort key: macOS on arm, macOS on Intel, Linux on arm, Linux on Intel; newer macOS releases first."""
    platform = parse_tag(tag)
    return (
        platform.system == "linux",
        platform.architecture == "x86_64",
        MACOS.index(platform.release) if platform.release else 0,
    )


def plan_requirements(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Give the formula's lines that refuse every platform without a bottle in one clean sentence of brew's.

    Without them brew would try to build from source there, and ask for a compiler first.
    """
    platforms = [parse_tag(tag) for tag in tags]
    systems = {platform.system for platform in platforms}
    by_system = {system: {each.architecture for each in platforms if each.system == system} for system in systems}
    releases = [each.release for each in platforms if each.release]
    lines: list[str] = []
    if len(set.union(set(), *by_system.values())) == 1:
        lines.append(f"depends_on arch: :{platforms[0].architecture}")
    if len(systems) == 1:
        lines.append(f"depends_on :{platforms[0].system}")
    if releases:
        lines.append(f"depends_on macos: :{max(releases, key=MACOS.index)}")
    if not any("arch:" in line for line in lines):
        lines += _requirements_of_one_system(by_system)
    return tuple(lines)


def _requirements_of_one_system(by_system: dict[str, set[str]]) -> list[str]:
    lines: list[str] = []
    for system in ("macos", "linux"):
        if len(architectures := by_system.get(system, set())) == 1:
            lines += ["", f"on_{system} do", f"  depends_on arch: :{architectures.copy().pop()}", "end"]
    return lines
