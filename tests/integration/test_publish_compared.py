"""`scripts/packaging published`: one table of what every place says of the files that were published."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.cli import ci_environment
from stigmer_packaging.cli import main as cli
from stigmer_packaging.publish.github import Access
from stigmer_packaging.records.release import Release, read_release
from support.fake_github import RunningGitHub, github_at
from support.fake_github_world import FakeRepository, attestation
from support.manifest_texts import text_with
from support.publishable import PATH, REPOSITORY, TARGETS, TOKEN, changelog_of, first_commit, lay_release
from support.publishing_studio import change_tap

PROVENANCE, SBOM = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document/v2.3"


class Shelf(NamedTuple):
    """A release that was published and attested, and its files as they were before."""

    github: RunningGitHub
    root: Path
    release: Release

    @property
    def repository(self) -> FakeRepository:
        """The repository on GitHub."""
        return self.github.world.repositories[REPOSITORY]

    def compare(self, *words: str) -> int:
        """Compare all of it."""
        return cli.run(["published", str(self.root / "fetched"), f"--manifest={self.root}/manifest.yaml", *words])


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """Publish a release, and attest each file, and each bottle's SBOM."""
    (tmp_path / "manifest.yaml").write_text(text_with(("  version: 2.0.0", "  version: 2.0.0")), encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(changelog_of("2.0.0"), encoding="utf-8")
    folder = tmp_path / "dist"
    lay_release(folder, "2.0.0", sboms=True)
    with github_at(tmp_path / "github", [REPOSITORY], {TOKEN: "write"}) as github:
        for name in ("GITHUB_REF_TYPE", "GITHUB_REF_NAME", "TAP_TOKEN", "TAP_DEPLOY_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            **github.environment,
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_SHA": first_commit(github),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ci_environment, "Access", functools.partial(Access, pause=lambda _: None))
        words = [f"--manifest={tmp_path}/manifest.yaml", f"--changelog={tmp_path}/CHANGELOG.md"]
        assert cli.run(["publish", str(folder), *words, *(f"--target={target}" for target in TARGETS)]) == 0
        made = Shelf(github, tmp_path, read_release(folder))
        made.repository.attestations += list(attestations_of(made.release, folder))
        yield made


def attestations_of(release: Release, folder: Path) -> Iterator[dict[str, Any]]:
    for artefact in release.artefacts:
        yield attestation(artefact.sha256, PROVENANCE, {})
        for sbom in release.of_kind("sbom"):
            if artefact.kind == "bottle" and sbom.target == artefact.target:
                yield attestation(artefact.sha256, SBOM, json.loads((folder / sbom.name).read_text()))


def disagreeing(text: str) -> list[str]:
    """List the places that say something else than the files."""
    return [said["place"] for said in json.loads(text) if not said["agrees"]]


def test_whatever_is_said_of_a_published_release_agrees(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert shelf.compare() == 0, capsys.readouterr()
    table = capsys.readouterr().out
    assert {line.split()[0] for line in table.splitlines()} == {"ok"}
    bottle = shelf.release.of_kind("bottle")[0].name
    said = [line for line in table.splitlines() if bottle in line]
    assert [place for place in PLACES if not any(place in line for line in said)] == []
    assert "signature not checked" in table


PLACES = ("SHA256SUMS", "formula in the tap", "provenance", "attested SBOM", "its own checksums")


def test_a_formula_with_another_checksum_is_seen(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    text = shelf.repository.run_git("show", f"main:{PATH}")
    change_tap(shelf.repository, PATH, text.replace(shelf.release.of_kind("bottle")[0].sha256, "f" * 64) + "\n")
    assert shelf.compare("--json") == 8
    assert disagreeing(capsys.readouterr().out) == ["formula in the tap"]


def test_a_file_without_an_attestation_is_seen(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    source = shelf.release.of_kind("source")[0]
    shelf.repository.attestations[:] = [
        one for one in shelf.repository.attestations if source.sha256 not in json.dumps(one["subject"])
    ]
    assert shelf.compare("--json") == 8
    assert disagreeing(capsys.readouterr().out) == ["provenance"]


def test_an_attested_sbom_that_is_not_the_published_one_is_seen(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    bills = [one for one in shelf.repository.attestations if one["predicateType"] == SBOM]
    bills[0]["predicate"] = {"name": "another"}
    assert shelf.compare("--json") == 8
    assert disagreeing(capsys.readouterr().out) == ["attested SBOM"]


def test_an_installation_is_compared_with_its_bottle(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    bottle = shelf.release.of_kind("bottle")[0]
    unpack_archive(shelf.root / "dist" / bottle.name, shelf.root / "cellar")
    keg = shelf.root / "cellar" / "stigmer" / "2.0.0"
    assert shelf.compare(f"--keg={keg}") == 0
    assert "installed files" in capsys.readouterr().out
    (keg / "bin" / "stigmer").write_text("changed")
    assert shelf.compare(f"--keg={keg}", "--json") == 8
    assert disagreeing(capsys.readouterr().out) == ["installed files"]
