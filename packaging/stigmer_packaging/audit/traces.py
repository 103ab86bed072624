"""Traces of machines: paths of the build host, which must not be there, and of other builders, which are known.

Wheels and compilers leave paths of the machines that built them, which are harmless: they say nothing about ours.
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
    b"/home/runner/": "a hosted runner of GitHub",
    b"/Users/runner/": "a hosted runner of GitHub",
    b"/opt/_internal/": "a manylinux container's Python",
    b"/io/target/": "maturin's container",
    b"/home/": "a home folder on another machine",
    b"/Users/": "a home folder on another machine",
}
"""Whose paths are known; of several that fit, the longest counts."""

_ANYONES = (b"/home/", b"/Users/", b"/root/")
"""Folders so common that they count only where a path begins, not in the middle of one."""

_EVERYWHERE = (Path("/var/tmp"), Path("/private/tmp"), Path("/usr/local"))  # noqa: S108 - names that are left out, not used
_TEXT = re.compile(rb"[\w./@+~-]*")
_IN_PATH = re.compile(rb"[\w.-]")
_LONGEST = 120  # bytes of a path that are shown
_HOST = "the build host"

Places = Mapping[bytes, str]
"""The folders that are looked for, and whose they are."""


def forbidden_folders(folders: Iterable[Path]) -> tuple[str, ...]:
    """Give the folders' paths, as they are and with links resolved, without those that identify no machine."""
    paths = {path for folder in folders for path in (folder.absolute(), folder.resolve())}
    return tuple(sorted(str(path) for path in paths if _identifies_a_machine(path)))


def _identifies_a_machine(path: Path) -> bool:
    """Tell whether naming this folder says where a file was built.

    A folder directly below the root does not: `/src` stands in many a file, and `/root` in documentation and in every
    wheel that was built in a container. Nor does the home of a hosted builder, where most wheels come from.
    """
    return len(path.parts) > 2 and path not in _EVERYWHERE and f"{path}/".encode() not in BUILDERS


def places_of(policy: Policy) -> Places:
    """Say what to look for under a policy: the forbidden folders win over builders' that are as long."""
    tolerated = [each for each in policy.tolerated if each.startswith(tuple(f"{one}/" for one in policy.forbidden))]
    own = dict.fromkeys(tolerated, "a tolerated folder") | dict.fromkeys(policy.forbidden, _HOST)
    return BUILDERS | {folder.encode(): whose for folder, whose in own.items()}


def find_traces(pieces: Sequence[tuple[str, bytes]], places: Places) -> tuple[Trace, ...]:
    """Find the traces in a file's pieces (named after where they lie in it, the file itself by an empty name)."""
    found: dict[str, Trace] = {}
    for name, content in pieces:
        for whose, text in _find(content, places):
            known = found.get(whose, Trace(whose, f"{name}: {text}" if name else text, 0))
            found[whose] = replace(known, count=known.count + 1)
    return tuple(found.values())


def _find(content: bytes, places: Places) -> Iterator[tuple[str, str]]:
    """Give every hit, with the path that stands there; a folder that another one begins is found with it."""
    for anchor in (each for each in places if not any(each != one and each.startswith(one) for one in places)):
        start = content.find(anchor)
        while start >= 0:
            folder = max((each for each in places if content.startswith(each, start)), key=len)
            if _is_whole(content, start, folder):
                text = _TEXT.match(content, start)
                yield places[folder], text[0][:_LONGEST].decode(errors="replace") if text else ""
            start = content.find(anchor, start + len(anchor))


def _is_whole(content: bytes, start: int, folder: bytes) -> bool:
    """Whether a folder ends where a name ends."""
    following = content[start + len(folder) : start + len(folder) + 1]
    if folder in _ANYONES and _IN_PATH.match(content[max(0, start - 1) : start]):
        return False
    return folder.endswith(b"/") == bool(_IN_PATH.match(following))


@check(
    "host-path",
    "it reveals the machine that built it, and the same sources give other bytes elsewhere",
    "build with -trimpath, with a search path from $ORIGIN, and freeze with the pinned Python",
)
def _host(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        yield from (
            Violation(path, f"{each.count} times, first {each.sample}")
            for each in content.traces
            if each.whose == _HOST
        )


@check(
    "builders-path",
    "it comes with a wheel, and is the same in every build",
    "nothing needs to be done",
    severity=INFORMATION,
)
def _others(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        for each in content.traces:
            if each.whose != _HOST:
                yield Violation(path, f"{each.count} times {each.whose}, first {each.sample}")
