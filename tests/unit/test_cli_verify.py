"""`scripts/verify`: choice of bottle and machines, and where reports are stored."""

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli import verify
from stigmer_packaging.lib.apt import Mirror
from stigmer_packaging.lib.errors import MissingToolError, RecordError
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.manifest.naming import bottle_name, parse_bottle_name
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.delivery import deliver_verifications
from stigmer_packaging.records.model import Check, VerificationReport
from stigmer_packaging.records.release import Artefact, Release, read_release
from stigmer_packaging.records.text import render_record
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.guest import GuestRun, Machine, Trial
from stigmer_packaging.verify.machines import GUESTS, MachineFactory, find_mirrors
from support.keg_standin import quiet
from support.manifest_texts import PATH

ROOT = Path(__file__).parents[2]
AMD64, ARM64 = parse_target("linux-amd64"), parse_target("linux-arm64")
MANIFEST = load_manifest(PATH)
NAME = "stigmer-2.0.0.x86_64_linux.bottle.tar.gz"
CONTENT = gzip.compress(bytes(1024), mtime=0)  # an empty archive: tar ends with two empty blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


Verify = Callable[..., tuple[int, str]]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    artefact = Artefact("bottle", NAME, len(CONTENT), SHA256, "linux-amd64", "x86_64_linux")
    product = Product(
        "stigmer", "2.0.0", "description", "https://stigmer.ai", "Apache-2.0", "stigmer/stigmer", "stigmer/tap"
    )
    (folder / "release.json").write_text(render_record(Release(product, (artefact,))), encoding="utf-8")
    (folder / "SHA256SUMS").write_text(f"{SHA256}  {NAME}\n{'0' * 64}  stigmer-2.0.0.tar.gz\n", encoding="utf-8")
    (folder / "Formula").mkdir()
    (folder / "Formula" / "stigmer.rb").touch()
    return folder


@pytest.fixture
def run_verify(dist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Return a function that verifies the release with more options and returns the exit code and all output."""

    def run(*options: object) -> tuple[int, str]:
        code = cli.run(["verify", str(dist), "--workspace", str(tmp_path / "build"), *map(str, options)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def levels(dist: Path) -> list[str]:
    return [one.verified for one in read_release(dist).artefacts]


def mac_report(path: Path, machine: str, result: str) -> Path:
    """Write a report of scripts/check-on-mac on the release's bottle."""
    facts = f"# file: {SHA256} {NAME}\n# machine: {machine}\n"
    path.write_text(f"# BEGIN {SHA256}\n{facts}{result} 1 - it runs\n1..1\n# END {SHA256}\n", encoding="ascii")
    return path


def find(path: Path, tmp_path: Path) -> tuple[object, ...]:
    bottle = verify.find_bottle(path, AMD64, MANIFEST, tmp_path / "build")
    return bottle.name, bottle.version, bottle.target, bottle.tag, bottle.path, bottle.sha256


def test_a_bottle_is_found_through_its_release_or_as_a_file(dist: Path, tmp_path: Path) -> None:
    assert find(dist, tmp_path) == ("stigmer", "2.0.0", "linux-amd64", "x86_64_linux", f"../dist/{NAME}", SHA256)
    assert find(dist / NAME, tmp_path) == find(dist, tmp_path)


@pytest.mark.parametrize(
    ("file", "name", "version", "rebuild"),
    [
        ("stigmer-2.1.0-rc.1.x86_64_linux.bottle.tar.gz", "stigmer", "2.1.0-rc.1", 0),
        ("stigmer-2.0.0_1.x86_64_linux.bottle.2.tar.gz", "stigmer", "2.0.0_1", 2),
        ("two-2-tiny-1.0.0.arm64_sonoma.bottle.tar.gz", "two-2-tiny", "1.0.0", 0),
    ],
)
def test_name_and_version_are_parsed_from_the_file_name_of_a_bottle(
    file: str, name: str, version: str, rebuild: int
) -> None:
    found = parse_bottle_name(file)
    assert found is not None
    assert (found.name, found.version, found.rebuild) == (name, version, rebuild)
    assert bottle_name(found.name, found.version, found.tag, found.rebuild) == file


def test_a_path_that_is_not_a_bottle_or_a_release_is_refused(dist: Path, tmp_path: Path) -> None:
    (dist / "stigmer.tar.gz").touch()
    with pytest.raises(RecordError, match="not the name of one of our bottles"):
        find(dist / "stigmer.tar.gz", tmp_path)
    with pytest.raises(RecordError, match=r"no release\.json"):
        find(tmp_path, tmp_path)
    (dist / NAME).write_bytes(b"another")
    with pytest.raises(RecordError, match="are missing or differ from"):
        find(dist, tmp_path)


def fake_machine(level: str, name: str, *, good: bool = True, emulated: bool = False) -> Machine:
    def run(trial: Trial, _folder: Path) -> GuestRun:
        nonce = trial.task.nonce
        result = "ok" if good else "not ok"
        output = f"# BEGIN {nonce}\n{result} 1 - it runs\n1..1\n# END {nonce}\n"
        return GuestRun(not good, output, "", emulated=emulated)

    return Machine(level, name, "linux-amd64", "recipe", run)


@pytest.fixture(autouse=True)
def machines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Machine]:
    fakes = {"verify/sandbox/linux-amd64": fake_machine("sandbox", "debian trixie")}
    monkeypatch.setattr(verify, "_machines", lambda *_: [(each, name) for name, each in fakes.items()])
    monkeypatch.setattr(verify, "_provide", lambda *_: None)
    return fakes


def test_a_verification_is_stored_in_workspace_and_release_and_printed(
    dist: Path, tmp_path: Path, run_verify: Verify
) -> None:
    code, output = run_verify()
    assert (code, "sandbox: debian trixie: verified in" in output) == (0, True)
    (report,) = read_release(dist).verifications
    assert report.passed
    kept = json.loads((dist / "verification/sandbox-linux-amd64.json").read_text(encoding="utf-8"))
    assert kept["checks"][0]["name"] == "it runs"
    for suffix in ("xml", "log"):
        text = (dist / f"verification/sandbox-linux-amd64.{suffix}").read_text(encoding="utf-8")
        assert "it runs" in text
        assert text == (tmp_path / f"build/verify/sandbox/linux-amd64.{suffix}").read_text(encoding="utf-8")


def test_a_verification_by_emulation_is_replaced_by_one_on_a_real_processor(
    dist: Path, machines: dict[str, Machine], run_verify: Verify
) -> None:
    machines["verify/sandbox/linux-amd64"] = fake_machine("sandbox", "debian trixie", emulated=True)
    assert (run_verify()[0], levels(dist)) == (0, ["verified by emulation"])
    machines["verify/vm/linux-amd64"] = fake_machine("vm", "debian trixie")
    assert (run_verify()[0], levels(dist)) == (0, ["verified in a virtual machine"])


def test_a_failed_guest_gives_exit_code_8_after_all_have_run_and_sid_is_ignored(
    dist: Path, tmp_path: Path, machines: dict[str, Machine], run_verify: Verify
) -> None:
    machines.clear()
    machines["verify/matrix/a"] = fake_machine("sandbox", "debian sid", good=False)
    code, output = run_verify()
    assert (code, "debian sid: NOT verified" in output) == (0, True)
    machines["verify/matrix/b"] = fake_machine("sandbox", "debian bullseye", good=False)
    machines["verify/matrix/c"] = fake_machine("sandbox", "debian trixie")
    code, output = run_verify()
    assert (code, "verification failed on debian bullseye" in output) == (8, True)
    assert str(tmp_path / "build/verify/matrix/b.log") in output
    assert [report.guest for report in read_release(dist).verifications] == [each.name for each in machines.values()]


def test_a_report_replaces_only_the_earlier_report_of_the_same_guest(dist: Path, workspace: Workspace) -> None:
    for guest, seconds in (("one", 1.0), ("two", 2.0), ("one", 3.0)):
        check = Check("it runs", passed=True, seconds=seconds, detail="")
        report = VerificationReport("vm", guest, "sha", (check,), ended=True)
        name = f"verify/vm/{guest}"
        workspace.write_record(name, report)
        for suffix in ("xml", "log"):
            workspace.path(f"{name}.{suffix}").parent.mkdir(parents=True, exist_ok=True)
            workspace.path(f"{name}.{suffix}").touch()
        deliver_verifications({name: report}, workspace, dist)
    assert [(each.guest, each.checks[0].seconds) for each in read_release(dist).verifications] == [
        ("one", 3.0),
        ("two", 2.0),
    ]


@pytest.mark.parametrize(
    ("result", "code", "level"), [("ok", 0, "verified on a Mac (report)"), ("not ok", 8, "verification failed")]
)
def test_the_report_of_a_mac_becomes_part_of_the_release(
    dist: Path, tmp_path: Path, run_verify: Verify, result: str, code: int, level: str
) -> None:
    report = mac_report(tmp_path / "report.tap", "macOS 15.1 24B83 arm64 Mac15,3", result)
    exit_code, output = run_verify("--report", report)
    assert (exit_code, levels(dist)) == (code, [level])
    assert "mac: macOS 15.1 24B83 arm64 Mac15,3: " in output
    assert level in (dist / "report.html").read_text(encoding="utf-8")
    kept = dist / "verification/mac-linux-amd64-bottle-macOS-15.1-24B83-arm64-Mac15-3.log"
    assert kept.read_text(encoding="utf-8") == report.read_text(encoding="ascii")


def test_reports_of_two_macs_are_both_kept_and_a_failure_decides(
    dist: Path, tmp_path: Path, run_verify: Verify
) -> None:
    bad = mac_report(tmp_path / "bad.tap", "macOS 14.5", "not ok")
    good = mac_report(tmp_path / "good.tap", "macOS 15.1", "ok")
    assert run_verify("--report", bad, "--report", good)[0] == 8
    found = [(each.guest, each.passed) for each in read_release(dist).verifications]
    assert found == [("macOS 14.5", False), ("macOS 15.1", True)]
    assert levels(dist) == ["verification failed"]
    assert len(list((dist / "verification").glob("mac-*.log"))) == 2


def test_the_report_of_a_mac_is_accepted_only_for_a_release(dist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["verify", str(dist / NAME), "--report", str(dist / NAME)]) == 2
    assert "--report needs the folder of a release" in capsys.readouterr().err


def test_the_single_file_of_a_release_is_verified_in_a_sandbox_beside_the_bottle(
    dist: Path, run_verify: Verify
) -> None:
    sha256 = hashlib.sha256(b"program").hexdigest()
    programs = [
        Artefact("program", f"stigmer-2.0.0-{target}", 7, sha256, target) for target in ("linux-amd64", "linux-arm64")
    ]
    for program in programs:
        (dist / program.name).write_bytes(b"program")
    release = read_release(dist)
    extended = replace(release, artefacts=(*release.artefacts, *programs))
    (dist / "release.json").write_text(render_record(extended), encoding="utf-8")
    assert run_verify()[0] == 0
    assert {one.bottle_sha256 for one in read_release(dist).verifications} == {SHA256, sha256}
    assert [path.name for path in (dist / "verification").glob("program-*.json")] == ["program-linux-amd64.json"]


@pytest.mark.parametrize("place", ["reports/one", "reports"], ids=["one of several machines", "the only machine"])
def test_verifications_of_a_copy_of_the_release_on_another_machine_become_part_of_it(
    dist: Path, tmp_path: Path, machines: dict[str, Machine], place: str
) -> None:
    """The release workflow uses this script; only release.json and the reports come back from the other machine."""
    copy, sbom = tmp_path / place, dist / "stigmer-2.0.0.x86_64_linux.sbom.spdx.json"
    shutil.copytree(dist, copy)
    machines.clear()
    machines["verify/vm/linux-amd64"] = fake_machine("vm", "debian trixie")
    assert cli.run(["verify", str(copy), "--workspace", str(tmp_path / "build")]) == 0
    (copy / NAME).unlink()
    sbom.write_text("{}", encoding="utf-8")
    collect = [ROOT / "scripts" / "collect-reports", dist, tmp_path / "reports", tmp_path / "sboms"]
    completed = subprocess.run(collect, capture_output=True, text=True, check=False, timeout=120)
    assert completed.returncode == 0, completed.stderr
    assert levels(dist) == ["verified in a virtual machine"]
    assert "it runs" in (dist / "verification/vm-linux-amd64.log").read_text(encoding="utf-8")
    assert "verified in a virtual machine" in (dist / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "sboms/x86_64_linux.spdx.json").read_text(encoding="utf-8") == "{}"
    named = (tmp_path / "sboms/brew.sha256").read_text(encoding="utf-8")
    assert named == f"{SHA256}  stigmer--2.0.0.x86_64_linux.bottle.tar.gz\n", "brew looks for a name with two dashes"


def test_the_verifications_of_another_release_are_refused(dist: Path, tmp_path: Path, run_verify: Verify) -> None:
    other = tmp_path / "other"
    other.mkdir()
    release = read_release(dist)
    changed = replace(release, artefacts=(replace(release.artefacts[0], sha256="0" * 64),))
    (other / "release.json").write_text(render_record(changed), encoding="utf-8")
    code, output = run_verify("--report", other)
    assert (code, "describes another release" in output) == (RecordError.exit_code, True)


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineFactory:
    """Return a factory of fake machines with a mirror for Debian."""
    for method, level in (("sandbox", "sandbox"), ("virtual_machine", "vm")):
        monkeypatch.setattr(MachineFactory, method, lambda _, guest, __, level=level: fake_machine(level, guest))
    mirror = Mirror("http://mirror.invalid/debian", "debian", "bookworm", "")
    return MachineFactory(AMD64, 2, tmp_path, {"debian": mirror}, quiet)


@pytest.mark.parametrize(
    ("level", "guests", "machine", "expected"),
    [
        ("sandbox", (), "sandbox", ("sandbox", "debian trixie", "verify/sandbox/linux-amd64")),
        ("vm", (), "sandbox", ("vm", "debian trixie", "verify/vm/linux-amd64")),
        ("vm", ("debian sid",), "sandbox", ("vm", "debian sid", "verify/vm/linux-amd64/debian-sid")),
        ("matrix", ("ubuntu noble",), "vm", ("vm", "ubuntu noble", "verify/matrix/linux-amd64/vm-ubuntu-noble")),
    ],
)
def test_each_level_selects_its_machines(
    level: str, guests: tuple[str, ...], machine: str, expected: tuple[str, str, str], factory: MachineFactory
) -> None:
    chosen = verify.choose_machines(level, guests, machine, factory, AMD64)
    assert [(each.level, each.name, name) for each, name in chosen] == [expected]


def test_the_matrix_covers_debian_from_the_release_with_the_oldest_supported_glibc(factory: MachineFactory) -> None:
    assert tuple(each.name for each, _ in verify.choose_machines("matrix", (), "sandbox", factory, AMD64)) == GUESTS


def test_a_machine_that_cannot_be_created_here_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    factory = MachineFactory(AMD64, 2, tmp_path, {}, quiet)
    with pytest.raises(MissingToolError, match="no mirror of ubuntu") as missing:
        factory.sandbox("ubuntu noble", AMD64)
    assert missing.value.remedy == "pass one: --mirror ubuntu=URL"
    with pytest.raises(MissingToolError, match="programs for linux-amd64 do not run here"):
        replace(factory, host=ARM64).sandbox("debian trixie", AMD64)
    with pytest.raises(MissingToolError, match="archive keys of fedora"):
        find_mirrors({"fedora": "http://mirror.invalid"}, tmp_path)
