"""The names Homebrew and users ask for, in one place. Source: Homebrew's bottle file naming and bottle tags."""

import re
from typing import NamedTuple

from stigmer_packaging.lib.target import Target

NOTICES = "THIRD_PARTY_NOTICES"


def bottle_name(name: str, version: str, tag: str, rebuild: int = 0) -> str:
    """Name a bottle as brew's download asks for it: a single dash, and the rebuild number only when there is one."""
    suffix = f".{rebuild}" if rebuild else ""
    return f"{name}-{version}.{tag}.bottle{suffix}.tar.gz"


# A version begins with a number that has a dot; a pre-release such as 2.1.0-rc.1 has dashes as well.
_BOTTLE = re.compile(
    r"(?P<name>.+?)-(?P<version>\d+(?:\.\d+)+.*?)\.(?P<tag>\w+)\.bottle(?:\.(?P<rebuild>\d+))?\.tar\.gz"
)


class BottleName(NamedTuple):
    """What the name of a bottle's file says."""

    name: str
    version: str
    tag: str
    rebuild: int


def parse_bottle_name(file: str) -> BottleName | None:
    """Read what `bottle_name` gives, None when it is another file's name."""
    found = _BOTTLE.fullmatch(file)
    return found and BottleName(found["name"], found["version"], found["tag"], int(found["rebuild"] or 0))


def source_archive_name(name: str, version: str) -> str:
    """Name the platform-neutral source archive; brew scans the version from it."""
    return f"{name}-{version}.tar.gz"


def standalone_name(name: str, version: str, target: str) -> str:
    """Name what people without Homebrew download for `target`; the archive of it ends in .tar.gz."""
    return f"{name}-{version}-{target}"


def release_tag(version: str) -> str:
    """Name the git tag and release of a version."""
    return f"v{version}"


def release_root(repository: str, version: str) -> str:
    """Give the URL below which a release's files are downloaded, without a slash at the end."""
    return f"https://github.com/{repository}/releases/download/{release_tag(version)}"


def formula_class(name: str) -> str:
    """Name the Ruby class of a formula as brew derives it: `two-tiny` is `TwoTiny`."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("_", "-").split("-"))


class ServiceNames(NamedTuple):
    """What the service manager of each system calls the service; its file in the keg has this name too."""

    macos: str
    linux: str


def service_names(name: str) -> ServiceNames:
    """Give the names of the formula's service, those that brew itself would choose."""
    return ServiceNames(macos=f"homebrew.mxcl.{name}", linux=f"homebrew.{name}")


def service_path(name: str, target: Target) -> str:
    """Give where in the keg the target's definition is."""
    names = service_names(name)
    return f"{names.macos}.plist" if target.system == "darwin" else f"{names.linux}.service"


def notices_path(name: str) -> str:
    """Give where in the keg the third-party notices are."""
    return f"share/doc/{name}/{NOTICES}"


def sbom_path(name: str) -> str:
    """Give where in the keg its bill of materials is. Not at the top: brew writes one of its own there when it pours."""
    return f"share/doc/{name}/sbom.spdx.json"
