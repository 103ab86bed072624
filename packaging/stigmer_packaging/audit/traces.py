"""Checks for paths of build machines: those of our build host are errors, those of known other builders are not.

Wheels and compilers leave paths of the machines that built them. These are harmless, as they reveal nothing about ours.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stigmer_packaging.audit.check import INFORMATION, Policy, Subject, Violation, check
from stigmer_packaging.audit.contents import Trace

BUILDERS = {
    b"/root/.cargo/": "Rust in a manylinux container",
    b"/root/.rustup/": "Rust in a manylinux container",
    b"/root/": "the home of a root user",
    b"/github/home/": "a container job on GitHub",
    b"/__w/": "a container job on GitHub",
    b"/home/runner/": "a GitHub-hosted runner",
    b"/Users/runner/": "a GitHub-hosted runner",
    b"/opt/_internal/": "a manylinux container's Python",
    b"/io/target/": "maturin's container",
    b"/home/": "a home folder on another machine",
    b"/Users/": "a home folder on another machine",
}
"""Known builders by the start of their paths; the longest match applies."""

_COMMON = (b"/home/", b"/Users/", b"/root/")
"""Folders so common that they count only at the start of a path, not in the middle of one."""

_EVERYWHERE = (Path("/var/tmp"), Path("/private/tmp"), Path("/usr/local"))  # noqa: S108 - only compared, never used
_TEXT = re.compile(rb"[\w./@+~-]*")
_IN_PATH = re.compile(rb"[\w.-]")
_LONGEST = 120  # bytes of a path that are shown
_HOST = "the build host"

Folders = Mapping[bytes, str]
"""The folders to search for, with the origin of each."""


def forbidden_folders(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the folders' absolute paths, unresolved and with links resolved, without those found on any machine."""
    paths = {path for folder in folders for path in (folder.absolute(), folder.resolve())}
    return tuple(sorted(str(path) for path in paths if _identifies_a_machine(path)))


def _identifies_a_machine(path: Path) -> bool:
    """Return whether the path of this folder identifies the build machine.

    A folder directly below the root does not: `/src` occurs in many files, and `/root` in documentation and in every
    wheel that was built in a container. Nor does the home of a hosted builder, where most wheels are built.
    """
    return len(path.parts) > 2 and path not in _EVERYWHERE and f"{path}/".encode() not in BUILDERS


def folders_to_find(policy: Policy) -> Folders:
    """Return the folders to search for under a policy; a forbidden folder takes precedence over an equal builder's."""
    tolerated = [each for each in policy.tolerated if each.startswith(tuple(f"{one}/" for one in policy.forbidden))]
    own = dict.fromkeys(tolerated, "a tolerated folder") | dict.fromkeys(policy.forbidden, _HOST)
    return BUILDERS | {folder.encode(): origin for folder, origin in own.items()}


def find_traces(pieces: Sequence[tuple[str, bytes]], folders: Folders) -> tuple[Trace, ...]:
    """Find the traces in a file's pieces, which are named by their place in the file, the file itself by ''."""
    found: dict[str, Trace] = {}
    for name, content in pieces:
        for origin, text in _find(content, folders):
            known = found.get(origin, Trace(origin, f"{name}: {text}" if name else text, 0))
            found[origin] = replace(known, count=known.count + 1)
    return tuple(found.values())


def _find(content: bytes, folders: Folders) -> Iterator[tuple[str, str]]:
    """Yield the origin and the path of every hit; a folder below another one is found by searching for the latter."""
    for anchor in (each for each in folders if not any(each != one and each.startswith(one) for one in folders)):
        start = content.find(anchor)
        while start >= 0:
            folder = max((each for each in folders if content.startswith(each, start)), key=len)
            if _covers_components(content, start, folder):
                text = _TEXT.match(content, start)
                yield folders[folder], text[0][:_LONGEST].decode(errors="replace") if text else ""
            start = content.find(anchor, start + len(anchor))


def _covers_components(content: bytes, start: int, folder: bytes) -> bool:
    """Whether the match covers whole path components; that of a common folder must also start the path."""
    following = content[start + len(folder) : start + len(folder) + 1]
    if folder in _COMMON and _IN_PATH.match(content[max(0, start - 1) : start]):
        return False
    return folder.endswith(b"/") == bool(_IN_PATH.match(following))


@check(
    "host-path",
    "it reveals the machine that built it, and a build on another machine would give different bytes",
    "build with -trimpath and with search paths relative to $ORIGIN, and freeze with the pinned Python",
)
def _host(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        yield from (
            Violation(path, f"first of {each.count}: {each.sample}") for each in content.traces if each.origin == _HOST
        )


@check(
    "builders-path",
    "it comes with a wheel, and is the same in every build",
    "no action is needed",
    severity=INFORMATION,
)
def _others(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        for each in content.traces:
            if each.origin != _HOST:
                yield Violation(path, f"{each.origin}, first of {each.count}: {each.sample}")
