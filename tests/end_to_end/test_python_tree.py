"""The pinned CPython builds in this machine's cache; none is built unless requested."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.freeze.python.libraries import build_library
from stigmer_packaging.freeze.python.provide import (
    FOLDER,
    BuildSettings,
    digest_of,
    open_build,
    place_of,
    provide_python,
    read_tree,
    unpack_sources,
)
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.target import Target, parse_target
from support.freezing import CACHE, ENV, HOST, RECIPE, TARGETS, no_archives

NOT_FOR_PROGRAMS = {
    "_frozen_importlib": "importlib under its name during the interpreter's start",
    "_frozen_importlib_external": "likewise",
    "idlelib": "an editor",
    "tkinter": "needs Tcl",
    "turtledemo": "needs tkinter",
} | dict.fromkeys(("_overlapped", "_winapi", "_wmi", "msvcrt", "nt", "winreg", "winsound"), "of Windows")
"""Modules of the standard library that no tree has, besides the extension modules omitted by the recipe."""

TWICE = "STIGMER_PYTHON_TWICE"
"""Names the target whose Python is built a second time, which takes minutes."""


def cached(target: Target) -> PythonTree:
    recipe = read_recipe(RECIPE, target)
    tree = read_tree(recipe, place_of(recipe, CACHE), digest_of(recipe))
    if tree is None:
        pytest.skip(f"no Python for {target} in {CACHE}: scripts/packaging python --target {target} builds it")
    return tree


def settings_in(cache: Path) -> BuildSettings:
    """Return build settings whose cache starts with the downloads, the compiler and the shared parts of this machine's."""
    (cache / FOLDER).mkdir(parents=True)
    for kept in (CACHE / FOLDER).iterdir():
        if kept.name.startswith(("downloads", "ziglang", "host-")) and kept.is_dir():
            (cache / FOLDER / kept.name).symlink_to(kept)
    return BuildSettings(read_recipe(RECIPE, HOST), cache, no_archives, ENV, os.cpu_count() or 1, lambda _: None)


@pytest.fixture(name="tree")
def _tree() -> PythonTree:
    return cached(HOST)


def ask(tree: PythonTree, code: str, **variables: str) -> str:
    env = {"PATH": "/usr/bin:/bin", **variables}
    return command.run([tree.executable, "-I", "-c", code], env=env, seconds=100).stdout.strip()


def test_every_extension_module_can_be_imported(tree: PythonTree) -> None:
    names = [path.name.partition(".")[0] for path in (tree.standard_library / "lib-dynload").glob("*.so")]
    assert ask(tree, f"import importlib\nfor name in {[*names, *tree.builtins]!r}: importlib.import_module(name)") == ""
    assert {"_ssl", "_hashlib", "_sqlite3", "_ctypes", "_lzma", "_bz2", "_uuid", "pyexpat"} <= set(names)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_tree_has_the_standard_library_except_for_a_listed_few(tree: PythonTree, target: Target) -> None:
    built = cached(target)
    names = set(ask(tree, "import sys; print(*sys.stdlib_module_names)").split())
    there = {
        path.name.partition(".")[0]
        for place in (built.standard_library, built.standard_library / "lib-dynload")
        for path in place.iterdir()
    }
    left_out = {*built.recipe.cpython.absent, *built.recipe.cpython.foreign, *NOT_FOR_PROGRAMS}
    assert names - there - set(built.builtins) == left_out


def test_the_interpreter_is_the_one_that_the_recipe_pins(tree: PythonTree) -> None:
    interpreter = tree.interpreter(os.environ)
    assert (interpreter.version, interpreter.target) == (tree.version, HOST)
    assert Path(interpreter.library) == tree.library.resolve()


def test_it_runs_from_any_directory_with_its_own_libraries(tree: PythonTree, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(tree.prefix)
    moved = replace(tree, prefix=tmp_path / "elsewhere")
    code = "import ssl, sqlite3, zlib; print(ssl.OPENSSL_VERSION.split()[1], sqlite3.sqlite_version)"
    pinned = [tree.recipe.find_source(name).version.partition("-")[0] for name in ("openssl", "sqlite")]
    assert ask(moved, code).split() == pinned
    mapped = (
        "import _ssl, zlib; print([l.split()[-1] for l in open('/proc/self/maps') if 'libssl' in l or 'libz' in l])"
    )
    assert str(tree.prefix.resolve()) in ask(moved, mapped)


def test_tls_trusts_what_the_system_trusts_and_what_the_user_names(tree: PythonTree, tmp_path: Path) -> None:
    paths = "import ssl; at = ssl.get_default_verify_paths(); print(at.openssl_cafile, at.openssl_capath)"
    assert ask(tree, paths).split() == ["/etc/ssl/cert.pem", "/etc/ssl/certs"]
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.is_file():
        pytest.skip("this machine has no ca-certificates")
    loaded = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    assert int(ask(tree, loaded, SSL_CERT_FILE=str(bundle))) > 0
    assert int(ask(tree, loaded, SSL_CERT_FILE=str(tmp_path / "none"))) == 0


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_tls_looks_for_certificates_where_the_target_system_has_them(target: Target) -> None:
    (library,) = (cached(target).prefix / "lib").glob("libcrypto*")
    folder = {"linux": b"/etc/ssl", "darwin": b"/private/etc/ssl"}[target.system]
    assert b'OPENSSLDIR: "%s"\0' % folder in library.read_bytes()


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_tree_names_its_licences_and_promises_its_floor(target: Target) -> None:
    tree = cached(target)
    assert tree.floor == ("2.28" if target.system == "linux" else "11.0") or tree.floor < tree.recipe.platform.floor
    assert [source.name for source in tree.recipe.source if not tree.copyright_of(source)] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_library_has_the_same_bytes_wherever_it_is_built(target: Target, tmp_path: Path) -> None:
    cached(target)
    recipe, digests = read_recipe(RECIPE, target), []
    for cache in (tmp_path / "a", tmp_path / "another" / "and" / "deeper"):
        work = cache / "work"
        work.mkdir(parents=True)
        build = open_build(recipe, settings_in(cache), work)
        unpack_sources(build, settings_in(cache / "again"), ["zlib"])
        build_library(build, next(library for library in recipe.library if library.name == "libz"))
        digests.append(digest.sha256_of_tree(build.dependencies, ignored=()))
    assert digests[0] == digests[1]


@pytest.mark.timeout(7200)
def test_a_python_built_twice_has_the_same_bytes(tmp_path: Path) -> None:
    if not (named := os.environ.get(TWICE)):
        pytest.skip(f"it takes minutes: set {TWICE} to a target, such as linux-amd64")
    tree = cached(parse_target(named))
    assert provide_python(tree.recipe, settings_in(tmp_path / "another" / "cache")).sha256 == tree.sha256
