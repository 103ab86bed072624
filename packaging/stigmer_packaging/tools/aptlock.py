"""Which files a set of Debian packages is made of today: asked of apt, with state of its own, on a machine that has it."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from stigmer_packaging.errors import CommandError
from stigmer_packaging.tools import command
from stigmer_packaging.tools.debian import Archives, Package

SECONDS = 300
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SETTINGS = """\
APT::Architecture "{architecture}"; APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false"; APT::Sandbox::User ""; Debug::NoLocking "true";
Acquire::Check-Valid-Until "false"; Acquire::Languages "none"; Acquire::ForceHash "SHA256";
Dir::Etc::sourcelist "{folder}/sources.list"; Dir::Etc::sourceparts "-"; Dir::Etc::preferencesparts "-";
Dir::State "{folder}"; Dir::State::status "{folder}/status"; Dir::Cache "{folder}/cache";
"""


def lock_packages(
    roots: Mapping[str, list[str]],
    *,
    suite: str,
    architecture: str,
    archives: Archives,
    folder: Path,
    security: bool = True,
) -> list[Package]:
    """Give the files of these packages and of all they depend on, in their newest version, signatures checked.

    `roots` names the packages wanted in each root; without `security` its archive is left aside. The empty `folder` takes apt's state.
    """
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    sources = [f"{archives.main} {suite}", *([f"{archives.security} {suite}-security"] if security else [])]
    text = "".join(f"deb [signed-by={KEYRING}] {source} main\n" for source in sources)
    (folder / "sources.list").write_text(text, encoding="utf-8")
    (folder / "apt.conf").write_text(_SETTINGS.format(architecture=architecture, folder=folder), encoding="utf-8")
    settings = {"APT_CONFIG": str(folder / "apt.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    command.run(["apt-get", "--quiet", "update"], env=settings, seconds=SECONDS)
    files: dict[tuple[str, str], tuple[str, ...]] = {}
    for root, packages in roots.items():
        ask = ["apt-get", "install", "--yes", "--print-uris", *packages]
        for found in parse_uris(command.run(ask, env=settings, seconds=SECONDS).stdout, archives):
            files[found] = (*files.get(found, ()), root)
    return [Package(path, sha256, belongs) for (path, sha256), belongs in files.items()]


def parse_uris(text: str, archives: Archives) -> list[tuple[str, str]]:
    """Read path on the mirror and sha256 of each file that `apt-get --print-uris` names."""
    found = re.findall(r"^'(\S+)' \S+ \d+ SHA256:([0-9a-f]{64})$", text, re.MULTILINE)
    if not found:
        raise CommandError(["apt-get", "--print-uris"], "named no files", text)
    return [(_path_on(archives, unquote(url)), sha256) for url, sha256 in found]


def _path_on(archives: Archives, url: str) -> str:
    for base in (archives.security, archives.main):
        if url.startswith(f"{base}/"):
            return url.removeprefix(f"{base}/")
    raise ValueError(f"{url} is not on the mirror")
