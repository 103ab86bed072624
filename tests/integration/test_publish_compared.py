"""`scripts/packaging published`: a table that compares all sources about the published files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.records.release import Release, read_release
from support.fake_github_world import attestation
from support.publishable import PATH
from support.publishing import PublishingCommands, change_tap

PROVENANCE, SBOM = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document/v2.3"


class PublishedRelease(NamedTuple):
    """A published and attested release, and its original files."""

    commands: PublishingCommands
    folder: Path
    release: Release

    @property
    def attestations(self) -> list[dict[str, Any]]:
        """The attestations stored at GitHub."""
        return self.commands.repository.attestations

    def compare(self, *words: str) -> tuple[int, str]:
        """Compare everything; return the exit code and the output."""
        code = self.commands.run("published", str(self.commands.root / "fetched"), *words)
        return code, self.commands.capsys.readouterr().out

    def disagreeing(self, *words: str) -> list[str]:
        """Return the sources that disagree with the files; the command must fail."""
        code, printed = self.compare("--json", *words)
        assert code == 8
        return [row["place"] for row in json.loads(printed) if not row["agrees"]]


@pytest.fixture
def published_release(commands: PublishingCommands) -> PublishedRelease:
    folder = commands.write_release("2.0.0", sboms=True)
    assert commands.run("publish", str(folder)) == 0
    commands.capsys.readouterr()
    release = read_release(folder)
    commands.repository.attestations += attestations_of(release, folder)
    return PublishedRelease(commands, folder, release)


def attestations_of(release: Release, folder: Path) -> Iterator[dict[str, Any]]:
    for artefact in release.artefacts:
        yield attestation(artefact.sha256, PROVENANCE, {})
        for sbom in release.of_kind("sbom"):
            if artefact.kind == "bottle" and sbom.target == artefact.target:
                yield attestation(artefact.sha256, SBOM, json.loads((folder / sbom.name).read_text()))


def test_all_sources_agree_about_a_published_release(published_release: PublishedRelease) -> None:
    code, table = published_release.compare()
    assert code == 0
    assert {line.split()[0] for line in table.splitlines()} == {"ok"}
    bottle = published_release.release.of_kind("bottle")[0].name
    lines = [line for line in table.splitlines() if bottle in line]
    assert [place for place in PLACES if not any(place in line for line in lines)] == []
    assert "signature not checked" in table


PLACES = ("SHA256SUMS", "formula in the tap", "provenance", "attested SBOM", "its own checksums")


def _change_formula(published: PublishedRelease) -> None:
    text = published.commands.formula().replace(published.release.of_kind("bottle")[0].sha256, "f" * 64)
    change_tap(published.commands.repository, PATH, f"{text}\n")


def _lose_an_attestation(published: PublishedRelease) -> None:
    source = published.release.of_kind("source")[0].sha256
    published.attestations[:] = [one for one in published.attestations if source not in json.dumps(one["subject"])]


def _attest_another_sbom(published: PublishedRelease) -> None:
    next(one for one in published.attestations if one["predicateType"] == SBOM)["predicate"] = {"name": "another"}


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (_change_formula, "formula in the tap"),
        (_lose_an_attestation, "provenance"),
        (_attest_another_sbom, "attested SBOM"),
    ],
)
def test_a_source_that_disagrees_is_detected(
    spoil: Callable[[PublishedRelease], None], place: str, published_release: PublishedRelease
) -> None:
    spoil(published_release)
    assert published_release.disagreeing() == [place]


def test_an_installation_is_compared_with_its_bottle(published_release: PublishedRelease) -> None:
    bottle = published_release.release.of_kind("bottle")[0]
    unpack_archive(published_release.folder / bottle.name, published_release.folder / "cellar")
    keg = published_release.folder / "cellar" / "stigmer" / "2.0.0"
    code, table = published_release.compare(f"--keg={keg}")
    assert code == 0
    assert "installed files" in table
    (keg / "bin" / "stigmer").write_text("changed")
    assert published_release.disagreeing(f"--keg={keg}") == ["installed files"]
