"""`scripts/packaging published`: a table that compares all sources about the published files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stigmer_packaging.bottle.archive import Member, unpack_archive, write_archive
from stigmer_packaging.publish.published import Published, compare_published
from stigmer_packaging.records.release import Release, read_release
from support.fake_github import Trouble
from support.fake_github_world import attestation
from support.publishable import PATH, write_release
from support.publishing import PUBLISHED_TARGETS, PublishingCommands, change_tap

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


@pytest.mark.parametrize("request_part", ["/attestations/sha256:", "/storage/attestations/", ".git/info/refs"])
def test_a_transient_fault_does_not_end_the_comparison(request_part: str, published_release: PublishedRelease) -> None:
    github = published_release.commands.github
    github.log.clear()
    published_release.compare()
    number = next(number for number, line in enumerate(github.log, 1) if request_part in line)
    github.trouble = Trouble(len(github.log) + number, "502", lasting=False)
    assert published_release.compare()[0] == 0


PLACES = ("SHA256SUMS", "formula in the tap", "provenance", "attested SBOM", "its own checksums")


def _change_formula(published: PublishedRelease) -> None:
    text = published.commands.formula().replace(published.release.of_kind("bottle")[0].sha256, "f" * 64)
    change_tap(published.commands.repository, PATH, f"{text}\n")


def _lose_an_attestation(published: PublishedRelease) -> None:
    """GitHub's own attestation of the immutable release, which also names the file, stays."""
    provenance = attestation(published.release.of_kind("source")[0].sha256, PROVENANCE, {})
    published.attestations.remove(provenance)


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


def test_a_tap_without_a_formula_of_ours_is_detected(published_release: PublishedRelease) -> None:
    change_tap(published_release.commands.repository, PATH, "class Stigmer < Formula\nend\n")
    assert published_release.disagreeing() == ["formula in the tap"] * (len(PUBLISHED_TARGETS) + 1)


def _contradict_checksums(folder: Path, release: Release) -> None:
    sums = release.checksums().replace(release.of_kind("bottle")[0].sha256, "0" * 64)
    (folder / "SHA256SUMS").write_text(sums, encoding="ascii")


def _rename_sbom(folder: Path, release: Release) -> None:
    (folder / release.of_kind("sbom")[0].name).write_text('{"name": "stigmer-1.9.0"}', encoding="utf-8")


def _change_program(folder: Path, release: Release) -> None:
    bottle, keg = folder / release.of_kind("bottle")[0].name, folder / "cellar" / "stigmer" / "2.0.0"
    unpack_archive(bottle, folder / "cellar")
    (keg / "bin" / "stigmer").write_text("changed", encoding="utf-8")
    members = [Member(name, keg / name) for name in ("bin/stigmer", "libexec/payload.json", "libexec/SHA256SUMS")]
    write_archive(bottle, "stigmer/2.0.0", members, mtime=0)


@pytest.mark.parametrize(
    ("spoil", "places"),
    [
        (_contradict_checksums, {"SHA256SUMS"}),
        (_rename_sbom, {"its own name", "attested SBOM"}),
        (_change_program, {"its own checksums"}),
    ],
)
def test_a_file_that_contradicts_its_release_is_detected(
    spoil: Callable[[Path, Release], None], places: set[str], tmp_path: Path
) -> None:
    """GitHub has the bytes that were uploaded, so that only a faulty release contains such a file."""
    release = write_release(tmp_path, "2.0.0", sboms=True)
    attested: dict[str, tuple[dict[str, Any], ...]] = {}
    for each in attestations_of(release, tmp_path):
        sha256 = each["subject"][0]["digest"]["sha256"]
        attested[sha256] = (*attested.get(sha256, ()), each)
    spoil(tmp_path, release)
    formula = (tmp_path / PATH).read_text(encoding="utf-8")
    statements = compare_published(Published(tmp_path, release, formula, attested))
    assert {one.place for one in statements if not one.agrees} == places


def test_an_attestation_of_another_file_does_not_count(tmp_path: Path) -> None:
    release = write_release(tmp_path, "2.0.0")
    attested = {one.sha256: (attestation("0" * 64, PROVENANCE, {}),) for one in release.artefacts}
    statements = compare_published(
        Published(tmp_path, release, (tmp_path / PATH).read_text(encoding="utf-8"), attested)
    )
    assert {one.agrees for one in statements if one.place == "provenance"} == {False}


def test_an_installation_of_another_release_matches_no_bottle(published_release: PublishedRelease) -> None:
    keg = published_release.folder / "keg"
    (keg / "libexec").mkdir(parents=True)
    assert published_release.disagreeing(f"--keg={keg}") == ["installed files"]
    (keg / "libexec" / "SHA256SUMS").write_text(f"{'0' * 64}  bin/stigmer\n", encoding="ascii")
    assert published_release.disagreeing(f"--keg={keg}") == ["installed files"]


def test_an_installation_is_compared_with_its_bottle(published_release: PublishedRelease) -> None:
    bottle = published_release.release.of_kind("bottle")[0]
    unpack_archive(published_release.folder / bottle.name, published_release.folder / "cellar")
    keg = published_release.folder / "cellar" / "stigmer" / "2.0.0"
    code, table = published_release.compare(f"--keg={keg}")
    assert code == 0
    assert "installed files" in table
    (keg / "bin" / "stigmer").write_text("changed")
    assert published_release.disagreeing(f"--keg={keg}") == ["installed files"]
