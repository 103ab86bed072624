"""The loader simulation: what ld.so and dyld would refuse is found in a bottle that neither has loaded."""

from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.loader.loading import system_symbols
from stigmer_packaging.audit.loader.system_symbols import parse_availability, parse_tbd, render
from stigmer_packaging.lib.target import parse_target
from support.audit_bottles import LIBRARIES, Craft, audit, found_by, good_bottle, seen_by
from support.frozen_programs import freeze_around
from support.native_code import BUNDLE, EXECUTE, elf, macho

MODULE = f"{LIBRARIES}/python3.13/module.so"
LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
LIBZ = "@rpath/libz.1.dylib"
FLAT, MAIN_PROGRAM, ITSELF = -2, -1, 0


def undefined(craft: Craft, folder: Path, policy: Policy | None = None) -> list[tuple[str, str]]:
    """Give what an audit says of symbols that are not found."""
    return seen_by("undefined-symbol", craft, folder, policy)


def linux_bottle(*, module: bytes, library: bytes | None = None, python: bytes | None = None) -> Craft:
    """Make a bottle with another module, another libz, and a Python library that the launcher loads first."""
    craft = good_bottle()
    craft.put(MODULE, module, 0o755)
    if library:
        craft.put(f"{LIBRARIES}/libz.so.1", library, 0o755)
    if python:
        program = elf(interpreter="/lib64/ld-linux-x86-64.so.2", needed=("libc.so.6",), search="$ORIGIN/lib")
        craft.put("libexec/launcher/stigmer", freeze_around(program, "libpython3.13.so.1.0", "lib"), 0o755)
        craft.put(f"{LIBRARIES}/libpython3.13.so.1.0", python, 0o755)
    return craft


def mac_bottle(*, python: bytes | None = None, library: bytes | None = None, **module: object) -> Craft:
    """Make a bottle for macOS with another module, another libz, and a Python library that the launcher loads first."""
    craft = good_bottle("darwin-amd64")
    given: dict[str, object] = {"kind": BUNDLE, "needed": (LIBSYSTEM, LIBZ), "search": ("@loader_path/..",)}
    craft.put(MODULE, macho("amd64", **(given | module)), 0o755)  # type: ignore[arg-type]
    if library:
        craft.put(f"{LIBRARIES}/libz.1.dylib", library, 0o755)
    if python:
        program = macho("amd64", kind=EXECUTE, needed=(LIBSYSTEM,), exports=("__mh_execute_header",))
        craft.put("libexec/launcher/stigmer", freeze_around(program, "libpython3.13.dylib", "lib"), 0o755)
        craft.put(f"{LIBRARIES}/libpython3.13.dylib", python, 0o755)
    return craft


def test_a_module_finds_pythons_symbols_in_the_library_that_its_program_loads(tmp_path: Path) -> None:
    """A module names no Python library itself."""
    module = elf(needed=("libc.so.6",), undefined=("PyModule_Create2",))
    python = elf(needed=("libc.so.6",), defined=("PyModule_Create2",))
    assert undefined(linux_bottle(module=module, python=python), tmp_path / "good") == []
    assert undefined(linux_bottle(module=module, python=elf()), tmp_path / "bad") == [
        (MODULE, "PyModule_Create2: not in any library that is loaded with it")
    ]


def test_a_symbol_comes_from_a_library_that_the_file_needs_or_that_comes_with_one(tmp_path: Path) -> None:
    """Not from a library that lies in the bundle and that nothing loads."""
    module = elf(needed=("libz.so.1",), undefined=("inflate", "XML_Parse"))
    craft = linux_bottle(module=module, library=elf(needed=("libexpat.so.1",), defined=("inflate",)))
    craft.put(f"{LIBRARIES}/libexpat.so.1", elf(defined=("XML_Parse",)), 0o755)
    assert undefined(craft, tmp_path / "good") == []
    craft.put(f"{LIBRARIES}/libz.so.1", elf(defined=("inflate",)), 0o755)
    assert undefined(craft, tmp_path / "bad") == [(MODULE, "XML_Parse: not in any library that is loaded with it")]


@pytest.mark.parametrize(
    ("symbol", "seen"),
    [
        (("memcpy", "GLIBC_2.14"), []),
        (("memcpy", "GLIBC_2.3"), ["memcpy@GLIBC_2.3: not in libc.so.6"]),
        (("no_such_call", "GLIBC_2.14"), ["no_such_call@GLIBC_2.14: not in libc.so.6"]),
        (("pow", "GLIBC_2.29"), ["pow@GLIBC_2.29: not in libc.so.6"]),
    ],
)
def test_glibc_has_a_symbol_in_a_version_and_in_one_library(
    symbol: tuple[str, str], seen: list[str], tmp_path: Path
) -> None:
    """`pow` is in libm, which the file does not name."""
    found = undefined(linux_bottle(module=elf(needed=("libc.so.6",), symbols=(symbol,))), tmp_path)
    assert [said for _, said in found] == seen


def test_a_symbol_newer_than_the_promised_glibc_is_found_once(tmp_path: Path) -> None:
    module = elf(needed=("libc.so.6",), symbols=(("no_such_call", "GLIBC_2.38"),))
    report = audit(linux_bottle(module=module), tmp_path, Policy(glibc_floor="2.31"))
    assert [(found.check, found.path) for found in report.findings] == [("glibc-floor", MODULE)]


@pytest.mark.parametrize(
    ("bind", "seen"),
    [
        (("_memcpy", 1), []),
        (("_inflate", 2), []),
        (("_inflate", 1), ["_inflate: not in /usr/lib/libSystem.B.dylib"]),
        (("_memcpy", 2), ["_memcpy: not in @rpath/libz.1.dylib"]),
        (("_memcpy", 2, True), []),
        (("_memcpy", 3), ["_memcpy: from library 3 of the 2 that it names"]),
        (("_memcpy", FLAT), []),
        (("_inflate", FLAT), []),
        (("_PyModule_Create2", FLAT), []),
        (("_XML_ParserCreate", FLAT), ["_XML_ParserCreate: not in any library that is loaded with it"]),
        (("_XML_ParserCreate", FLAT, True), []),
        (("__mh_execute_header", MAIN_PROGRAM), []),
        (("_memcpy", MAIN_PROGRAM), ["_memcpy: not in its program"]),
        (("_memcpy", ITSELF), ["_memcpy: not in itself"]),
        (("_mkfifoat", 1), []),
        (("_pipe2", 1), ["_pipe2: in /usr/lib/libSystem.B.dylib from macOS 27.0 on, and 14.0 is promised"]),
        (("_pipe2", 1, True), []),
    ],
)
def test_dyld_looks_for_a_symbol_where_the_file_says(bind: tuple[str, int], seen: list[str], tmp_path: Path) -> None:
    """In one library, in all that are loaded, in the program or in itself; one that may be missing is no fault."""
    library = macho("amd64", identity=LIBZ, needed=(LIBSYSTEM,), exports=("_inflate",))
    python = macho("amd64", identity="@rpath/libpython3.13.dylib", exports=("_PyModule_Create2",))
    found = undefined(mac_bottle(python=python, library=library, binds=(bind,)), tmp_path)
    assert [said for _, said in found] == seen
    assert all(path == MODULE for path, _ in found)


def test_a_symbol_newer_than_the_promised_macos_is_found(tmp_path: Path) -> None:
    craft = mac_bottle(binds=(("_mkfifoat", 1),))
    assert [said for _, said in undefined(craft, tmp_path, Policy(macos_minimum="12.0"))] == [
        "_mkfifoat: in /usr/lib/libSystem.B.dylib from macOS 13.0 on, and 12.0 is promised"
    ]


def test_a_library_that_passes_another_on_has_its_symbols_too(tmp_path: Path) -> None:
    craft = mac_bottle(
        library=macho("amd64", identity=LIBZ, reexported=("@loader_path/libng.dylib",)), binds=(("_inflate", 2),)
    )
    craft.put(f"{LIBRARIES}/libng.dylib", macho("amd64", identity="@rpath/libng.dylib", exports=("_inflate",)), 0o755)
    assert undefined(craft, tmp_path) == []


def test_a_library_is_looked_for_in_the_search_paths_of_the_program_too(tmp_path: Path) -> None:
    """As dyld does for what a module needs."""
    craft = mac_bottle(search=())
    assert [each.path for each in found_by(audit(craft, tmp_path / "bad"), "needed-library")] == [MODULE]
    program = macho("amd64", kind=EXECUTE, needed=(LIBSYSTEM,), search=("@executable_path/lib",))
    craft.put("libexec/launcher/stigmer", freeze_around(program, "libpython3.13.dylib", "lib"), 0o755)
    assert found_by(audit(craft, tmp_path / "good"), "needed-library") == []


@pytest.mark.parametrize("name", ["/opt/homebrew/opt/zlib/lib/libz.1.dylib", "/Users/runner/build/libz.1.dylib"])
def test_a_library_of_the_builders_machine_is_found_wherever_it_is_named(name: str, tmp_path: Path) -> None:
    """As a needed library, as a search path and as a library's own name."""
    craft = mac_bottle(needed=(LIBSYSTEM, name), search=(name,), identity=name)
    report = audit(craft, tmp_path)
    for check in ("needed-library", "search-path", "library-identity"):
        assert [found.path for found in found_by(report, check)] == [MODULE], check


def test_libraries_without_a_list_are_named_and_are_no_fault(tmp_path: Path) -> None:
    craft = mac_bottle(needed=("/usr/lib/libffi.dylib",), binds=(("_ffi_call", 1), ("_ffi_prep_cif", 1)))
    report = audit(craft, tmp_path)
    assert [found.seen for found in found_by(report, "unchecked-symbols")] == ["2 symbols of /usr/lib/libffi.dylib"]
    assert report.passed


def test_many_symbols_of_one_library_are_one_finding(tmp_path: Path) -> None:
    module = elf(undefined=[f"call_{number}" for number in range(8)])
    assert undefined(linux_bottle(module=module), tmp_path) == [
        (MODULE, "call_0, call_1, call_2, call_3, call_4 and 3 more: not in any library that is loaded with it")
    ]


def test_the_systems_lists_know_where_and_since_when_a_symbol_is() -> None:
    linux = system_symbols(parse_target("linux-amd64"))
    assert {"GLIBC_2.2.5", "GLIBC_2.14"} <= linux["libc.so.6"]["memcpy"]
    assert "GLIBC_2.30" in linux["libpthread.so.0"]["sem_clockwait"]
    assert "GLIBC_2.14" not in system_symbols(parse_target("linux-arm64"))["libc.so.6"]["memcpy"]
    for target in ("darwin-arm64", "darwin-amd64"):
        mac = system_symbols(parse_target(target))[LIBSYSTEM]
        assert (*mac["_preadv"], *mac["_open"]) == ("11.0", "0")
        assert "_uuid_generate_time_safe" not in mac


def test_a_text_based_stub_is_read_for_one_architecture() -> None:
    text = """--- !tapi-tbd
exports:
  - targets: [ x86_64-macos, arm64e-macos ]
    symbols: [ _both, '_open$NOCANCEL',
               '$ld$hide$os10.4$_both' ]
    weak-symbols: [ _weak ]
    objc-classes: [ NSObject ]
  - targets: [ x86_64-macos ]
    symbols: [ _old ]
--- !tapi-tbd
exports:
  - targets: [ arm64e-maccatalyst ]
    symbols: [ _tablet ]
"""
    assert list(parse_tbd(text, {"arm64e-macos"})) == ["_both", "_open$NOCANCEL", "_weak"]
    assert list(parse_tbd(text, {"x86_64-macos"}))[-1] == "_old"


def test_the_first_macos_of_a_symbol_is_read_from_declarations() -> None:
    """By the name that the linker sees; what every macOS has is left out."""
    dump = [
        "|-FunctionDecl 0x1 <a.h:1:1> col:5 used mkfifoat 'int (int, const char *, mode_t)'",
        "| |-ParmVarDecl 0x2 <col:1> col:2 'int'",
        '| `-AvailabilityAttr 0x3 <b.h:2:3, col:4> macos 13.0 0 0 "" "" 0',
        "|-FunctionDecl 0x4 <a.h:1:1> col:5 fopen 'FILE *(const char *)'",
        '| |-AvailabilityAttr 0x3 <b.h:2:3, col:4> macos 26.0 0 0 "" "" 0',
        '| `-AsmLabelAttr 0x5 <c.h:6:7> "\x01_fopen$NEW"',
        "|-FunctionDecl 0x4 <a.h:1:1> col:5 openat 'int (int)'",
        '| `-AvailabilityAttr 0x3 <b.h:2:3, col:4> macos 10.10 0 0 "" "" 0',
        "|-TypedefDecl 0x4 <a.h:1:1> col:5 id 'int'",
        '| `-AvailabilityAttr 0x3 <b.h:2:3, col:4> macos 14.0 0 0 "" "" 0',
    ]
    found = dict(parse_availability(dump))
    assert found == {"_mkfifoat": "13.0", "_fopen$NEW": "26.0"}
    assert render({("lib", "1", "b"), ("lib", "1", "a")}) == "lib 1 a b\n"
