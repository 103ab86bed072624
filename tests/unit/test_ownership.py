"""A module that two distributions install: the owner's files stay, the other's are removed, also from its RECORD."""

from pathlib import Path

import pytest

from stigmer_packaging.freeze.ownership import modules_to_import, resolve_owners
from stigmer_packaging.freeze.probes import try_imports
from stigmer_packaging.lib.distributions import find_conflicts, read_distributions
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.records.model import OmittedModule
from support import wheels
from support.freezing import ENV, make_program


def install(site: Path, name: str, **files: str) -> None:
    """Install a distribution with modules of these contents; `__` in a name stands for a slash."""
    paths = {name: f"{name.replace('__', '/')}.py".replace("/init.py", "/__init__.py") for name in files}
    wheels.install(site, name, modules={paths[name]: content for name, content in files.items()})


def listing(site: Path) -> list[str]:
    files = (path.relative_to(site).as_posix() for path in site.rglob("*.py"))
    return sorted(files)


def install_conflict(site: Path) -> Path:
    """Install a package and then a module of the same name, like python-multipart and multipart."""
    install(site, "python-parts", parts__init="shim", parts__decode="shim", python_parts__init="code")
    install(site, "parts", parts="the module")
    return site


def test_the_files_of_the_other_distribution_are_removed_and_both_stay_installed(tmp_path: Path) -> None:
    site = install_conflict(tmp_path)
    assert resolve_owners(site, {"parts": "parts"}) == (OmittedModule("parts", "python-parts", "1.0", "parts"),)
    assert listing(site) == ["parts.py", "python_parts/__init__.py"]
    assert not (site / "parts").exists()
    assert find_conflicts(read_distributions(site)) == ()
    assert [entry.name for entry in read_distributions(site)] == ["parts", "python-parts"]


def test_either_distribution_may_be_the_owner_in_any_spelling(tmp_path: Path) -> None:
    site = install_conflict(tmp_path)
    resolve_owners(site, {"parts": "Python_Parts"})
    assert listing(site) == ["parts/__init__.py", "parts/decode.py", "python_parts/__init__.py"]


def test_a_file_that_both_install_keeps_the_owners_content(tmp_path: Path) -> None:
    install(tmp_path, "one", web__init="of one", web__only_one="x")
    install(tmp_path, "two", web__init="of two")
    assert resolve_owners(tmp_path, {"web": "two"}) == (OmittedModule("web", "one", "1.0", "two"),)
    assert listing(tmp_path) == ["web/__init__.py"]
    assert (tmp_path / "web" / "__init__.py").read_text() == "of two"


@pytest.mark.parametrize("owners", ["__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n", "# ours\n"])
def test_other_distributions_keep_their_own_modules_of_a_namespace(tmp_path: Path, owners: str) -> None:
    """Otherwise nothing of the other distribution would be left, and the import probe would not notice."""
    install(tmp_path, "one", web__init="__import__('pkg_resources').declare_namespace(__name__)", web__one="x")
    install(tmp_path, "two", web__init=owners, web__two="y")
    left = resolve_owners(tmp_path, {"web": "two"})
    assert listing(tmp_path) == ["web/__init__.py", "web/one.py", "web/two.py"]
    assert modules_to_import(tmp_path, left) == ["web", "web.one"]
    assert find_conflicts(read_distributions(tmp_path)) == ()


def test_a_module_replaces_a_package_without_code(tmp_path: Path) -> None:
    """The package's modules could not be imported beside it."""
    install(tmp_path, "one", web="x")
    install(tmp_path, "two", web__init="", web__two="y")
    resolve_owners(tmp_path, {"web": "one"})
    assert listing(tmp_path) == ["web.py"]


def test_an_owner_whose_file_was_overwritten_is_refused(tmp_path: Path) -> None:
    """The other distribution's code would be frozen."""
    install(tmp_path, "one", web__init="of one")
    install(tmp_path, "two", web__init="of two")
    with pytest.raises(GateError, match=r"web/__init__\.py of one 1\.0 has another distribution's content"):
        resolve_owners(tmp_path, {"web": "one"})


def test_an_owner_that_does_not_install_the_module_is_refused_with_a_similar_name(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"parts: unknown owner 'pyton-parts'; did you mean 'python-parts'\?"):
        resolve_owners(install_conflict(tmp_path), {"parts": "pyton-parts"})


def test_an_owner_of_a_module_without_a_conflict_changes_nothing(tmp_path: Path) -> None:
    """The same manifest must work for a tree that locks only one of them."""
    install(tmp_path, "python-parts", parts__init="shim")
    assert resolve_owners(tmp_path, {"parts": "parts"}) == ()
    assert listing(tmp_path) == ["parts/__init__.py"]


def test_the_probe_imports_the_remaining_modules_of_both(tmp_path: Path) -> None:
    site = install_conflict(tmp_path)
    install(site, "bystander", other="x")
    left = resolve_owners(site, {"parts": "parts"})
    assert modules_to_import(site, left) == ["parts", "python_parts"]


def test_the_probe_must_import_everything_and_is_removed(tmp_path: Path) -> None:
    source = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    probe = make_program(tmp_path / "import-probe", source)
    with pytest.raises(GateError, match="No module named 'no_such_module'"):
        try_imports(probe, ["json", "no_such_module"], env=ENV)
    assert not probe.exists()
