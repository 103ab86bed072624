"""The Debian or Ubuntu mirror that this machine is configured with, read from its apt sources.

Formats: sources.list(5), both the one-line style and deb822; apt-transport-mirror(1) for lists of mirrors.
"""

import email
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib.errors import MissingToolError

_MIRROR_LIST = "mirror+file:"
_DISABLED = {"no", "false", "without", "off", "disable", "0"}  # apt ignores their case
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


class Mirror(NamedTuple):
    """A mirror: URI, distribution (`debian`, `ubuntu`), this host's release, keyring; the last two may be empty."""

    uri: str
    distribution: str
    release: str
    keyring: str


class Entry(NamedTuple):
    """An archive of binary packages: its URI, its suites and their components, and its keyring or an empty string."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str


def find_mirror(etc: Path = Path("/etc")) -> Mirror:
    """Return the mirror that serves this host's own release; MissingToolError if there is none."""
    os_release = etc / "os-release"
    system = _parse_os_release(os_release.read_text(encoding="utf-8") if os_release.exists() else "")
    release, distribution = system.get("VERSION_CODENAME", ""), system.get("ID", "")
    found = [entry for entry in read_entries(etc / "apt") if release in entry.suites and "main" in entry.components]
    for entry in sorted(found, key=lambda entry: not _is_named_after(distribution, entry.uri)):
        return Mirror(entry.uri, distribution, release, entry.keyring)
    remedy = "run this on Debian or Ubuntu with the distribution's archive in the apt sources"
    raise MissingToolError("this machine's apt sources lack the Debian or Ubuntu archive of its release", remedy)


def _is_named_after(distribution: str, uri: str) -> bool:
    """Return whether an archive is named like the distribution, e.g. `ubuntu-ports`: vendors reuse its suite names."""
    return uri.rstrip("/").rpartition("/")[2].startswith(distribution)


def _parse_os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def read_entries(apt: Path) -> Iterator[Entry]:
    """Yield every archive in apt's configuration folder, in its order; of a list of mirrors, only the first choice."""
    for entry in _parse_sources(apt):
        if not entry.uri.startswith("mirror"):
            yield entry
        elif uri := _first_mirror(entry.uri, apt):
            yield entry._replace(uri=uri)


def _parse_sources(apt: Path) -> Iterator[Entry]:
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources" and path.is_file():
            yield from _parse_deb822(path.read_text(encoding="utf-8"))
        elif path.suffix == ".list" and path.is_file():
            yield from _parse_one_line(path.read_text(encoding="utf-8"))


def _first_mirror(uri: str, apt: Path) -> str:
    """Return the mirror that apt prefers in a local list, or an empty string if the list is remote or missing."""
    place = apt.parent / uri.removeprefix(_MIRROR_LIST).removeprefix("//").removeprefix("/etc/")
    if not (uri.startswith(_MIRROR_LIST) and place.is_file()):
        return ""
    lines = [line.split() for line in place.read_text(encoding="utf-8").splitlines()]
    ordered = sorted((words for words in lines if words and not words[0].startswith("#")), key=_priority)
    return ordered[0][0] if ordered else ""


def _priority(words: list[str]) -> float:
    found = re.search(r"\bpriority:(\d+)", " ".join(words[1:]))
    return int(found[1]) if found else float("inf")


def _parse_one_line(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        if found := _ONE_LINE.fullmatch(line.partition("#")[0].strip()):
            options = dict(word.partition("=")[::2] for word in (found["options"] or "").split())
            components = tuple(found["components"].split())
            yield Entry(found["uri"], (found["suite"],), components, options.get("signed-by", ""))


def _parse_deb822(text: str) -> Iterator[Entry]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines).strip()):
        fields = email.message_from_string(stanza)
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "").strip().lower() in _DISABLED:
            continue
        keyring = fields.get("Signed-By", "").strip()
        keyring = keyring if keyring.startswith("/") else ""  # an inline key cannot be passed as an option
        suites, components = fields.get("Suites", "").split(), fields.get("Components", "").split()
        for uri in fields.get("URIs", "").split():
            yield Entry(uri, tuple(suites), tuple(components), keyring)
