"""A frozen folder is plain files with settled modes, and what it is made from is told whole."""

import dataclasses
from pathlib import Path

import pytest

from stigmer_launcher import version as checkout
from stigmer_packaging.freeze.bundle import forget_installation, settle
from stigmer_packaging.freeze.probes import ServiceProbe, check_answers
from stigmer_packaging.freeze.stage import launcher_facts, provide, service_facts
from stigmer_packaging.lib.errors import ForeignTargetError, GateError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.manifest.rename import render_version
from stigmer_packaging.sources.service_source import read_service_source
from support.freezing import ENV, PROBE, PRODUCT, SAMPLES, copy_sample, make_freezer, make_program
from support.native_code import place


def test_a_link_becomes_the_file_it_stands_for(tmp_path: Path) -> None:
    """The library lies once, where the loader looks."""
    deep = place(tmp_path / "lib" / "x.libs" / "libfoo.so", b"code")
    (tmp_path / "lib" / "libfoo.so").symlink_to("x.libs/libfoo.so")
    settle(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_symlink()] == []
    assert (tmp_path / "lib" / "libfoo.so").read_text() == "code"
    assert not deep.exists()


def test_links_to_one_file_and_to_folders_become_what_they_lead_to(tmp_path: Path) -> None:
    """As in Python.framework: links through a linked folder, and two to one library."""
    versions = tmp_path / "Python.framework" / "Versions"
    (versions / "3.13" / "Resources").mkdir(parents=True)
    (versions / "3.13" / "Python").write_text("code")
    (versions / "3.13" / "Resources" / "Info.plist").write_text("plist")
    (versions / "Current").symlink_to("3.13")
    (tmp_path / "Python.framework" / "Python").symlink_to("Versions/Current/Python")
    (tmp_path / "Python.framework" / "Resources").symlink_to("Versions/Current/Resources")
    (tmp_path / "Python").symlink_to("Python.framework/Versions/3.13/Python")
    settle(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_symlink()] == []
    assert (tmp_path / "Python").read_text() == (tmp_path / "Python.framework" / "Python").read_text() == "code"
    assert [path.read_text() for path in tmp_path.rglob("Info.plist")] == ["plist"]


def test_a_distributions_licences_are_left_to_the_notices(tmp_path: Path) -> None:
    """What a program may ask for stays, and the record says no more than is there."""
    metadata = tmp_path / "lib" / "tiny-1.0.dist-info"
    for name in ("METADATA", "licenses/LICENSE", "licenses/vendor/NOTICE", "sboms/tiny.json"):
        place(metadata / name, b"")
    kept = "tiny/licenses/data,sha256=abc,1\ntiny-1.0.dist-info/METADATA,sha256=def,3\n"
    (metadata / "RECORD").write_text(f"{kept}tiny-1.0.dist-info/licenses/LICENSE,sha256=a,0\n", encoding="utf-8")
    forget_installation(tmp_path)
    assert sorted(path.name for path in metadata.rglob("*")) == ["METADATA", "RECORD"]
    assert (metadata / "RECORD").read_text(encoding="utf-8") == kept


def test_modes_do_not_depend_on_who_built(tmp_path: Path) -> None:
    """Neither on a umask nor on how a wheel was packed."""
    for name, mode in (("program", 0o700), ("data", 0o660), ("odd", 0o4755)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    settle(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()}
    assert modes == {"program": 0o755, "data": 0o644, "odd": 0o755}


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("print('stigmer 1.9.0')", "--version"),
        ("print('stigmer 2.0.0'); raise SystemExit(1)", "--version"),
        ("import sys\nif sys.argv[1] == '--help': import nothing\nprint('stigmer 2.0.0')", "--help"),
    ],
    ids=["another version", "an exit code", "broken behind its version"],
)
def test_a_launcher_that_does_not_answer_is_refused(tmp_path: Path, source: str, asked: str) -> None:
    """The version is answered before anything is imported, so it proves little."""
    with pytest.raises(
        GateError, match=f"^{asked} of the frozen launcher exited with code [01]; expected 0 and the output stigmer"
    ):
        check_answers(make_program(tmp_path / "stigmer", source), "stigmer", "2.0.0", env=ENV)


def test_another_platform_is_refused_at_once(tmp_path: Path) -> None:
    """PyInstaller freezes for its own only."""
    freezer = make_freezer(tmp_path)
    other = Target("darwin" if freezer.target.system == "linux" else "linux", "arm64")
    with pytest.raises(ForeignTargetError, match=str(other)):
        provide((), dataclasses.replace(freezer, target=other))


def test_whatever_goes_into_the_launcher_is_among_its_facts(tmp_path: Path) -> None:
    freezer = make_freezer(tmp_path)
    source = tmp_path / "launcher"
    module = place(source / "stigmer_launcher" / "one.py", b"")

    def facts(version: str = "2.0.0", **changes: object) -> dict[str, object]:
        changed = dataclasses.replace(freezer, **changes)  # type: ignore[arg-type]
        product = dataclasses.replace(PRODUCT.product, version=version)
        return launcher_facts(source, manifest=dataclasses.replace(PRODUCT, product=product), freezer=changed)

    first = facts()
    assert facts() == first
    python = dataclasses.replace(freezer.python, identity=("another build",))
    pins = freezer.pins.replace("pyinstaller==", "pyinstaller==9")
    for other in (facts("2.0.1"), facts(source_date_epoch=1), facts(python=python), facts(pins=pins)):
        assert other != first
    assert facts(pins=freezer.pins.replace("rich==", "rich==9")) == first
    module.rename(module.with_name("another.py"))
    assert facts() != first


def facts_of(text: str) -> dict[str, object]:
    """Run a launcher's version module."""
    facts: dict[str, object] = {}
    exec(text, {}, facts)  # noqa: S102 - as the launcher does
    return facts


def test_a_launcher_says_of_its_product_what_the_manifest_does() -> None:
    """That of another product named our ports and variables, and `config set` refused its own ports."""
    facts = facts_of(render_version(load_manifest(SAMPLES / "two-services" / "manifest.yaml")))
    assert (facts["NAME"], facts["SUMMARY"], facts["OVERRIDES"]) == ("greetings", "say hello, and when", ())
    assert facts["PORTS"] == {"clock": (17301, "clock"), "greeter": (17302, "greeter")}


def test_the_launcher_of_a_checkout_says_the_same_of_ours() -> None:
    facts = {**facts_of(render_version(PRODUCT)), "VERSION": checkout.VERSION}
    assert facts == {name: value for name, value in vars(checkout).items() if name.isupper()}
    assert list(checkout.PORTS) == [name for part in PRODUCT.components for name in part.run.ports]


def test_whatever_goes_into_a_service_is_among_its_facts(tmp_path: Path) -> None:
    freezer, project = make_freezer(tmp_path), copy_sample("freeze-service", tmp_path)

    def facts(probe: ServiceProbe = PROBE) -> dict[str, object]:
        return service_facts(read_service_source(project), version="1.0.0", probe=probe, freezer=freezer)

    first = facts()
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "main.pyc").touch()
    assert facts() == first
    assert facts(ServiceProbe(PROBE.environment, "Ready", PROBE.grace)) != first
    with (project / "requirements.lock").open("a") as lock:
        lock.write("# another line\n")
    assert facts() != first
