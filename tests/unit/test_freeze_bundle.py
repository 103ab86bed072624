"""A frozen folder has plain files with fixed modes, and its facts cover every input."""

import dataclasses
from pathlib import Path

import pytest

from stigmer_launcher import version as checkout
from stigmer_packaging.freeze.bundle import normalize, remove_unused_metadata
from stigmer_packaging.freeze.probes import ServiceProbe, check_answers
from stigmer_packaging.freeze.stage import launcher_facts, provide, service_facts
from stigmer_packaging.lib.errors import ForeignTargetError, GateError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.manifest.rename import render_version
from stigmer_packaging.sources.service_source import read_service_source
from support.freezing import ENV, PROBE, PRODUCT, SAMPLES, copy_sample, make_freezer, make_program
from support.native_code import place


def test_a_link_is_replaced_by_its_target(tmp_path: Path) -> None:
    """The library then exists only once, where the loader searches."""
    target = place(tmp_path / "lib" / "x.libs" / "libfoo.so", b"code")
    (tmp_path / "lib" / "libfoo.so").symlink_to("x.libs/libfoo.so")
    normalize(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_symlink()] == []
    assert (tmp_path / "lib" / "libfoo.so").read_text() == "code"
    assert not target.exists()


def test_several_links_to_one_file_and_links_to_folders_are_replaced(tmp_path: Path) -> None:
    """Python.framework has links through a linked folder and two links to one library."""
    versions = tmp_path / "Python.framework" / "Versions"
    (versions / "3.13" / "Resources").mkdir(parents=True)
    (versions / "3.13" / "Python").write_text("code")
    (versions / "3.13" / "Resources" / "Info.plist").write_text("plist")
    (versions / "Current").symlink_to("3.13")
    (tmp_path / "Python.framework" / "Python").symlink_to("Versions/Current/Python")
    (tmp_path / "Python.framework" / "Resources").symlink_to("Versions/Current/Resources")
    (tmp_path / "Python").symlink_to("Python.framework/Versions/3.13/Python")
    normalize(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_symlink()] == []
    assert (tmp_path / "Python").read_text() == (tmp_path / "Python.framework" / "Python").read_text() == "code"
    assert [path.read_text() for path in tmp_path.rglob("Info.plist")] == ["plist"]


def test_licence_files_of_a_distribution_are_removed(tmp_path: Path) -> None:
    """The notices contain the texts; METADATA stays because programs read it, and RECORD lists only existing files."""
    metadata = tmp_path / "lib" / "tiny-1.0.dist-info"
    for name in ("METADATA", "licenses/LICENSE", "licenses/vendor/NOTICE", "sboms/tiny.json"):
        place(metadata / name, b"")
    kept = "tiny/licenses/data,sha256=abc,1\ntiny-1.0.dist-info/METADATA,sha256=def,3\n"
    (metadata / "RECORD").write_text(f"{kept}tiny-1.0.dist-info/licenses/LICENSE,sha256=a,0\n", encoding="utf-8")
    remove_unused_metadata(tmp_path)
    assert sorted(path.name for path in metadata.rglob("*")) == ["METADATA", "RECORD"]
    assert (metadata / "RECORD").read_text(encoding="utf-8") == kept


def test_modes_do_not_depend_on_umask_or_wheel(tmp_path: Path) -> None:
    """Otherwise the same sources would give different bottles."""
    for name, mode in (("program", 0o700), ("data", 0o660), ("odd", 0o4755)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    normalize(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()}
    assert modes == {"program": 0o755, "data": 0o644, "odd": 0o755}


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("print('stigmer 1.9.0')", "--version"),
        ("print('stigmer 2.0.0'); raise SystemExit(1)", "--version"),
        ("import sys\nif sys.argv[1] == '--help': import nothing\nprint('stigmer 2.0.0')", "--help"),
    ],
    ids=["another version", "a non-zero exit code", "only --version works"],
)
def test_a_launcher_that_fails_or_prints_another_version_is_refused(tmp_path: Path, source: str, option: str) -> None:
    """--version is handled before anything is imported, so it alone proves little."""
    with pytest.raises(
        GateError, match=f"^{option} of the frozen launcher exited with code [01]; expected 0 and the output stigmer"
    ):
        check_answers(make_program(tmp_path / "stigmer", source), "stigmer", "2.0.0", env=ENV)


def test_freezing_with_a_python_for_another_platform_is_refused(tmp_path: Path) -> None:
    """PyInstaller freezes only for the platform of its Python."""
    freezer = make_freezer(tmp_path)
    other = Target("darwin" if freezer.target.system == "linux" else "linux", "arm64")
    with pytest.raises(ForeignTargetError, match=str(other)):
        provide((), dataclasses.replace(freezer, target=other))


def test_every_input_of_the_launcher_changes_its_facts(tmp_path: Path) -> None:
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
    """Execute the version module of a launcher and return its globals."""
    facts: dict[str, object] = {}
    exec(text, {}, facts)  # noqa: S102 - as the launcher does
    return facts


def test_the_version_module_of_another_product_has_the_values_of_its_manifest() -> None:
    """Another product's launcher once had Stigmer's ports and variables, and `config set` refused its own ports."""
    facts = facts_of(render_version(load_manifest(SAMPLES / "two-services" / "manifest.yaml")))
    assert (facts["NAME"], facts["SUMMARY"], facts["OVERRIDES"]) == ("greetings", "say hello, and when", ())
    assert facts["PORTS"] == {"clock": (17301, "clock"), "greeter": (17302, "greeter")}


def test_the_version_module_of_the_checkout_matches_the_manifest() -> None:
    facts = {**facts_of(render_version(PRODUCT)), "VERSION": checkout.VERSION}
    assert facts == {name: value for name, value in vars(checkout).items() if name.isupper()}
    assert list(checkout.PORTS) == [name for part in PRODUCT.components for name in part.run.ports]


def test_every_input_of_a_service_changes_its_facts(tmp_path: Path) -> None:
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
