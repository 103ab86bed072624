"""Build steps of the frozen CPython that need no compiler, and the errors that must fail the build."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.freeze.python.build import BUILD_MACHINE, Build, find_files, prepare_folder
from stigmer_packaging.freeze.python.cpython import configure_words, find_missing_modules
from stigmer_packaging.freeze.python.finish import forget_place, measure_floor, prune, refuse_traces, settle_modes
from stigmer_packaging.freeze.python.libraries import fill_template
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import GateError, PackagingError
from stigmer_packaging.lib.target import Target
from support.freezing import RECIPE
from support.native_code import fat, macho, place

LINUX, MAC = Target("linux", "arm64"), Target("darwin", "arm64")


def build_of(target: Target, folder: Path) -> Build:
    return Build(read_recipe(RECIPE, target), folder, Path("/zig"), Path("/zig-cache"), {}, 1, lambda _: None)


def test_configure_gets_the_answers_for_the_target(tmp_path: Path) -> None:
    linux, mac = (configure_words(build_of(target, tmp_path), Path("/host/python")) for target in (LINUX, MAC))
    assert "ac_cv_wchar_t_signed=no" in linux
    assert "ac_cv_wchar_t_signed=yes" in mac
    assert "ac_cv_func_dup3=no" in mac
    assert not any(word.startswith("ac_cv_func_dup3") for word in linux)
    assert "--host=aarch64-apple-darwin20.0.0" in mac
    assert "py_cv_module_readline=n/a" in linux


def test_the_name_of_the_build_machine_differs_from_every_target() -> None:
    hosts = {read_recipe(RECIPE, target).platform.host for target in (LINUX, MAC)}
    assert BUILD_MACHINE not in hosts


def test_a_step_gets_only_the_path_from_the_users_environment(tmp_path: Path) -> None:
    build = replace(build_of(MAC, tmp_path), environment={"PATH": "/bin", "CFLAGS": "-O0", "HOME": "/home/somebody"})
    assert "CFLAGS" not in build.variables
    assert build.variables["HOME"] == str(tmp_path)
    assert build.variables["PATH"] == f"{tmp_path}/texts/tools:/bin"
    assert build.variables["ZIG_TARGET"] == "aarch64-macos.11.0"


def test_a_folder_with_a_space_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="cannot compile in") as raised:
        prepare_folder(build_of(LINUX, tmp_path / "a cache"))
    assert "XDG_CACHE_HOME" in raised.value.remedy


def test_a_module_that_is_neither_built_nor_left_out_is_reported_as_missing() -> None:
    cpython = read_recipe(RECIPE, LINUX).cpython
    states = "_BZ2=missing _LZMA=yes _CTYPES=yes READLINE=n/a _TESTCAPI=disabled _SCPROXY=disabled"
    makefile = "".join(f"MODULE_{state.replace('=', '_STATE=')}\n" for state in states.split())
    assert find_missing_modules(makefile, ["_ctypes"], cpython) == ["_bz2", "_lzma"]
    of_macos = read_recipe(RECIPE, MAC).cpython
    assert find_missing_modules("MODULE__SCPROXY_STATE=disabled\n", [], of_macos) == ["_scproxy"]


def test_files_are_found_in_order_and_a_pattern_without_a_match_fails_the_build(tmp_path: Path) -> None:
    for name in ("b.c", "a.c", "a_tablegen.c", "c.h"):
        (tmp_path / name).touch()
    assert [str(path) for path in find_files(tmp_path, ["*.c"], ["*_tablegen.c"])] == ["a.c", "b.c"]
    with pytest.raises(PackagingError, match=r"no file lib/\*\.c"):
        find_files(tmp_path, ["lib/*.c"], [])


def test_a_template_with_an_unknown_name_fails_the_build() -> None:
    assert fill_template("#define V @V@", {"V": "1"}) == "#define V 1"
    with pytest.raises(KeyError):
        fill_template("@NEW@", {"V": "1"})


def test_files_needed_neither_to_run_nor_to_freeze_are_removed(tmp_path: Path) -> None:
    library = tmp_path / "lib" / "python3.13"
    kept = ["bin/python3.13", "lib/libpython3.13.so.1.0", "lib/python3.13/os.py"]
    removed = ["bin/idle3.13", "bin/python3-config", "lib/libpython3.13.so", "include/x.h", "lib/python3.13/test/a.py"]
    for name in (*kept, *removed):
        place(tmp_path / name, b"")
    prune(tmp_path, library)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == kept


def test_a_file_that_contains_the_path_of_the_build_is_refused_until_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "prefix").mkdir()
    file = tmp_path / "prefix" / "_sysconfigdata.py"
    file.write_text(f"CC = '{tmp_path}/cc'\n", encoding="utf-8")
    with pytest.raises(GateError, match=r"_sysconfigdata\.py"):
        refuse_traces(tmp_path / "prefix", tmp_path)
    forget_place(file, tmp_path)
    refuse_traces(tmp_path / "prefix", tmp_path)
    assert file.read_text(encoding="utf-8") == "CC = '/build/cc'\n"


def test_file_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    for name, mode in (("bin/python3.13", 0o700), ("lib/libz.so.1", 0o640), ("lib/x/script", 0o755)):
        place(tmp_path / name, b"").chmod(mode)
    settle_modes(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {"python3.13": 0o755, "libz.so.1": 0o644, "script": 0o644}


def test_the_floor_is_the_newest_macos_that_any_file_needs(tmp_path: Path) -> None:
    (tmp_path / "old.so").write_bytes(macho(minimum=(10, 13)))
    (tmp_path / "new.so").write_bytes(fat(macho(minimum=(11, 0)), macho("amd64", minimum=(10, 9))))
    (tmp_path / "text.py").write_text("none", encoding="utf-8")
    assert measure_floor(tmp_path, MAC, "11.0") == "11.0"


@pytest.mark.parametrize(("minimum", "needs"), [((12, 0), "12.0"), (None, "99")])
def test_a_file_that_needs_a_newer_or_an_unknown_macos_fails_the_build(
    tmp_path: Path, minimum: tuple[int, int] | None, needs: str
) -> None:
    (tmp_path / "new.so").write_bytes(macho(minimum=minimum))
    with pytest.raises(GateError, match=rf"promises 11\.0:\n  new\.so needs {needs}"):
        measure_floor(tmp_path, MAC, "11.0")


def test_a_file_that_needs_a_newer_glibc_than_promised_fails_the_build(tmp_path: Path) -> None:
    shutil.copy("/bin/true", tmp_path)
    assert measure_floor(tmp_path, LINUX, "9.9").startswith("2.")
    with pytest.raises(GateError, match=r"promises 2\.1:\n  true needs 2\."):
        measure_floor(tmp_path, LINUX, "2.1")


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ("-bundle -o x.so", "-shared -o x.so"),
        ("-Wl,-hlibx.so.1", "-Wl,-soname,libx.so.1"),
        ("-Wl,-compatibility_version,3.13", "-Wl,-compatibility_version,3.13.0"),
        ("-Wl,-compatibility_version,3.0.0", "-Wl,-compatibility_version,3.0.0"),
        ("-g -O2 -Wl,-search_paths_first -Wl,-Bsymbolic-functions", "-O2"),
    ],
)
def test_the_compiler_wrapper_translates_or_drops_unknown_options(tmp_path: Path, arguments: str, passed: str) -> None:
    prepare_folder(build_of(LINUX, tmp_path))
    env = {"ZIG": "/bin/echo", "ZIG_TARGET": "some-target", "ZIG_FLAGS": "-g0 -s", "ZIG_PATHS": "-I/headers"}
    output = command.run([tmp_path / "texts/tools/zig-cc", *arguments.split()], env=env).stdout
    assert output == f"cc -target some-target -g0 -s {passed} -I/headers\n"


def test_the_compiler_wrapper_prints_debians_multiarch_name(tmp_path: Path) -> None:
    prepare_folder(build_of(LINUX, tmp_path))
    env = {"ZIG": "/bin/false", "ZIG_MULTIARCH": "aarch64-linux-gnu"}
    assert command.run([tmp_path / "texts/tools/zig-cc", "--print-multiarch"], env=env).stdout == "aarch64-linux-gnu\n"
