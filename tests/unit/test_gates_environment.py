"""An environment is refused if two distributions own a module, or if it differs from its lock."""

from pathlib import Path

import pytest

from stigmer_packaging.freeze.gates import check_lock, check_ownership
from stigmer_packaging.lib.distributions import Distribution, module_of, read_distributions
from stigmer_packaging.lib.errors import GateError

NO_MODULES = ["../../../bin/tool", "one-1.0.dist-info/METADATA", "pkg/__pycache__/a.pyc"]


def owning(name: str, *paths: str, checksum: str = "") -> Distribution:
    return Distribution(name, "1.0", {path: checksum or f"{name}-{path}" for path in paths})


def test_a_module_and_a_package_of_the_same_name_are_refused() -> None:
    """As in multipart and python-multipart; the message names both and the files of each."""
    distributions = [
        owning("multipart", "multipart.py"),
        owning("python-multipart", "multipart/__init__.py", "multipart/decoders.py"),
    ]
    with pytest.raises(
        GateError, match=r"multipart: multipart 1.0 \(multipart.py\) and python-multipart 1.0 \(multipart/__init__.py\)"
    ):
        check_ownership(distributions)


@pytest.mark.parametrize(
    ("one", "two", "named"),
    [
        (["speed.cpython-311-x86_64-linux-gnu.so"], ["speed.py"], "speed"),
        (["data/table.json"], ["data/table.json"], r"data/table\.json"),
        (["web/__init__.py", "web/client.py"], ["web/__init__.py", "web/client.py"], "web"),
    ],
    ids=["compiled and pure module", "different contents", "a whole package, reported once"],
)
def test_a_path_that_two_distributions_install_is_refused(one: list[str], two: list[str], named: str) -> None:
    """Which one is imported would depend on the order of installation."""
    with pytest.raises(GateError, match=rf"module:\n  {named}: one 1\.0[^\n]*$"):
        check_ownership([owning("one", *one), owning("two", *two)])


def test_a_shared_file_without_checksums_is_refused() -> None:
    """Without checksums, nothing shows that both have the same content."""
    same = {"old/__init__.py": ""}
    with pytest.raises(GateError, match="old"):
        check_ownership([Distribution("one", "1", same), Distribution("two", "1", same)])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["google/api/__init__.py"], ["google/protobuf/__init__.py"]),
        (["old/__init__.py", "old/a.py"], ["old/__init__.py"]),
        (NO_MODULES, NO_MODULES),
    ],
    ids=["namespace package", "identical file, as in pkg_resources namespaces", "scripts, metadata and caches"],
)
def test_namespaces_identical_files_and_files_outside_modules_may_be_shared(one: list[str], two: list[str]) -> None:
    check_ownership([owning("one", *one, checksum="x"), owning("two", *two, checksum="x")])


def test_the_module_name_of_a_file_is_derived_from_its_path() -> None:
    modules = {"six.py": "six", "a/__init__.py": "a", "a/b.abi3.so": "a.b"}
    others = ("a/py.typed", "one-1.0.dist-info/x.py", "a/b.pyi")
    assert {path: module_of(path) for path in (*modules, *others)} == modules | dict.fromkeys(others, "")


def test_missing_extra_and_changed_distributions_are_all_reported() -> None:
    installed = [Distribution("kept", "1.0", {}), Distribution("changed", "2.0", {}), Distribution("extra", "3.0", {})]
    with pytest.raises(GateError) as refused:
        check_lock(installed, {"kept": "1.0", "changed": "2.1", "missing": "4.0"})
    for finding in ("missing 4.0 is locked but not", "extra 3.0 is installed but not", "changed is locked at 2.1"):
        assert finding in str(refused.value)


def test_versions_are_compared_in_normalised_form() -> None:
    check_lock([Distribution("tzdata", "2026.06", {})], {"tzdata": "2026.6"})


def test_installed_distributions_are_read_with_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "Zope.Old_Name-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Zope.Old_Name\nVersion: 1.2\n")
    (folder / "RECORD").write_text("old.py,sha256=abc,3\nZope.Old_Name-1.2.dist-info/RECORD,,\n")
    (found,) = read_distributions(tmp_path)
    assert (found.name, found.version, found.files["old.py"]) == ("zope-old-name", "1.2", "abc")
