"""Publishing as values: a plan of what will be published, made without side effects, and what was published."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.version import Version

from stigmer_packaging.formula.reading import Download, parse_formula
from stigmer_packaging.lib.errors import PublicationError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.publish.rules import PublicationRequest, problems_of
from stigmer_packaging.records.release import Artefact, Release

MARK = "stigmer-packaging"
"""Our drafts have this in a comment in their notes, so that drafts of others are never touched."""


@dataclass(frozen=True)
class TapChange:
    """The new content of a file in the tap: `text` at `path` on `branch`.

    `proposal` is the branch of a pull request, or empty if the change is pushed directly.
    """

    repository: str
    branch: str
    path: str
    text: str
    message: str
    proposal: str = ""

    @property
    def sha256(self) -> str:
        """The sha256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class PublicationPlan:
    """Everything that publishing a release does. `tap` is None for a pre-release, which does not change the formula.

    `downloads` are the files that the formula names; `marker` identifies our draft.
    """

    name: str
    version: str
    repository: str
    tag: str
    commit: str
    title: str
    notes: str
    prerelease: bool
    marker: str
    assets: tuple[Artefact, ...]
    downloads: tuple[Download, ...]
    tap: TapChange | None


@dataclass(frozen=True)
class Publication:
    """What was published: the release's page, its assets, and the tap's commit or pull request, empty if none."""

    tag: str
    page: str
    immutable: bool
    assets: tuple[Artefact, ...]
    tap: str
    tap_commit: str
    pull_request: str


def plan_publication(release: Release, files: Sequence[Artefact], request: PublicationRequest) -> PublicationPlan:
    """Return the plan for publishing a release; PublicationError lists everything that forbids it.

    `files` are the release's files and the files that describe it.
    """
    product = release.product
    names = [file.asset for file in files]
    facts = parse_formula(request.formula)
    if (problems := problems_of(release, names, request)) or facts is None:
        raise PublicationError("this release may not be published:\n" + "\n".join(f"  {one}" for one in problems))
    marker = draft_marker(product, digest_of_files(file.sha256 for file in files))
    prerelease = Version(product.version).is_prerelease
    return PublicationPlan(
        name=product.name,
        version=product.version,
        repository=product.repository,
        tag=release_tag(product.version),
        commit=request.commit,
        title=f"{product.name} {product.version}",
        notes=f"{request.notes}\n\n{marker}\n",
        prerelease=prerelease,
        marker=marker,
        assets=tuple(sorted(files, key=lambda file: file.asset)),
        downloads=facts.downloads(product.name),
        tap=None if prerelease else _tap_change(product, request),
    )


def _tap_change(product: Product, request: PublicationRequest) -> TapChange:
    return TapChange(
        repository=product.tap_repository,
        branch=request.branch,
        path=formula_path(product.name),
        text=request.formula,
        message=f"{product.name} {product.version}\n",
        proposal=f"{product.name}-{product.version}" if request.pull_request else "",
    )


def changelog_section(text: str, version: str) -> str:
    """Return the text below a version's heading in CHANGELOG.md, e.g. `## 2.0.0 - 2026-11-22`, or an empty string."""
    heading = rf"^## +\[?v?{re.escape(version)}\]?(?: [^\n]*)?$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def formula_path(name: str) -> str:
    """Return the path of the formula in a tap."""
    return f"Formula/{name}.rb"


def digest_of_files(digests: Iterable[str]) -> str:
    """Return one sha256 of the digests of all files of a release, in any order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def draft_marker(product: Product, digest: str) -> str:
    """Return the comment that identifies a draft as ours; without a digest, the prefix that all our drafts share."""
    prefix = f"<!-- {MARK} {product.name} {release_tag(product.version)} "
    return f"{prefix}{digest} -->" if digest else prefix
