"""Names, links, modes, index and checksums: the faults within the faults, and what is right although it looks odd."""

import json
import tarfile
from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from support.audit_bottles import (
    COMPONENTS,
    INDEX,
    LAUNCHER,
    LIBRARIES,
    Craft,
    Piece,
    audit,
    found_by,
    good_bottle,
    seen_by,
)


@pytest.mark.parametrize("name", ["other/2.0.0/x", "stigmer/2.0.1/x", "./stigmer/2.0.0/x", "stigmer/2.0.0/../x", "x"])
def test_a_member_outside_the_keg_is_found_however_it_is_spelled(name: str, tmp_path: Path) -> None:
    craft = good_bottle()
    craft.last.append((name, Piece()))
    assert seen_by("outside-keg", craft, tmp_path) == [(name, "not below stigmer/2.0.0/")]


def test_an_archive_without_members_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.seal()
    craft.keg.clear()
    assert {"receipt", "keg-formula", "index", "program", "licence"} <= {
        finding.check for finding in audit(craft, tmp_path).findings
    }


@pytest.mark.parametrize("mode", [0o755, 0o644])
def test_the_two_modes_of_ours_are_accepted(mode: int, tmp_path: Path) -> None:
    craft = good_bottle()
    craft.keg["LICENSE"].mode = mode
    assert audit(craft, tmp_path).findings == ()


@pytest.mark.parametrize(
    ("mode", "check"),
    [
        (0o700, "modes"),
        (0o555, "modes"),
        (0o640, "modes"),
        (0o4755, "setuid"),
        (0o2755, "setuid"),
        (0o775, "writable"),
        (0o777, "writable"),
    ],
)
def test_other_modes_are_found_once_each(mode: int, check: str, tmp_path: Path) -> None:
    craft = good_bottle()
    craft.keg["LICENSE"].mode = mode
    assert [finding.check for finding in audit(craft, tmp_path).findings] == [check]


def test_a_folder_others_may_write_to_is_found(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.keg["share"] = Piece(mode=0o777, kind=tarfile.DIRTYPE)
    assert seen_by("writable", craft, tmp_path) == [("share", "mode 0777")]


def test_links_are_followed_through_linked_folders(tmp_path: Path) -> None:
    """As macOS's frameworks have them."""
    craft = good_bottle()
    craft.put("libexec/Python.framework/Versions/3.13/Python", "text\n")
    craft.link("libexec/Python.framework/Versions/Current", "3.13")
    craft.link("libexec/Python.framework/Python", "Versions/Current/Python")
    assert audit(craft, tmp_path).findings == ()


def test_links_that_lead_round_in_circles_lead_nowhere(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.link("share/one", "two")
    craft.link("share/two", "one")
    assert [path for path, _ in seen_by("dangling-link", craft, tmp_path)] == ["share/one", "share/two"]


def test_the_program_may_be_missing_or_lead_to_a_folder(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.link("bin/stigmer", "../libexec/launcher")
    assert len(seen_by("program", craft, tmp_path / "one")) == 1
    del craft.keg["bin/stigmer"]
    assert len(seen_by("program", craft, tmp_path / "two")) == 1


def spoilt_index(index: dict[str, object]) -> Craft:
    """Make a bottle whose index says another thing of the same files."""
    craft = good_bottle()
    craft.seal()
    craft.put(INDEX, json.dumps(json.loads(craft.text(INDEX)) | index))
    return craft


@pytest.mark.parametrize(
    "index",
    [{"format": 1}, {"name": "other"}, {"version": "2.0.1"}, {"target": "linux-arm64"}],
    ids=lambda index: next(iter(index)),
)
def test_an_index_of_something_else_is_found(index: dict[str, object], tmp_path: Path) -> None:
    assert len(seen_by("index", spoilt_index(index), tmp_path)) == 1


@pytest.mark.parametrize("components", [None, 3, [], [3], [{"files": None}], [{"files": [["a"]]}]])
def test_an_index_of_another_shape_leaves_the_files_unnamed(components: object, tmp_path: Path) -> None:
    found = seen_by("indexed-files", spoilt_index({"components": components}), tmp_path)
    assert [path.removeprefix(f"{COMPONENTS}/") for path, _ in found] == [
        "agent-runner",
        "agent-runner.lib/data.txt",
        "stigmer-server",
    ]


def change(craft: Craft, path: str) -> None:
    """Change a file, and keep its size."""
    craft.keg[path].content = craft.keg[path].content[:-1] + b"?"


def test_files_that_are_more_less_or_other_than_the_index_says_are_all_found(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.put(f"{COMPONENTS}/agent-runner.lib/tool", "#!/bin/sh\n", 0o755)
    craft.seal()
    change(craft, f"{COMPONENTS}/agent-runner.lib/data.txt")
    craft.keg[f"{COMPONENTS}/agent-runner.lib/tool"].mode = 0o644
    del craft.keg[f"{COMPONENTS}/stigmer-server"]
    craft.link(f"{COMPONENTS}/link", "agent-runner")
    found = {path.removeprefix(f"{COMPONENTS}/"): seen for path, seen in seen_by("indexed-files", craft, tmp_path)}
    assert found == {
        "link": "the index does not name it",
        "stigmer-server": "the index names it, and it is not there",
        "agent-runner.lib/data.txt": "its 5 bytes are not the 5 that the index names",
        "agent-runner.lib/tool": "the index says that it is executable",
    }


def test_a_file_of_two_components_is_found(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.seal()
    index = json.loads(craft.text(INDEX))
    index["components"].append(index["components"][0])
    craft.put(INDEX, json.dumps(index))
    assert ("libexec/components/stigmer-server", "two components own it") in seen_by("indexed-files", craft, tmp_path)


def test_the_launcher_is_held_to_the_checksums(tmp_path: Path) -> None:
    """The index is of the components; the checksums are of all."""
    craft = good_bottle()
    craft.seal()
    change(craft, LAUNCHER)
    del craft.keg["LICENSE"]
    assert {path for path, _ in seen_by("checksums", craft, tmp_path)} == {LAUNCHER, "LICENSE"}


def test_a_bottle_over_its_budget_names_its_ten_largest_files(tmp_path: Path) -> None:
    craft = good_bottle()
    for number in range(12):
        craft.put(f"share/part{number:02d}", bytes(1_000_000 + number))
    report = audit(craft, tmp_path, Policy(size_budget=1000))
    (finding,) = found_by(report, "size")
    assert len(report.largest) == 10
    assert report.largest[0] == ("share/part11", 1_000_011)
    assert all(f"{path} (1.0 MB)" in finding.seen for path, _ in report.largest)


def test_a_bottle_over_its_budget_names_its_parts_by_size_and_the_budgets_place(tmp_path: Path) -> None:
    craft = good_bottle()
    for path, size in ((f"{COMPONENTS}/agent-runner.lib/model", 3_000_000), (f"{LIBRARIES}/extra", 2_000_000)):
        craft.put(path, bytes(size))
    (finding,) = found_by(audit(craft, tmp_path, Policy(size_budget=1_000)), "size")
    assert "the `size_budget` of linux-amd64 in the manifest is 0.0 MB" in finding.seen
    assert "the parts are agent-runner (3.0 MB), launcher (2.0 MB), " in finding.seen
