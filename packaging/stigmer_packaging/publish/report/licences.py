"""Which licences are in a bottle, by its software bill of materials."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from stigmer_packaging.lib.errors import RecordError

_UNSTATED = frozenset({"NOASSERTION", "NONE", ""})


@dataclass(frozen=True)
class Licences:
    """How many packages are under which licence, the most used first, and the packages that state none."""

    counted: tuple[tuple[str, int], ...]
    unstated: tuple[str, ...]

    @property
    def packages(self) -> int:
        """Give the number of all packages."""
        return sum(count for _, count in self.counted) + len(self.unstated)


def read_licences(sbom: str) -> Licences:
    """Read the licences that an SPDX document declares; RecordError when it is none."""
    try:
        pairs = list(_declared(json.loads(sbom)))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"the software bill of materials is damaged: {error}") from error
    counted = Counter(licence for _, licence in pairs if licence not in _UNSTATED)
    ordered = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return Licences(tuple(ordered), tuple(sorted(name for name, licence in pairs if licence in _UNSTATED)))


def _declared(document: dict[str, list[dict[str, str]]]) -> Iterator[tuple[str, str]]:
    for package in document["packages"]:
        yield f"{package['name']} {package.get('versionInfo', '')}".strip(), package.get("licenseDeclared", "")
