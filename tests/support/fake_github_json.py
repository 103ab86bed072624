"""How GitHub describes what it holds: the parts of its JSON that releasing reads."""

from dataclasses import dataclass

from support.fake_github_world import FakeAsset, FakePull, FakeRelease, Json, sha256


@dataclass(frozen=True)
class Addresses:
    """Where the parts are: each a URL without a slash at the end. `storage` is another origin, as on the real one."""

    server: str
    api: str
    uploads: str
    storage: str


def describe_release(at: Addresses, name: str, release: FakeRelease) -> Json:
    """Describe a release. Its own list of assets leaves out uploads that failed: only the assets' route names them."""
    shown = f"untagged-{release.number}" if release.draft else release.tag
    return {
        "id": release.number,
        "tag_name": release.tag,
        "target_commitish": release.target,
        "name": release.title,
        "body": release.notes,
        "draft": release.draft,
        "prerelease": release.prerelease,
        "immutable": release.immutable,
        "html_url": f"{at.server}/{name}/releases/tag/{shown}",
        "upload_url": f"{at.uploads}/repos/{name}/releases/{release.number}/assets{{?name,label}}",
        "assets": [describe_asset(at, name, release, asset) for asset in release.assets if asset.state == "uploaded"],
    }


def describe_asset(at: Addresses, name: str, release: FakeRelease, asset: FakeAsset) -> Json:
    """Describe an asset; one that did not arrive whole has no digest."""
    shown = f"untagged-{release.number}" if release.draft else release.tag
    return {
        "id": asset.number,
        "name": asset.name,
        "state": asset.state,
        "size": len(asset.content),
        "digest": sha256(asset.content) if asset.state == "uploaded" else None,
        "content_type": asset.content_type,
        "url": f"{at.api}/repos/{name}/releases/assets/{asset.number}",
        "browser_download_url": f"{at.server}/{name}/releases/download/{shown}/{asset.name}",
    }


def describe_pull(at: Addresses, name: str, pull: FakePull) -> Json:
    """Describe a pull request."""
    url = f"{at.server}/{name}/pull/{pull.number}"
    return {"number": pull.number, "state": pull.state, "html_url": url, "title": pull.title, "body": pull.body}
