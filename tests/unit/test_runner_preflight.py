"""What a hosted runner lacks is reported before the work starts; tested with facts about the hosted images."""

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.ci.workflow_file import parse_workflow
from stigmer_packaging.cli import main as cli
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline import system
from support.manifest_texts import PATH
from support.native_code import place
from support.runners import GO, LACKS, write_etc

ROOT = Path(__file__).parents[2]


def lacks_of(folder: Path, *, prepared: bool, unshare: str = "exit 0", **env: str) -> list[MissingToolError]:
    programs = folder / "bin"
    wanted = {one.name for one in system.LINUX} | {"prove", "perl", "qemu-system-x86_64", "unshare"}
    for name in wanted - (set() if prepared else set(LACKS)):
        if " " not in name:
            place(programs / name, f"#!/bin/sh\n{unshare if name == 'unshare' else 'exit 0'}\n".encode())
    machine = system.Machine("linux", str(programs), is_root=False)
    return list(system.find_problems(machine, {"CI": "true", **env}, write_etc(folder / "etc"), sources=True))


def test_a_prepared_runner_with_the_variable_lacks_nothing(tmp_path: Path) -> None:
    assert lacks_of(tmp_path, prepared=True, DEBIAN_MIRROR="http://mirror.invalid") == []


def test_everything_that_the_image_lacks_is_reported_at_once(tmp_path: Path) -> None:
    """Tools, namespaces that AppArmor forbids, and the mirror, which only the repository's settings can provide."""
    denied = "echo unshare: write failed /proc/self/uid_map: Operation not permitted >&2; exit 1"
    text = system.render_problems(lacks_of(tmp_path, prepared=False, unshare=denied))
    for expected in (*LACKS.values(), "apparmor_restrict_unprivileged_userns", "variable DEBIAN_MIRROR"):
        assert expected in text


def test_uidmap_for_mmdebstrap_is_required_only_without_root(tmp_path: Path) -> None:
    bare = system.Machine("linux", str(tmp_path), is_root=False)
    packages = {one.package for one in system.find_missing(["verify"], bare)}
    assert "uidmap" in packages
    assert "uidmap" not in {one.package for one in system.find_missing(["verify"], replace(bare, is_root=True))}


def test_a_missing_codesign_on_a_mac_is_reported(tmp_path: Path) -> None:
    mac = system.Machine("darwin", str(tmp_path), is_root=False)
    assert [str(lack).split()[0] for lack in system.find_problems(mac, {}, tmp_path, sources=False)] == ["codesign"]


def test_no_package_is_listed_that_an_image_cannot_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ubuntu has no package of uv's Python: with `libpython3.13` the installation of all others would fail."""
    monkeypatch.setattr(system, "LINUX", tuple(replace(one, is_met=lambda _: False) for one in system.LINUX))
    assert cli.run(["missing"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1, "the line is passed to apt-get"
    assert "libpython" not in printed


def test_the_pinned_go_is_used_instead_of_that_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pinned Go is in the cache already; the module requires a newer one than the image has."""
    place(tmp_path / "go", f"#!/bin/sh\necho go version go{GO} linux/amd64\n".encode())
    pinned = load_manifest(PATH).go.wheel.sha256
    host = system.read_platform(platform.system(), platform.machine())
    kept = place(tmp_path / "cache/stigmer-packaging/go" / pinned[str(host)] / "go/bin/go", b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cli.run(["go"]) == 0
    assert capsys.readouterr().out == f"{kept}\n"


def test_a_runner_that_lacks_something_fails_the_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(system.LINUX[0], name="a thing", is_met=lambda _: False)
    monkeypatch.setattr(system, "LINUX", (absent,))
    assert cli.run(["preflight"]) == MissingToolError.exit_code


def test_jobs_that_build_from_debian_sources_get_the_mirror_variables_and_check_them_first() -> None:
    release = parse_workflow((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    jobs = [job for job in release.jobs if job.name == "build"]
    steps = [step for job in jobs for step in job.steps]
    names = [step.run for step in steps if "DEBIAN_MIRROR" in step.env and "DEBIAN_FALLBACK" in step.env]
    assert names == ["scripts/prepare-runner --sources", "scripts/release --verbose"]
