"""File names, URLs and paths that Homebrew and users rely on. Source: Homebrew's bottle file naming and bottle tags."""

import re
from typing import NamedTuple

from stigmer_packaging.lib.target import Target

NOTICES = "THIRD_PARTY_NOTICES"


def bottle_name(name: str, version: str, tag: str, rebuild: int = 0) -> str:
    """Return a bottle's file name as brew downloads it: a single dash, and a rebuild number only if it is not 0."""
    suffix = f".{rebuild}" if rebuild else ""
    return f"{name}-{version}.{tag}.bottle{suffix}.tar.gz"


# A version begins with a number that has a dot; a pre-release such as 2.1.0-rc.1 has dashes as well.
_BOTTLE = re.compile(
    r"(?P<name>.+?)-(?P<version>\d+(?:\.\d+)+.*?)\.(?P<tag>\w+)\.bottle(?:\.(?P<rebuild>\d+))?\.tar\.gz"
)


class BottleName(NamedTuple):
    """The parts of a bottle's file name."""

    name: str
    version: str
    tag: str
    rebuild: int


def parse_bottle_name(file: str) -> BottleName | None:
    """Parse a name returned by `bottle_name`; None for any other file name."""
    found = _BOTTLE.fullmatch(file)
    return found and BottleName(found["name"], found["version"], found["tag"], int(found["rebuild"] or 0))


def source_archive_name(name: str, version: str) -> str:
    """Return the file name of the platform-neutral source archive, from which brew scans the version."""
    return f"{name}-{version}.tar.gz"


def standalone_name(name: str, version: str, target: str) -> str:
    """Return the file name of the download for `target` without Homebrew; its archive ends in .tar.gz."""
    return f"{name}-{version}-{target}"


def release_tag(version: str) -> str:
    """Return the name of a version's git tag and GitHub release."""
    return f"v{version}"


def release_root(repository: str, version: str) -> str:
    """Return the URL below which a release's files are downloaded, without a trailing slash."""
    return f"https://github.com/{repository}/releases/download/{release_tag(version)}"


def formula_class_name(name: str) -> str:
    """Return the Ruby class name that brew derives for a formula: `TwoTiny` for `two-tiny`."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("_", "-").split("-"))


class ServiceNames(NamedTuple):
    """The service's name for each system's service manager; its file in the keg has the same name."""

    macos: str
    linux: str


def service_names(name: str) -> ServiceNames:
    """Return the names of the formula's service, which are brew's defaults."""
    return ServiceNames(macos=f"homebrew.mxcl.{name}", linux=f"homebrew.{name}")


def service_path(name: str, target: Target) -> str:
    """Return the path of the target's service definition in the keg."""
    names = service_names(name)
    return f"{names.macos}.plist" if target.system == "darwin" else f"{names.linux}.service"


def notices_path(name: str) -> str:
    """Return the path of the third-party notices in the keg."""
    return f"share/doc/{name}/{NOTICES}"


def unpacker_notices_path(name: str) -> str:
    """Return the path of the third-party notices of the program that unpacks the single file, in its tree."""
    return f"share/doc/{name}/UNPACKER_NOTICES"


def sbom_path(name: str) -> str:
    """Return the path of the SBOM in the keg. Not in the top folder: brew writes its own SBOM there when it pours."""
    return f"share/doc/{name}/sbom.spdx.json"
