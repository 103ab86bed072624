"""Bottle tags: which platform each one serves, in which order brew lists them, and what a formula must require.

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
    """What a bottle runs on: `linux`, or `macos` from `release` on; `architecture` in brew's words."""

    system: str
    architecture: str
    release: str = ""

    @property
    def target(self) -> Target:
        """The same in Go's words, as targets are named."""
        architecture = "amd64" if self.architecture == "x86_64" else self.architecture
        return Target("darwin" if self.system == "macos" else self.system, architecture)


def parse_tag(tag: str) -> Platform:
    """Read a bottle tag; raise ValueError for one brew does not know."""
    if tag in _LINUX:
        return Platform("linux", _LINUX[tag])
    architecture = "arm64" if tag.startswith("arm64_") else "x86_64"
    release = tag.removeprefix("arm64_")
    if release not in MACOS_VERSIONS:
        raise ValueError(f"unknown bottle tag {tag!r}")
    return Platform("macos", architecture, release)


def listing_order(tag: str) -> tuple[bool, bool, int]:
    """Give a sort key: macOS on arm, macOS on Intel, Linux on arm, Linux on Intel; newer macOS releases first.

    brew takes the first listed bottle that is not newer than the host.
    """
    platform = parse_tag(tag)
    newest_first = -MACOS_VERSIONS.get(platform.release, 0)
    return platform.system == "linux", platform.architecture == "x86_64", newest_first


def plan_requirements(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Give the formula's lines that refuse every platform without a bottle in one clean sentence of brew's.

    Without them brew would try to build from source there, and ask for a compiler first. From 6.0.16 on brew refuses
    Linux wherever a release of macOS is required outside `on_macos`, and before that it did nowhere.
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
    """Require the architecture that a system's bottles have in common, unless all systems' bottles do."""
    own = {platform.architecture for platform in platforms}
    return [f"depends_on arch: :{own.pop()}"] if len(own) == 1 and len(shared) != 1 else []


def _block(name: str, lines: list[str]) -> list[str]:
    return ["", f"{name} do", *(f"  {line}" for line in sorted(lines)), "end"] if lines else []
