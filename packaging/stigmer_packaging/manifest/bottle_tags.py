"""Bottle tags: the platform of each, the order in which formulae list them, and the requirements they imply.

Source: Homebrew's `Utils::Bottles::Tag`, `MacOSVersion::SYMBOLS` and the style rule `FormulaAudit/BottleOrder`.
"""

from typing import NamedTuple

from stigmer_packaging.lib.target import Target

MACOS_VERSIONS = {
    "golden_gate": 27,
    "tahoe": 26,
    "sequoia": 15,
    "sonoma": 14,
    "ventura": 13,
    "monterey": 12,
    "big_sur": 11,
}

_LINUX = {"arm64_linux": "arm64", "x86_64_linux": "x86_64"}


class Platform(NamedTuple):
    """The platform of a bottle: `linux`, or `macos` from `release` on; `architecture` as brew spells it."""

    system: str
    architecture: str
    release: str = ""

    @property
    def target(self) -> Target:
        """The same platform in Go's terms, which targets are named by."""
        architecture = "amd64" if self.architecture == "x86_64" else self.architecture
        return Target("darwin" if self.system == "macos" else self.system, architecture)


def parse_tag(tag: str) -> Platform:
    """Parse a bottle tag; ValueError if brew does not define it."""
    if tag in _LINUX:
        return Platform("linux", _LINUX[tag])
    architecture = "arm64" if tag.startswith("arm64_") else "x86_64"
    release = tag.removeprefix("arm64_")
    if release not in MACOS_VERSIONS:
        raise ValueError(f"unknown bottle tag {tag!r}")
    return Platform("macos", architecture, release)


def listing_order(tag: str) -> tuple[bool, bool, int]:
    """Return a sort key: macOS on ARM, macOS on Intel, Linux on ARM, Linux on Intel; newer macOS releases first.

    brew picks the first listed bottle that is not newer than the host.
    """
    platform = parse_tag(tag)
    newest_first = -MACOS_VERSIONS.get(platform.release, 0)
    return platform.system == "linux", platform.architecture == "x86_64", newest_first


def plan_requirements(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the formula's lines with which brew rejects each platform without a bottle in a single clear message.

    Without them, brew would try to build from source there, and ask for a compiler first. Since 6.0.16, brew rejects
    Linux if a release of macOS is required outside `on_macos`; before that it did not.
    """
    platforms = [parse_tag(tag) for tag in tags]
    systems = {platform.system for platform in platforms}
    shared = {platform.architecture for platform in platforms}
    lines = [f"depends_on arch: :{shared.copy().pop()}"] if len(shared) == 1 else []
    if systems == {"linux"}:
        lines.append("depends_on :linux")
    of_macos, of_linux = ([each for each in platforms if each.system == system] for system in ("macos", "linux"))
    if of_macos:
        oldest = min((each.release for each in of_macos), key=lambda release: MACOS_VERSIONS[release])
        lines += _block("on_macos", [f"depends_on macos: :{oldest}", *_one_architecture(of_macos, shared)])
        lines += _block("on_linux", _one_architecture(of_linux, shared) if of_linux else ["depends_on :macos"])
    return tuple(lines[1:] if lines[:1] == [""] else lines)


def _one_architecture(platforms: list[Platform], shared: set[str]) -> list[str]:
    """Return the line for the one architecture of a system's bottles, unless all systems' bottles share it."""
    own = {platform.architecture for platform in platforms}
    return [f"depends_on arch: :{own.pop()}"] if len(own) == 1 and len(shared) != 1 else []


def _block(name: str, lines: list[str]) -> list[str]:
    return ["", f"{name} do", *(f"  {line}" for line in sorted(lines)), "end"] if lines else []
