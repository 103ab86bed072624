"""Download the files of a draft release, so that they can be verified on other machines before they are public."""

from collections.abc import Callable
from pathlib import Path

from stigmer_packaging.lib.errors import PublicationError, UnavailableError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.publish.github import GitHub, HostedAsset, HostedRelease
from stigmer_packaging.publish.plan import digest_of_files, draft_marker
from stigmer_packaging.records.release import Release, read_description, read_release

_CREATE = "scripts/publish dist --draft"


def fetch_draft(product: Product, folder: Path, github: GitHub, *, report: Callable[[str], None]) -> Release:
    """Download the files of a draft to `folder`, laid out as before the upload, and return the release.

    If the release is public already, its files are downloaded. PublicationError if there is no such release of ours, or
    if the files, taken together, differ from those it was created with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hosted = github.retry(_find, product, github)
    assets = {asset.name: asset for asset in github.retry(github.assets, hosted)}
    remedy = f"complete the draft: {_CREATE}" if hosted.draft else ""
    if partial := sorted(name for name, asset in assets.items() if asset.state != "uploaded"):
        raise PublicationError(f"the uploads of {', '.join(partial)} were cut off", remedy)
    digests = {name: _fetch(asset, folder, github, report) for name, asset in assets.items()}
    if draft_marker(product, digest_of_files(digests.values())) not in (hosted.body or ""):
        raise PublicationError(f"the files of {hosted.html_url} differ from those it was created with", remedy)
    for artefact in read_description(folder).artefacts:
        path = folder / artefact.name
        path.parent.mkdir(exist_ok=True)
        (folder / artefact.asset).rename(path)
    return read_release(folder)


def _find(product: Product, github: GitHub) -> HostedRelease:
    tag, marker = release_tag(product.version), draft_marker(product, "")
    ours = [one for one in github.releases() if one.tag_name == tag and marker in (one.body or "")]
    if len(ours) != 1:
        missing = f"create it: {_CREATE}; a token that may only read sees no draft"
        remedy = f"delete them: scripts/publish --abandon dist; then run {_CREATE}" if ours else missing
        raise PublicationError(f"found {len(ours)} releases of ours for {tag}; expected 1", remedy)
    return ours[0]


def _fetch(asset: HostedAsset, folder: Path, github: GitHub, report: Callable[[str], None]) -> str:
    def attempt() -> str:
        size, sha256 = github.digest_of(asset, folder / asset.name)
        if not asset.holds(size, sha256):
            raise UnavailableError(f"the download of {asset.name} does not match GitHub's size and digest")
        return sha256

    if Path(asset.name).name != asset.name:
        raise PublicationError(f"{asset.name} is not a valid asset name")
    report(f"fetching {asset.name}")
    return github.retry(attempt)
