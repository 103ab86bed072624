"""An environment in which two distributions own one module, or which is not its lock, is never frozen."""

from pathlib import Path

import pytest

from stigmer_packaging.freeze.gates import check_lock, check_ownership
from stigmer_packaging.lib.distributions import Distribution, module_of, read_distributions
from stigmer_packaging.lib.errors import GateError


def owning(name: str, *paths: str, checksum: str = "") -> Distribution:
    return Distribution(name, "1.0", {path: checksum or f"{name}-{path}" for path in paths})


def test_a_module_and_a_package_of_one_name_are_refused() -> None:
    """The trap of multipart and python-multipart; the message names both, and what each ships."""
    trap = [
        owning("multipart", "multipart.py"),
        owning("python-multipart", "multipart/__init__.py", "multipart/decoders.py"),
    ]
    with pytest.raises(
        GateError, match=r"multipart: multipart 1.0 \(multipart.py\) and python-multipart 1.0 \(multipart/__init__.py\)"
    ):
        check_ownership(trap)


def test_two_packages_of_one_name_are_refused_once() -> None:
    """Everything inside lies in the same conflict."""
    pair = [owning("one", "web/__init__.py", "web/client.py"), owning("two", "web/__init__.py", "web/client.py")]
    with pytest.raises(GateError) as refused:
        check_ownership(pair)
    assert str(refused.value).count("one 1.0") == 1


def test_an_extension_and_a_module_of_one_name_are_refused() -> None:
    """Compiled code owns its name as well."""
    with pytest.raises(GateError, match="speed"):
        check_ownership([owning("one", "speed.cpython-311-x86_64-linux-gnu.so"), owning("two", "speed.py")])


def test_the_same_file_with_other_contents_is_refused() -> None:
    """Whichever was installed last has won."""
    with pytest.raises(GateError, match=r"data/table\.json"):
        check_ownership([owning("one", "data/table.json"), owning("two", "data/table.json")])


def test_a_namespace_may_be_shared() -> None:
    """A folder without `__init__` belongs to nobody: google, opentelemetry, zope."""
    check_ownership([owning("one", "google/api/__init__.py"), owning("two", "google/protobuf/__init__.py")])


def test_a_file_that_is_the_same_in_both_may_be_shared() -> None:
    """Namespaces of the old kind ship one `__init__` each, all alike."""
    check_ownership(
        [owning("one", "old/__init__.py", "old/a.py", checksum="x"), owning("two", "old/__init__.py", checksum="x")]
    )


def test_the_same_file_without_checksums_is_refused() -> None:
    """Nothing says that they are alike."""
    same = {"old/__init__.py": ""}
    with pytest.raises(GateError, match="old"):
        check_ownership([Distribution("one", "1", same), Distribution("two", "1", same)])


def test_scripts_metadata_and_caches_do_not_count() -> None:
    """Nobody imports them."""
    paths = ("../../../bin/tool", "one-1.0.dist-info/METADATA", "pkg/__pycache__/a.cpython-311.pyc")
    check_ownership([owning("one", *paths), owning("two", *paths)])


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("six.py", "six"),
        ("a/__init__.py", "a"),
        ("a/b.abi3.so", "a.b"),
        ("a/py.typed", ""),
        ("one-1.0.dist-info/x.py", ""),
        ("a/b.pyi", ""),
    ],
)
def test_a_file_is_known_for_the_module_it_is(path: str, module: str) -> None:
    """Also an extension with its long suffix."""
    assert module_of(path) == module


def test_missing_extra_and_changed_distributions_are_all_named() -> None:
    """One look says everything that is wrong."""
    installed = [Distribution("kept", "1.0", {}), Distribution("changed", "2.0", {}), Distribution("extra", "3.0", {})]
    with pytest.raises(GateError) as refused:
        check_lock(installed, {"kept": "1.0", "changed": "2.1", "missing": "4.0"})
    for finding in ("missing 4.0 is locked and not", "extra 3.0 is installed and not", "changed is locked at 2.1"):
        assert finding in str(refused.value)


def test_a_version_may_be_written_in_another_way() -> None:
    """2026.06 and 2026.6 are one version."""
    check_lock([Distribution("tzdata", "2026.06", {})], {"tzdata": "2026.6"})


def test_installed_distributions_are_read_with_their_files(tmp_path: Path) -> None:
    """Names are canonical, checksums are those of RECORD."""
    folder = tmp_path / "Zope.Old_Name-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Zope.Old_Name\nVersion: 1.2\n")
    (folder / "RECORD").write_text("old.py,sha256=abc,3\nZope.Old_Name-1.2.dist-info/RECORD,,\n")
    (found,) = read_distributions(tmp_path)
    assert (found.name, found.version, found.files["old.py"]) == ("zope-old-name", "1.2", "abc")
