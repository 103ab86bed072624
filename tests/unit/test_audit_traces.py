"""Paths of the build host are distinguished from those of other builders and from text that only resembles a path."""

import marshal
from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.traces import find_traces, folders_to_find, forbidden_folders
from support.audit_bottles import audit, findings_of, good_bottle

HOST = Policy(
    forbidden=("/root/.cache/packaging", "/root/work/tap", "/home/runner/work/tap/tap"),
    tolerated=("/root/work/tap/pythons/3.11.7",),
)


def traces(text: str, policy: Policy = HOST) -> list[tuple[str, str, int]]:
    found = find_traces([("", text.encode())], folders_to_find(policy))
    return [(trace.origin, trace.sample, trace.count) for trace in found]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("/root/work/tap/build/x.py", "the build host"),
        ("/root/.cache/packaging/x.c", "the build host"),
        ("/root/.ssh/authorized_keys", "the home of a root user"),
        ("prefix=/root/work/tap", "the build host"),
        ("x/root/work/tap/y", "the build host"),
        ("/root/.cargo/registry/src/serde-1.0/lib.rs", "Rust in a manylinux container"),
        ("/root/work/tap/pythons/3.11.7/lib", "a tolerated folder"),
        ("/home/runner/work/tap/tap/build", "the build host"),
        ("/home/runner/work/cryptography/src", "a GitHub-hosted runner"),
        ("/Users/runner/work/x", "a GitHub-hosted runner"),
        ("/github/home/.cargo/registry", "a container job on GitHub"),
        ("/home/user/report.pdf", "a home folder on another machine"),
    ],
)
def test_a_path_belongs_to_the_most_specific_folder_that_contains_it(text: str, origin: str) -> None:
    """A path under /root in a wheel is not a trace of this host, even if its home is /root too."""
    assert [found[0] for found in traces(f"…{text}\0")] == [origin]


@pytest.mark.parametrize(
    "text",
    [
        "/rootless/x",
        "/root",
        "as /root, or",
        "/root/ and",
        "/root/work/tapestry",
        "chroot/x",
        "/usr/root/y",
        "/usr/home/x",
    ],
)
def test_text_that_only_resembles_a_folder_is_not_a_trace(text: str) -> None:
    assert traces(text, Policy(forbidden=("/root/work/tap", "/root/x"))) == []


def test_a_file_has_one_finding_per_origin_with_the_first_path_and_the_count() -> None:
    text = "/root/work/tap/one.py\0/root/work/tap/b/two.py\0/root/.cargo/x\0/root/work/tap"
    assert traces(text) == [
        ("the build host", "/root/work/tap/one.py", 3),
        ("Rust in a manylinux container", "/root/.cargo/x", 1),
    ]


def test_paths_of_the_build_host_are_errors_and_others_are_information() -> None:
    """Every code object contains the path of its source file."""
    builder = good_bottle()
    builder.put("share/module.pyc", marshal.dumps(compile("x = 1", "/root/work/tap/module.py", "exec")))
    builder.put("share/two", "/root/.cargo/registry/x")
    assert [(each.severity, each.check, each.path) for each in audit(builder, HOST).findings] == [
        ("error", "host-path", "share/module.pyc"),
        ("information", "builders-path", "share/two"),
    ]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("#!/usr/bin/env python3", 1),
        ("#! /opt/python3.13/bin/python3.13 -I", 1),
        ("#!/usr/bin/env -S python -u", 1),
        ("#!/bin/sh\n'''exec' /root/venv/bin/python \"$0\" \"$@\"", 1),
        ("#!/bin/sh\n# python", 0),
        ("#!/usr/bin/pythonic", 0),
        ("import sys  #!/usr/bin/python", 0),
    ],
)
def test_only_a_script_run_by_a_python_is_found(line: str, count: int) -> None:
    builder = good_bottle()
    builder.put("bin/tool", f"{line}\n", 0o755)
    assert len(findings_of("python-script", builder)) == count


def test_folders_of_this_machine_are_forbidden_both_unresolved_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    everywhere = [Path(name) for name in ("/", "/tmp", "/var/tmp", "/src", "/usr/local")]  # noqa: S108 - names only
    found = forbidden_folders([tmp_path / "link", *everywhere])
    assert found == tuple(sorted([str(tmp_path / "link"), str(tmp_path / "real")]))


@pytest.mark.parametrize(
    ("home", "forbidden"),
    [
        ("/root", ()),
        ("/builder", ()),
        ("/home/runner", ()),
        ("/Users/runner", ()),
        ("/github/home", ()),
        ("/home/nobody-we-know", ("/home/nobody-we-know",)),
    ],
)
def test_a_home_shared_by_many_builders_is_not_forbidden(home: str, forbidden: tuple[str, ...]) -> None:
    assert forbidden_folders([Path(home)]) == forbidden


def test_in_a_container_only_the_folders_of_the_build_are_traces_of_the_host() -> None:
    """There the home is always /root; only the folders of sources, workspace and cache identify the machine."""
    folders = forbidden_folders([Path("/root"), Path("/root/src/product"), Path("/root/.cache/stigmer-packaging")])
    text = "/root/.ssh/authorized_keys\0/root/src/product/main.go\0/root/.cache/stigmer-packaging/x/module.py"
    assert traces(text, Policy(forbidden=folders)) == [
        ("the home of a root user", "/root/.ssh/authorized_keys", 1),
        ("the build host", "/root/src/product/main.go", 2),
    ]


def test_a_python_is_tolerated_only_inside_a_forbidden_folder() -> None:
    """A Python in /usr does not identify a machine."""
    assert traces("/usr/lib/python3.13/os.py", Policy(forbidden=("/root/x",), tolerated=("/usr",))) == []
