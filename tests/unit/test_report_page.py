"""The page to review before publishing: treemap of sizes, waits at the start, and every problem."""

import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmer_packaging.cli.publish import report_command
from stigmer_packaging.lib.errors import ArchiveError, RecordError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.publish.report.page import HEIGHT, WIDTH, Licences, render_page
from stigmer_packaging.publish.report.stage import PAGE, read_licences, write_report
from stigmer_packaging.publish.report.treemap import draw_treemap
from stigmer_packaging.publish.report.waterfall import Span, find_spans
from stigmer_packaging.records.model import AuditReport, Check, Finding, OmittedModule, VerificationReport
from stigmer_packaging.records.release import NAME, Artefact, Release
from stigmer_packaging.records.text import render_record
from support.publishable import write_release

TIMELINE = {
    "temporal": {"spawned": 0.01, "ready": 0.3},
    "server": {"spawned": 0.01, "ready": 0.1},
    "runner": {"spawned": 0.31, "ready": 0.9},
}
STATUS = json.dumps({"state": "running", "timeline": TIMELINE}, indent=2)
CUT = STATUS[STATUS.index("running") :]
"""A guest reports only the end of a long answer."""

PRODUCT = Product("one", "1.1.0", "MIT", "https://one.example/", "One <b>& only", "one/homebrew-tap", "self")
BOTTLE = Artefact("bottle", "one-1.1.0.sonoma.bottle.tar.gz", 3_000_000, "a" * 64, "darwin-amd64", "sonoma")
AUDIT = AuditReport("darwin-amd64", BOTTLE.sha256, (), 3, 9_000_000, (), "2.31")
PROOF = VerificationReport("vm", "debian trixie", BOTTLE.sha256, (Check("every service runs", True, 2.5, CUT),), True)
RELEASE = Release(PRODUCT, (BOTTLE,), (AUDIT,), (PROOF,))
FILES = (("libexec/components/temporal", 600), ("libexec/launcher/lib/libpython.so", 300))
HELD, LICENCES = {BOTTLE.name: FILES}, {BOTTLE.target: Licences((("MIT", 2),), ())}
SIZES = st.lists(
    st.tuples(st.sampled_from(["bin/a", "libexec/components/b", "libexec/launcher/c/d"]), st.integers(0, 10**12))
)


WARNING = Finding("warning", "w", "p", "s", "r", "re")


def page(release: Release = RELEASE, previous: Release | None = None) -> str:
    return render_page(release, HELD, LICENCES, previous)


class Tags(HTMLParser):
    """Collects the elements of a page: `rows` has those of its tables, `marked` the texts shown as bad."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.addresses: list[str] = []
        self.rows: list[list[str]] = [[]]
        self.marked: list[str] = []
        self.levels: list[int] = []
        self.landmarks: list[str] = []
        self.tables = self.heads = 0
        self._cell = self._bad = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.names.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "srcset", "action"}]
        self.landmarks += ["main"] if tag == "main" else []
        self.landmarks += [dict(attrs).get("aria-label") or ""] if ("role", "region") in attrs else []
        self.tables += tag == "table"
        self.heads += tag == "thead"
        self.levels += [int(tag[1])] if re.fullmatch(r"h\d", tag) else []
        self.rows += [[]] if tag == "tr" else []
        if tag in {"td", "th"}:
            self._cell = True
            self.rows[-1].append("")
        if tag in {"td", "div", "p"}:
            self._bad = ("class", "bad") in attrs
            self.marked += [""] if self._bad else []

    def handle_endtag(self, tag: str) -> None:
        """Leave a cell or a text shown as bad."""
        self._cell = self._cell and tag not in {"td", "th"}
        self._bad = self._bad and tag not in {"td", "div", "p"}

    def handle_data(self, data: str) -> None:
        """Record the text of a cell, and a text shown as bad."""
        if self._cell:
            self.rows[-1][-1] = (self.rows[-1][-1] + data).strip()
        if self._bad:
            self.marked[-1] += data


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


def rows(text: str) -> list[list[str]]:
    return parsed(text).rows


def test_modules_left_out_of_a_service_are_listed_with_its_bottle() -> None:
    """They are not listed with a bottle of another target."""
    left = OmittedModule("parts", "python-parts", "1.0", "parts")
    line = "runner: the module parts of python-parts 1.0 is left out; parts&#39;s is shipped."
    assert line in page(replace(RELEASE, omitted={"darwin-amd64/runner": (left,)}))
    assert line not in page(replace(RELEASE, omitted={"linux-amd64/runner": (left,)}))


def test_treemap_areas_are_proportional_to_sizes_and_every_file_belongs_to_a_part() -> None:
    sizes = {
        "libexec/components/temporal": 600,
        "libexec/components/agent-runner.lib/grpc/x.so": 150,
        "libexec/components/agent-runner": 50,
        "libexec/launcher/lib/libpython.so": 100,
        "libexec/payload.json": 100,
    }
    groups = draw_treemap(sizes.items(), 10, 5)
    assert [(group.name, group.size, [tile.label for tile in group.tiles]) for group in groups] == [
        ("temporal", 600, ["temporal"]),
        ("agent-runner", 200, ["grpc/", "agent-runner"]),
        ("keg", 100, ["libexec/"]),
        ("launcher", 100, ["libpython.so"]),
    ]
    for group in groups:
        assert math.isclose(sum(tile.width * tile.height for tile in group.tiles), 50 * group.size / 1000)


@given(SIZES)
def test_a_treemap_has_all_bytes_and_stays_within_its_bounds(files: list[tuple[str, int]]) -> None:
    groups = draw_treemap(files, WIDTH, HEIGHT)
    assert sum(tile.size for group in groups for tile in group.tiles) == sum(size for _, size in files)
    for tile in (tile for group in groups for tile in group.tiles):
        assert -0.01 <= tile.x <= tile.x + tile.width <= WIDTH + 0.01
        assert -0.01 <= tile.y <= tile.y + tile.height <= HEIGHT + 0.01


def test_small_folders_share_one_tile() -> None:
    files = [("libexec/components/temporal", 10_000), *((f"share-{number}/x", 1) for number in range(50))]
    assert [tile.label for group in draw_treemap(files, 10, 10) for tile in group.tiles] == ["temporal", "the rest"]


def test_waits_between_services_are_read_from_the_launchers_timings() -> None:
    assert find_spans(PROOF) == (
        Span("server", 0.01, 0.1),
        Span("temporal", 0.01, 0.3),
        Span("runner", 0.31, 0.9, "temporal"),
    )


@pytest.mark.parametrize("detail", ["", '{"timeline"', '{"timeline": 3}', '{"timeline": {"a": {"spawned": 1}}}', "[]"])
def test_without_timings_there_is_no_waterfall(detail: str) -> None:
    report = replace(PROOF, checks=(Check("every service runs", True, 1.0, detail),))
    assert find_spans(report) == ()
    assert "First start" not in page(replace(RELEASE, verifications=(report,)))


def test_a_good_release_is_reported_as_ready() -> None:
    text = page()
    assert "Ready to publish for darwin-amd64" in text
    assert "1 of 1 checks passed" in text
    assert ["runner", "0.31 s", "0.90 s", "temporal", ""] in rows(text)
    assert "runs with glibc 2.31 and newer" in text


@pytest.mark.parametrize(
    ("release", "problem"),
    [
        (replace(RELEASE, audits=()), "was not audited"),
        (replace(RELEASE, verifications=(replace(PROOF, emulated=True),)), "verified by emulation"),
        (replace(RELEASE, artefacts=()), "there is no bottle"),
    ],
    ids=["unaudited", "emulated", "empty"],
)
def test_problems_are_listed_at_the_top(release: Release, problem: str) -> None:
    """These are found by the rules for publishing, which have their own tests."""
    text = page(release)
    assert "Ready to publish" not in text
    assert problem in text[: text.index("<h2>Platforms</h2>")]


def test_a_failed_check_is_shown_with_its_detail() -> None:
    failed = replace(PROOF, checks=(Check("it stops", False, 1.0, "process 12 is still there"),))
    assert "process 12 is still there" in page(replace(RELEASE, verifications=(failed,)))


def test_warnings_are_visible_and_information_is_folded_away() -> None:
    findings = (WARNING, Finding("information", "i", "p", "known", "r", "re"))
    text = page(replace(RELEASE, audits=(replace(AUDIT, findings=findings),)))
    assert text.index("warning") < text.index("<details><summary>1 finding for") < text.index("known</td>")


def test_the_single_file_is_shown_with_its_verification() -> None:
    single = replace(BOTTLE, kind="program", name="one-1.1.0-linux-amd64", sha256="c" * 64)
    proof = replace(PROOF, guest="debian bullseye", bottle_sha256=single.sha256)
    both = replace(RELEASE, artefacts=(BOTTLE, single))
    assert "NOT verified: no machine ran this file (audited, loader simulated, not run)." in page(both)
    assert "Do not publish yet: 1 problem<" in page(both)
    assert "debian bullseye: 1 of 1 checks" in page(replace(both, verifications=(PROOF, proof)))


def test_growth_is_relative_to_the_previous_release() -> None:
    earlier = replace(RELEASE, artefacts=(replace(BOTTLE, name="one-1.0.0.sonoma.bottle.tar.gz", size=2_400_000),))
    text = page(previous=earlier)
    assert [BOTTLE.name, "bottle", "3.0 MB", "+0.6 MB (+25.0 %)", BOTTLE.sha256] in rows(text)
    assert "No earlier release" in page()


def test_changed_files_are_listed_with_their_bottle_most_changed_first() -> None:
    """A file that was not among the largest before is left out, because its previous size is not known."""
    now = replace(AUDIT, largest=(("server", 500_000), ("temporal", 400_000), ("same", 9), ("other", 1)))
    before = replace(AUDIT, unpacked=8_000_000, largest=(("server", 400_000), ("temporal", 600_000), ("same", 9)))
    earlier = replace(RELEASE, product=replace(PRODUCT, version="1.0.0"), audits=(before,))
    found = rows(page(replace(RELEASE, audits=(now,)), earlier))
    place = found.index(["all files, unpacked", "9.0 MB", "+1.0 MB (+12.5 %)"])
    assert found[place + 1] == ["temporal", "0.4 MB", "-0.2 MB (-33.3 %)"]
    assert found[place + 2] == ["server", "0.5 MB", "+0.1 MB (+25.0 %)"]
    assert not any(row[0] in {"same", "other"} for row in found if row)


def test_every_platform_is_listed_and_unverified_ones_are_marked() -> None:
    text = page()
    assert ["darwin-amd64", "bottle: verified in a virtual machine", "no errors", "sonoma, 3.0 MB"] in rows(text)
    for target in ("darwin-arm64", "linux-arm64", "linux-amd64"):
        assert [target, "NOT verified", "NOT audited", "not in this release"] in rows(text)
    assert parsed(text).marked.count("NOT verified") == 3


@pytest.mark.parametrize("reports", [(), (replace(PROOF, emulated=True),)], ids=["not run", "emulated"])
def test_a_bottle_that_ran_on_no_native_machine_is_marked(reports: tuple[VerificationReport, ...]) -> None:
    marked = parsed(page(replace(RELEASE, verifications=reports))).marked
    assert any(text.startswith("bottle: NOT verified:") for text in marked)


def test_packages_without_a_licence_are_listed() -> None:
    packages = [{"name": "a", "versionInfo": "1", "licenseDeclared": "MIT"}, {"name": "b"}]
    packages += [{"name": "c", "versionInfo": "2", "licenseDeclared": "NOASSERTION"}]
    licences = read_licences(json.dumps({"packages": packages}))
    assert licences == Licences((("MIT", 1),), ("b", "c 2"))
    text = render_page(RELEASE, HELD, {BOTTLE.target: licences}, None)
    assert "2 packages state no licence: b, c 2." in text
    assert "Every package states its licence" in page()
    assert "There is no software bill of materials" in render_page(RELEASE, HELD, {}, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"packages": [1]}'])
def test_a_damaged_bill_of_materials_is_an_error(text: str) -> None:
    with pytest.raises(RecordError, match="software bill of materials"):
        read_licences(text)


def test_every_table_has_a_header_and_headings_skip_no_level() -> None:
    tags = parsed(page(replace(RELEASE, audits=(replace(AUDIT, findings=(WARNING,)),)), RELEASE))
    assert tags.tables == tags.heads > 5
    assert all(after - before <= 1 for before, after in pairwise(tags.levels))


def test_tables_that_repeat_for_each_platform_are_no_landmarks() -> None:
    """A screen reader lists the landmarks of a page, and their names should be unique (axe rule `landmark-unique`)."""
    assert parsed(page()).landmarks == ["main"]


def test_the_page_is_one_file_without_external_resources() -> None:
    tags = parsed(page())
    assert tags.addresses == []
    assert tags.names.isdisjoint({"script", "link", "iframe", "img", "object"})
    assert not re.search(r"url\(|@import", page())


@settings(deadline=None, max_examples=25)
@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    """The output of a guest is not trusted."""
    hostile = replace(PROOF, guest=f"<script>{text}", checks=(Check(f"<b>{text}", False, 1.0, f"</pre>{text}"),))
    tags = parsed(page(replace(RELEASE, verifications=(hostile,))))
    assert tags.names.isdisjoint({"script", "b"})


def test_the_page_of_a_folder_shows_the_contents_of_its_bottles(tmp_path: Path) -> None:
    write_release(tmp_path, "2.0.0")
    expected = {*tmp_path.iterdir(), tmp_path / PAGE}
    assert write_report(tmp_path) == tmp_path / PAGE
    assert "keg: bin/, 0.0 kB" in (tmp_path / PAGE).read_text(encoding="utf-8")
    assert set(tmp_path.iterdir()) == expected


def test_no_page_is_written_for_a_bottle_that_is_not_an_archive(tmp_path: Path) -> None:
    content = b"not an archive"
    bottle = replace(BOTTLE, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    (tmp_path / BOTTLE.name).write_bytes(content)
    (tmp_path / NAME).write_text(render_record(replace(RELEASE, artefacts=(bottle,))), encoding="utf-8")
    with pytest.raises(ArchiveError, match="damaged"):
        write_report(tmp_path)
    assert not (tmp_path / PAGE).exists()


def test_the_command_compares_with_a_given_release(tmp_path: Path) -> None:
    write_release(tmp_path / "dist", "2.0.0")
    write_release(tmp_path / "earlier", "1.0.0")
    words = [str(tmp_path / "dist"), "--previous", str(tmp_path / "earlier" / NAME)]
    assert CliRunner().invoke(report_command, words).exit_code == 0
    assert "Growth since 1.0.0" in (tmp_path / "dist" / PAGE).read_text(encoding="utf-8")
