"""Assembling the keg: its files, what brew and the launcher read from it, and which parts are refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_launcher.install.payload import parse_payload
from stigmer_packaging.bottle.assemble import KegParts, assemble_keg
from stigmer_packaging.bottle.keg_tree import COMPLETIONS
from stigmer_packaging.formula.receipt import render_receipt, tap_name
from stigmer_packaging.lib.errors import KegError
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest.model import TargetSpec
from stigmer_packaging.records.model import Keg
from stigmer_packaging.records.workspace import Workspace, scan_files
from support.keg_standin import (
    EPOCH,
    TARGET,
    standin_manifest,
    standin_parts,
    standin_service,
)

LAUNCHER = Path(__file__).parents[2] / "launcher"


@pytest.fixture
def parts(workspace: Workspace, tmp_path: Path) -> KegParts:
    return standin_parts(workspace, tmp_path / "documents")


def assemble(workspace: Workspace, parts: KegParts) -> Keg:
    return assemble_keg(standin_manifest(), TARGET, parts, source_date_epoch=EPOCH, workspace=workspace)


@pytest.fixture
def root(workspace: Workspace, parts: KegParts) -> Path:
    return workspace.path(assemble(workspace, parts).root)


def test_the_keg_holds_the_launcher_the_components_and_the_files_that_brew_reads(
    workspace: Workspace, parts: KegParts
) -> None:
    keg = assemble(workspace, parts)
    assert [(file.path, oct(file.mode)) for file in keg.files] == [
        (".brew/stigmer.rb", "0o644"),
        ("INSTALL_RECEIPT.json", "0o644"),
        ("LICENSE", "0o644"),
        ("README.md", "0o644"),
        ("etc/bash_completion.d/stigmer", "0o644"),
        ("homebrew.stigmer.service", "0o644"),
        ("libexec/SHA256SUMS", "0o644"),
        ("libexec/components/agent-runner", "0o755"),
        ("libexec/components/agent-runner.lib/libpython3.13.so", "0o644"),
        ("libexec/components/stigmer-server", "0o755"),
        ("libexec/components/temporal", "0o755"),
        ("libexec/components/workflow-runner", "0o755"),
        ("libexec/help.txt", "0o644"),
        ("libexec/launcher/lib/library.so", "0o644"),
        ("libexec/launcher/stigmer", "0o755"),
        ("libexec/payload.json", "0o644"),
        ("share/doc/stigmer/THIRD_PARTY_NOTICES", "0o644"),
        ("share/doc/stigmer/sbom.spdx.json", "0o644"),
        ("share/fish/vendor_completions.d/stigmer.fish", "0o644"),
        ("share/man/man1/stigmer.1", "0o644"),
        ("share/zsh/site-functions/_stigmer", "0o644"),
    ]
    assert keg.links == (("bin/stigmer", "../libexec/launcher/stigmer"),)
    assert workspace.read_record("assemble/linux-amd64", Keg) == keg
    assert (workspace.path(keg.root) / "bin/stigmer").resolve().name == "stigmer"


def test_the_index_tells_the_launcher_what_the_manifest_says(root: Path) -> None:
    manifest = standin_manifest()
    payload = parse_payload((root / "libexec/payload.json").read_text(encoding="utf-8"))
    assert payload[:4] == ("stigmer", "2.0.0", "linux-amd64", manifest.inherit)
    assert [part.name for part in payload.components] == [part.name for part in manifest.components]
    temporal = payload.components[0]
    assert dict(temporal.ports) == {"temporal": 7233, "temporal-ui": 8233}
    assert dict(temporal.environment) == manifest.components[0].run.environment
    assert payload.smoke.method == manifest.smoke.method
    for file in (file for part in payload.components for file in part.files):
        path = root / "libexec/components" / file.path
        found = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode & 0o7777
        assert found == (file.size, file.sha256, file.mode)


def test_the_index_lists_transitive_needs_of_a_component_once_each(workspace: Workspace, parts: KegParts) -> None:
    """Without them, the launcher kept restarting the last of four services while a command had stopped the first."""
    base = standin_manifest()
    names = [part.name for part in base.components]
    needs: tuple[tuple[str, ...], ...] = ((), (names[0],), (names[0],), (names[1], names[2]))
    chained = [
        replace(part, run=replace(part.run, needs=each)) for part, each in zip(base.components, needs, strict=True)
    ]
    keg = assemble_keg(
        replace(base, components=tuple(chained)), TARGET, parts, source_date_epoch=EPOCH, workspace=workspace
    )
    index = (workspace.path(keg.root) / "libexec/payload.json").read_text(encoding="utf-8")
    assert [part.needs for part in parse_payload(index).components] == [
        *needs[:3],
        (names[1], names[2], names[0]),
    ]


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_completions_are_those_that_the_launcher_prints_for_this_keg(root: Path, shell: str) -> None:
    environment = {"PYTHONPATH": str(LAUNCHER), "STIGMER_PAYLOAD": str(root / "libexec"), "HOME": str(root)}
    command = [sys.executable, "-S", "-B", "-m", "stigmer_launcher", "completion", shell]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert "workflow-runner" in printed
    assert (root / COMPLETIONS[shell].format(name="stigmer")).read_text(encoding="utf-8") == printed


def test_help_and_completions_of_another_product_show_its_description_and_ports(
    workspace: Workspace, parts: KegParts
) -> None:
    """They once came from this repository's manifest, although that product's launcher prints its own."""
    base = standin_manifest(name="two-tiny", description="Say hello, and when")
    server = replace(base.components[1], run=replace(base.components[1].run, ports={"front": 7234}))
    manifest = replace(base, components=(base.components[0], server, *base.components[2:]))
    keg = workspace.path(assemble_keg(manifest, TARGET, parts, source_date_epoch=EPOCH, workspace=workspace).root)
    assert (keg / "libexec/help.txt").read_text(encoding="utf-8").startswith("two-tiny - say hello, and when\n")
    completions = (keg / COMPLETIONS["bash"].format(name="two-tiny")).read_text(encoding="utf-8")
    assert "ports.front" in completions
    assert "ports.server" not in completions


def test_the_completions_of_two_products_coexist_in_one_shell(
    workspace: Workspace, parts: KegParts, tmp_path: Path
) -> None:
    """Both once defined a function of the same name, so the one sourced last completed both commands."""
    for name in ("stigmer", "two-tiny"):
        manifest = standin_manifest(name=name)
        keg = assemble_keg(manifest, TARGET, parts, source_date_epoch=EPOCH, workspace=workspace)
        shutil.copy(workspace.path(keg.root) / COMPLETIONS["bash"].format(name=name), tmp_path / name)
    script = "for name in stigmer two-tiny; do . ./$name; done; complete -p stigmer two-tiny"
    command = ["bash", "--norc", "-c", script]
    output = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert output.splitlines() == [f"complete -o default -F _{name} {name}" for name in ("stigmer", "two-tiny")]


def test_the_checksums_cover_every_file_except_those_that_brew_rewrites(root: Path) -> None:
    rewritten = {"libexec/SHA256SUMS", "INSTALL_RECEIPT.json", ".brew/stigmer.rb", "homebrew.stigmer.service"}
    lines = (root / "libexec/SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{file.sha256}  {file.path}" for file in scan_files(root) if file.path not in rewritten]


def test_the_receipt_has_exactly_the_fields_that_brew_writes(root: Path) -> None:
    receipt = json.loads((root / "INSTALL_RECEIPT.json").read_text(encoding="utf-8"))
    assert receipt == {
        "homebrew_version": "6.0.18",
        "used_options": [],
        "unused_options": [],
        "built_as_bottle": True,
        "poured_from_bottle": False,
        "loaded_from_api": False,
        "installed_on_request": True,
        "changed_files": ["homebrew.stigmer.service"],
        "time": EPOCH,
        "source_modified_time": EPOCH,
        "compiler": "clang",
        "aliases": [],
        "runtime_dependencies": [],
        "arch": "x86_64",
        "source": {
            "spec": "stable",
            "versions": {"stable": "2.0.0", "head": None, "version_scheme": 0},
            "path": "@@HOMEBREW_REPOSITORY@@/Library/Taps/stigmer/homebrew-tap/Formula/stigmer.rb",
            "tap_git_head": None,
            "tap": "stigmer/tap",
        },
        "built_on": {
            "os": "Linux",
            "os_version": "glibc 2.31",
            "cpu_family": "x86_64",
            "glibc_version": "2.31",
            "oldest_cpu_family": "core2",
        },
    }


def test_the_receipt_of_a_macos_bottle_has_no_glibc_version() -> None:
    product = replace(standin_manifest().product, tap="acme/homebrew-tools")
    text = render_receipt(product, parse_target("darwin-arm64"), TargetSpec("", "", "14.0", 0), source_date_epoch=EPOCH)
    receipt = json.loads(text)
    assert receipt["built_on"] == {"os": "Macintosh", "os_version": "macOS 14", "cpu_family": "arm64"}
    assert (receipt["arch"], receipt["source"]["tap"]) == ("arm64", tap_name(product)) == ("arm64", "acme/tools")


def test_the_keg_contains_the_formula_without_a_bottle_block(root: Path, parts: KegParts) -> None:
    text = (root / ".brew/stigmer.rb").read_text(encoding="utf-8")
    assert "class Stigmer < Formula" in text
    assert f'sha256 "{parts.source.sha256}"' in text
    assert "bottle do" not in text


@pytest.mark.parametrize("mode", [0o777, 0o4755, 0o700])
def test_modes_are_normalised_in_the_keg_and_kept_in_the_artefact(
    workspace: Workspace, parts: KegParts, mode: int
) -> None:
    artefact = workspace.path("artefacts/temporal/temporal")
    artefact.chmod(mode)
    keg = assemble(workspace, parts)
    assert [oct(file.mode) for file in keg.files if file.path == "libexec/components/temporal"] == ["0o755"]
    assert oct(artefact.stat().st_mode & 0o7777) == oct(mode)


def test_two_components_with_the_same_path_are_refused(workspace: Workspace, parts: KegParts) -> None:
    service = standin_service(workspace, "temporal", {"temporal": "#!/bin/sh\n", "agent-runner": "mine too\n"})
    with pytest.raises(KegError, match=r"components/agent-runner comes from temporal and from agent-runner"):
        assemble(workspace, replace(parts, services=(service, *parts.services[1:])))


def test_a_file_below_a_file_of_another_component_is_refused(workspace: Workspace, parts: KegParts) -> None:
    service = standin_service(workspace, "agent-runner", {"agent-runner": "#!/bin/sh\n", "temporal/below": "oops\n"})
    with pytest.raises(KegError, match="temporal/below of agent-runner"):
        assemble(workspace, replace(parts, services=(*parts.services[:-1], service)))


def test_a_file_in_place_of_a_folder_of_another_component_is_refused(workspace: Workspace, parts: KegParts) -> None:
    service = standin_service(workspace, "temporal", {"temporal": "#!/bin/sh\n", "agent-runner/below": "oops\n"})
    with pytest.raises(KegError, match="agent-runner of agent-runner is a folder of another component"):
        assemble(workspace, replace(parts, services=(service, *parts.services[1:])))


def test_the_modes_in_the_keg_do_not_depend_on_the_umask(workspace: Workspace, parts: KegParts) -> None:
    before = os.umask(0o077)
    try:
        files = assemble(workspace, parts).files
    finally:
        os.umask(before)
    assert {file.mode for file in files} == {0o644, 0o755}


def test_a_symbolic_link_in_a_component_is_refused_because_the_index_cannot_hold_it(
    workspace: Workspace, parts: KegParts
) -> None:
    workspace.path("artefacts/temporal/alias").symlink_to("temporal")
    with pytest.raises(KegError, match="alias is a symbolic link"):
        assemble(workspace, parts)


def test_a_component_whose_entry_is_not_executable_is_refused(workspace: Workspace, parts: KegParts) -> None:
    workspace.path("artefacts/temporal/temporal").chmod(0o644)
    with pytest.raises(KegError, match="temporal is not executable"):
        assemble(workspace, parts)
    missing = replace(parts.services[0], entry="elsewhere")
    with pytest.raises(KegError, match="elsewhere is not executable"):
        assemble(workspace, replace(parts, services=(missing, *parts.services[1:])))


def test_a_relative_link_in_the_launcher_is_kept(workspace: Workspace, parts: KegParts) -> None:
    workspace.path("artefacts/launcher/lib/library.so.1").symlink_to("library.so")
    keg = assemble(workspace, parts)
    assert ("libexec/launcher/lib/library.so.1", "library.so") in keg.links


@pytest.mark.parametrize("link_target", ["/usr/lib/library.so", "../../../../library.so"])
def test_a_link_to_a_target_outside_the_keg_is_refused(workspace: Workspace, parts: KegParts, link_target: str) -> None:
    workspace.path("artefacts/launcher/lib/library.so.1").symlink_to(link_target)
    with pytest.raises(KegError, match="leads out of the keg"):
        assemble(workspace, parts)


def test_a_failed_assembly_leaves_the_previous_keg_unchanged(workspace: Workspace, parts: KegParts) -> None:
    first = assemble(workspace, parts)
    workspace.path("artefacts/agent-runner/agent-runner").unlink()
    with pytest.raises(KegError, match="agent-runner is not a plain file"):
        assemble(workspace, replace(parts, documents={}))
    assert scan_files(workspace.path(first.root)) == first.files
    assert list(workspace.path("staging").iterdir()) == []
