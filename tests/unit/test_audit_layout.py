"""Audit of names, links, modes, index and checksums: variants of each fault, and unusual layouts that are valid."""

import json
import tarfile

import pytest

from stigmer_packaging.audit.check import Policy
from support.audit_bottles import (
    CHECKSUMS,
    COMPONENTS,
    INDEX,
    LAUNCHER,
    LIBRARIES,
    BottleBuilder,
    MemberSpec,
    audit,
    findings_of,
    good_bottle,
)


@pytest.mark.parametrize("name", ["other/2.0.0/x", "stigmer/2.0.1/x", "./stigmer/2.0.0/x", "stigmer/2.0.0/../x", "x"])
def test_a_member_outside_the_keg_is_found_in_every_spelling(name: str) -> None:
    builder = good_bottle()
    builder.last.append((name, MemberSpec()))
    assert findings_of("outside-keg", builder) == [(name, "not below stigmer/2.0.0/")]


def test_a_file_in_the_place_of_the_kegs_folder_is_not_accepted_as_the_first_member() -> None:
    builder = good_bottle()
    builder.first.append(("stigmer/2.0.0", MemberSpec()))
    assert [path for path, _ in findings_of("first-member", builder)] == [""]


@pytest.mark.parametrize("check", ["kinds", "hard-link"])
@pytest.mark.parametrize(("name", "path"), [("stigmer/2.0.0/share/x", "share/x"), ("other/2.0.0/x", "other/2.0.0/x")])
def test_a_special_member_is_named_wherever_it_is(check: str, name: str, path: str) -> None:
    builder = good_bottle()
    kind = tarfile.FIFOTYPE if check == "kinds" else tarfile.LNKTYPE
    builder.last.append((name, MemberSpec(kind=kind, link="LICENSE")))
    assert [where for where, _ in findings_of(check, builder)] == [path]


def test_an_empty_archive_has_a_finding_for_each_required_file() -> None:
    builder = good_bottle()
    builder.seal()
    builder.keg.clear()
    found = {finding.check for finding in audit(builder).findings}
    assert {"receipt", "keg-formula", "index", "program", "licence"} <= found


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
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_an_unexpected_mode_gives_exactly_one_finding(mode: int, check: str, kind: bytes) -> None:
    builder = good_bottle()
    builder.keg["share/stigmer"] = MemberSpec(mode=mode, kind=kind)
    assert [finding.check for finding in audit(builder).findings] == [check]


@pytest.mark.parametrize(("uid", "user", "owner"), [(1000, "", "1000:0"), (0, "alice", "0:0 (alice)")])
def test_an_owner_other_than_root_is_named(uid: int, user: str, owner: str) -> None:
    """A name alone is enough: some programs prefer it to the number."""
    builder = good_bottle()
    builder.keg["LICENSE"] = MemberSpec(b"text", uid=uid, user=user)
    assert findings_of("owners", builder) == [
        ("LICENSE", f"members not owned by root: 1; the first is owned by {owner}")
    ]


@pytest.mark.parametrize(
    ("goal", "checks"),
    [
        ("/usr/share/data", ["absolute-link"]),
        ("../../other/data", ["escaping-link"]),
        ("..", []),
        ("absent", ["dangling-link"]),
    ],
)
def test_a_wrong_link_is_one_finding_and_a_link_to_the_keg_itself_is_none(goal: str, checks: list[str]) -> None:
    builder = good_bottle()
    builder.link("share/data", goal)
    assert [finding.check for finding in audit(builder).findings] == checks


def test_links_are_resolved_through_linked_folders() -> None:
    builder = good_bottle()
    builder.put("libexec/Python.framework/Versions/3.13/Python", "text\n")
    builder.link("libexec/Python.framework/Versions/Current", "3.13")
    builder.link("libexec/Python.framework/Python", "Versions/Current/Python")
    assert audit(builder).findings == ()


def test_links_in_a_cycle_are_dangling() -> None:
    builder = good_bottle()
    builder.link("share/one", "two")
    builder.link("share/two", "one")
    assert [path for path, _ in findings_of("dangling-link", builder)] == ["share/one", "share/two"]


def test_a_program_that_is_missing_or_links_to_a_folder_is_found() -> None:
    builder = good_bottle()
    builder.link("bin/stigmer", "../libexec/launcher")
    assert len(findings_of("program", builder)) == 1
    del builder.keg["bin/stigmer"]
    assert len(findings_of("program", builder)) == 1


@pytest.mark.parametrize(
    "index",
    [{"format": 1}, {"name": "other"}, {"version": "2.0.1"}, {"target": "linux-arm64"}],
    ids=lambda index: next(iter(index)),
)
def test_an_index_of_another_format_product_version_or_target_is_found(index: dict[str, object]) -> None:
    builder = good_bottle()
    builder.edit(INDEX, **index)
    assert len(findings_of("index", builder)) == 1


@pytest.mark.parametrize("components", [None, 3, [], [3], [{"files": None}], [{"files": [["a"]]}]])
def test_with_a_malformed_index_every_component_file_is_unlisted(components: object) -> None:
    builder = good_bottle()
    builder.edit(INDEX, components=components)
    assert findings_of("indexed-files", builder) == [
        (f"{COMPONENTS}/{path}", "not listed in the index")
        for path in ("agent-runner", "agent-runner.lib/data.txt", "stigmer-server")
    ]


def change(builder: BottleBuilder, path: str) -> None:
    builder.keg[path].content = builder.keg[path].content[:-1] + b"?"


def test_extra_missing_and_changed_files_are_all_found() -> None:
    builder = good_bottle()
    builder.put(f"{COMPONENTS}/agent-runner.lib/tool", "#!/bin/sh\n", 0o755)
    builder.seal()
    change(builder, f"{COMPONENTS}/agent-runner.lib/data.txt")
    builder.keg[f"{COMPONENTS}/agent-runner.lib/tool"].mode = 0o644
    del builder.keg[f"{COMPONENTS}/stigmer-server"]
    builder.link(f"{COMPONENTS}/link", "agent-runner")
    assert {path.removeprefix(f"{COMPONENTS}/"): seen for path, seen in findings_of("indexed-files", builder)} == {
        "link": "not listed in the index",
        "stigmer-server": "listed in the index, but missing",
        "agent-runner.lib/data.txt": "its content (5 bytes) does not match the index (5 bytes)",
        "agent-runner.lib/tool": "listed in the index as executable",
    }


def test_an_unlisted_file_of_a_component_is_one_finding() -> None:
    builder = good_bottle()
    builder.seal()
    builder.put(f"{COMPONENTS}/agent-runner.lib/extra", "")
    assert [finding.check for finding in audit(builder).findings] == ["indexed-files"]


def test_a_file_listed_for_two_components_is_found() -> None:
    builder = good_bottle()
    builder.seal()
    components = json.loads(builder.text(INDEX))["components"]
    builder.edit(INDEX, components=[*components, components[0]])
    assert findings_of("indexed-files", builder) == [(f"{COMPONENTS}/stigmer-server", "listed for two components")]


def test_files_outside_the_components_are_compared_with_the_checksums() -> None:
    """The index covers only the components, the checksums cover the whole keg."""
    builder = good_bottle()
    builder.seal()
    change(builder, LAUNCHER)
    del builder.keg["LICENSE"]
    assert {path for path, _ in findings_of("checksums", builder)} == {LAUNCHER, "LICENSE"}
    del builder.keg[CHECKSUMS]
    assert findings_of("checksums", builder) == [(CHECKSUMS, "missing")]


def test_a_bottle_over_its_size_budget_lists_its_parts_and_ten_largest_files() -> None:
    builder = good_bottle()
    for number in range(12):
        builder.put(f"{LIBRARIES}/part{number:02d}", bytes(1_000_000 + number))
    builder.put(f"{COMPONENTS}/agent-runner.lib/model", bytes(3_000_000))
    largest = [f"{LIBRARIES}/part{number:02d} (1.0 MB)" for number in range(11, 2, -1)]
    ((_, seen),) = findings_of("size", builder, Policy(size_budget=1_000))
    assert "the `size_budget` of linux-amd64 in the manifest is 0.0 MB" in seen
    assert "the parts are launcher (12.0 MB), agent-runner (3.0 MB), " in seen
    assert seen.endswith(", ".join([f"the largest files are {COMPONENTS}/agent-runner.lib/model (3.0 MB)", *largest]))
