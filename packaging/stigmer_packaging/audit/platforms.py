"""Checks of what a file requires of the machine: processor, glibc, macOS version, code signature, Python."""

import re
from collections.abc import Iterator

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.binaries.elf import Elf
from stigmer_packaging.binaries.macho import MachO
from stigmer_packaging.manifest.bottle_tags import MACOS_VERSIONS, parse_tag

LOADERS = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}
"""Source: the processors' supplements to the System V ABI."""

_PYTHON = re.compile(rb"#![^\n]*\b(?:python|pypy)[\d.]*\b|#!\s*/bin/sh\s*\n'''exec' [^\n]*python")
"""How a Python script starts. pip writes the second form if the interpreter's path is too long for the kernel."""

_SIGN = "sign it after the last change with `codesign --force --sign -`; Go's linker signs its own output"
_SAME_PLATFORM = "build it for the bottle's platform, or leave it out; thin a fat file with `lipo -thin`"
_SHOWN = 3  # symbols named in a finding


def elves(subject: Subject) -> Iterator[tuple[str, Elf]]:
    """Yield the ELF files of a bottle with their paths."""
    yield from ((path, content.elf) for path, content in subject.contents.files.items() if content.elf)


def machos(subject: Subject) -> Iterator[tuple[str, MachO]]:
    """Yield every slice of a bottle's Mach-O files with the file's path."""
    yield from ((path, each) for path, content in subject.contents.files.items() for each in content.machos)


def parse_version(text: str) -> tuple[int, ...]:
    """Parse a version such as `2.31`."""
    return tuple(map(int, text.split(".")))


def render_version(version: tuple[int, ...]) -> str:
    """Render a version, such as `2.31` for `(2, 31)`."""
    return ".".join(map(str, version))


def promised_macos(subject: Subject) -> tuple[int, ...]:
    """Return the oldest macOS that a bottle supports: that of its tag, or the policy's minimum if it is older."""
    release = (MACOS_VERSIONS[parse_tag(subject.bottle.tag).release], 0)
    minimum = subject.policy.macos_minimum
    return min(release, parse_version(minimum)) if minimum else release


@check("damaged", "a file that cannot be parsed here cannot be loaded on a user's machine either", "rebuild the file")
def _damaged(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        if content.damage:
            yield Violation(path, content.damage)


@check("architecture", "it cannot run on the machines this bottle is for", _SAME_PLATFORM)
def _architecture(subject: Subject) -> Iterator[Violation]:
    target = subject.target
    for path, content in subject.contents.files.items():
        found = [f"darwin-{each.architecture}" for each in content.machos]
        found += [f"linux-{content.elf.architecture}"] if content.elf else []
        found += [content.foreign] if content.foreign else []
        yield from (Violation(path, f"native code for {name}") for name in found if name != str(target))


@check(
    "glibc-floor",
    "on older systems the loader refuses the file: version not found",
    "freeze it with the pinned Python (no --python), or pin a wheel built for an older manylinux",
)
def _glibc_floor(subject: Subject) -> Iterator[Violation]:
    if not (text := subject.policy.glibc_floor):
        return
    for path, elf in elves(subject):
        if elf.glibc > parse_version(text):
            shown = ", ".join(elf.newest[:_SHOWN]) or "its relocations"
            needed = render_version(elf.glibc)
            yield Violation(path, f"needs glibc {needed} (for {shown}), but the bottle promises {text}")


@check("glibc-private", "such symbols exist only in the glibc build it was linked with", "do not bundle parts of glibc")
def _glibc_private(subject: Subject) -> Iterator[Violation]:
    yield from (Violation(path, "uses GLIBC_PRIVATE symbols") for path, elf in elves(subject) if elf.private)


@check(
    "loader",
    "other machines do not have this loader, so the program cannot start",
    "build it with the system's toolchain; link musl programs statically",
)
def _loader(subject: Subject) -> Iterator[Violation]:
    for path, elf in elves(subject):
        usual = LOADERS.get(elf.architecture, elf.interpreter)
        if elf.interpreter and elf.interpreter != usual:
            yield Violation(path, f"its interpreter is {elf.interpreter}")


@check(
    "macos-minimum",
    "brew pours this bottle on the promised macOS, where dyld refuses to load the file",
    "build it with MACOSX_DEPLOYMENT_TARGET set to the tag's macOS, or pin an older wheel",
)
def _macos(subject: Subject) -> Iterator[Violation]:
    if subject.target.system != "darwin":
        return
    promised = promised_macos(subject)
    for path, macho in machos(subject):
        if macho.platform != "MACOS" or macho.minimum is None:
            yield Violation(path, f"states no minimum macOS ({macho.platform or 'no version command'})")
        elif macho.minimum > (*promised, 0):
            needed, shown = render_version(macho.minimum), render_version(promised)
            yield Violation(path, f"needs macOS {needed}, but the bottle promises {shown} (tag {subject.bottle.tag})")


@check("unsigned", "macOS on Apple silicon does not run unsigned code", _SIGN)
def _unsigned(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        if macho.architecture == "arm64" and macho.flaws is None:
            yield Violation(path, "its arm64 code is not signed")


@check("broken-signature", "macOS kills the process when it reaches a changed page", _SIGN)
def _broken(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        yield from (Violation(path, f"{macho.architecture}: {flaw}") for flaw in macho.flaws or ())


@check(
    "python-script",
    "it runs only where a Python is installed, and then with an unknown one",
    "freeze it, or leave it out of the bundle",
)
def _python(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        if found := _PYTHON.match(content.head):
            yield Violation(path, f"starts with {found[0].decode(errors='replace')!r}")
