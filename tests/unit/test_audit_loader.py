"""The simulated loader finds what ld.so and dyld would refuse, without loading the bottle."""

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.loader.loading import system_symbols
from stigmer_packaging.lib.target import parse_target
from support.audit_bottles import LAUNCHER, LIBRARIES, MODULE, BottleBuilder, audit, findings_of, with_module
from support.frozen_programs import freeze_around
from support.native_code import BUNDLE, EXECUTE, elf, macho

LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
LIBZ = "@rpath/libz.1.dylib"
FLAT, MAIN_PROGRAM, ITSELF = -2, -1, 0


def undefined(builder: BottleBuilder, policy: Policy | None = None) -> list[str]:
    found = findings_of("undefined-symbol", builder, policy)
    assert {path for path, _ in found} <= {MODULE}
    return [seen for _, seen in found]


def add_python(builder: BottleBuilder, python: bytes) -> None:
    if builder.target.system == "linux":
        program = elf(interpreter="/lib64/ld-linux-x86-64.so.2", needed=("libc.so.6",), search="$ORIGIN/lib")
    else:
        program = macho("amd64", kind=EXECUTE, needed=(LIBSYSTEM,), exports=("__mh_execute_header",))
    builder.put(LAUNCHER, freeze_around(program, "libpython", "lib"), 0o755)
    builder.put(f"{LIBRARIES}/libpython", python, 0o755)


def mac_bottle(**module: object) -> BottleBuilder:
    """Return a bottle for macOS with this module, which needs libSystem and libz by default."""
    defaults: dict[str, object] = {"kind": BUNDLE, "needed": (LIBSYSTEM, LIBZ), "search": ("@loader_path/..",)}
    return with_module("darwin-amd64", macho("amd64", **(defaults | module)))  # type: ignore[arg-type]


def test_a_module_finds_the_symbols_of_python_in_the_library_that_its_program_loads() -> None:
    """Extension modules are not linked against libpython themselves."""
    builder = with_module("linux-amd64", elf(needed=("libc.so.6",), undefined=("PyModule_Create2",)))
    add_python(builder, elf(needed=("libc.so.6",), defined=("PyModule_Create2",)))
    assert undefined(builder) == []
    add_python(builder, elf())
    assert undefined(builder) == ["PyModule_Create2: not in any library loaded with it"]


def test_a_symbol_must_be_in_a_direct_or_transitive_dependency() -> None:
    """A library that is in the bundle but that nothing loads does not provide symbols."""
    builder = with_module("linux-amd64", elf(needed=("libz.so.1",), undefined=("inflate", "XML_Parse")))
    builder.put(f"{LIBRARIES}/libz.so.1", elf(needed=("libexpat.so.1",), defined=("inflate",)), 0o755)
    builder.put(f"{LIBRARIES}/libexpat.so.1", elf(defined=("XML_Parse",)), 0o755)
    assert undefined(builder) == []
    builder.put(f"{LIBRARIES}/libz.so.1", elf(defined=("inflate",)), 0o755)
    assert undefined(builder) == ["XML_Parse: not in any library loaded with it"]


def test_a_text_file_with_the_name_of_a_library_hides_the_system_library() -> None:
    """ld.so fails on such a file instead of searching further."""
    builder = with_module("linux-amd64", elf(needed=("libc.so.6",), symbols=(("memcpy", "GLIBC_2.14"),)))
    builder.put(f"{LIBRARIES}/libc.so.6", "INPUT(x)\n")
    assert (MODULE, "needs libc.so.6, which is neither in the keg nor a system library") in findings_of(
        "needed-library", builder
    )


def test_a_library_for_another_processor_is_skipped() -> None:
    builder = with_module("linux-amd64", elf(needed=("libz.so.1",), undefined=("inflate",)))
    builder.put(f"{LIBRARIES}/libz.so.1", elf("arm64", defined=("inflate",)), 0o755)
    findings = audit(builder).findings
    assert {(found.check, found.path) for found in findings if found.path != LAUNCHER} == {
        ("architecture", f"{LIBRARIES}/libz.so.1"),
        ("needed-library", MODULE),
        ("undefined-symbol", MODULE),
    }


@pytest.mark.parametrize(
    ("symbol", "seen"),
    [
        (("memcpy", "GLIBC_2.14"), []),
        (("memcpy", "GLIBC_2.3"), ["memcpy@GLIBC_2.3: not in libc.so.6"]),
        (("no_such_call", "GLIBC_2.14"), ["no_such_call@GLIBC_2.14: not in libc.so.6"]),
        (("pow", "GLIBC_2.29"), ["pow@GLIBC_2.29: not in libc.so.6"]),
    ],
)
def test_a_glibc_symbol_is_looked_up_with_its_version_in_the_needed_libraries(
    symbol: tuple[str, str], seen: list[str]
) -> None:
    """`pow` is in libm, which this file does not list as needed."""
    assert undefined(with_module("linux-amd64", elf(needed=("libc.so.6",), symbols=(symbol,)))) == seen


def test_a_symbol_newer_than_the_glibc_floor_is_reported_only_once() -> None:
    builder = with_module("linux-amd64", elf(needed=("libc.so.6",), symbols=(("no_such_call", "GLIBC_2.38"),)))
    report = audit(builder, Policy(glibc_floor="2.31"))
    assert [(found.check, found.path) for found in report.findings] == [("glibc-floor", MODULE)]


@pytest.mark.parametrize(
    ("bind", "seen"),
    [
        (("_memcpy", 1), []),
        (("_inflate", 2), []),
        (("_inflate", 1), ["_inflate: not in /usr/lib/libSystem.B.dylib"]),
        (("_memcpy", 2), ["_memcpy: not in @rpath/libz.1.dylib"]),
        (("_memcpy", 2, True), []),
        (("_memcpy", 3), ["_memcpy: bound to library 3, but it links only 2"]),
        (("_memcpy", FLAT), []),
        (("_inflate", FLAT), []),
        (("_PyModule_Create2", FLAT), []),
        (("_XML_ParserCreate", FLAT), ["_XML_ParserCreate: not in any library loaded with it"]),
        (("_XML_ParserCreate", FLAT, True), []),
        (("__mh_execute_header", MAIN_PROGRAM), []),
        (("_memcpy", MAIN_PROGRAM), ["_memcpy: not in its main program"]),
        (("_memcpy", ITSELF), ["_memcpy: not in the file itself"]),
        (("_mkfifoat", 1), []),
        (("_pipe2", 1), ["_pipe2: in /usr/lib/libSystem.B.dylib only since macOS 27.0, but the bottle promises 14.0"]),
        (("_pipe2", 1, True), []),
    ],
)
def test_a_symbol_is_looked_up_where_its_bind_ordinal_says(bind: tuple[str, int], seen: list[str]) -> None:
    """In one library, in all loaded ones, in the program or in the file itself; a missing weak symbol is no fault."""
    builder = mac_bottle(binds=(bind,))
    library = macho("amd64", identity=LIBZ, needed=(LIBSYSTEM,), exports=("_inflate",))
    builder.put(f"{LIBRARIES}/libz.1.dylib", library, 0o755)
    add_python(builder, macho("amd64", identity="@rpath/libpython", exports=("_PyModule_Create2",)))
    assert undefined(builder) == seen


def test_a_symbol_newer_than_the_oldest_supported_macos_is_found() -> None:
    assert undefined(mac_bottle(binds=(("_mkfifoat", 1),)), Policy(macos_minimum="12.0")) == [
        "_mkfifoat: in /usr/lib/libSystem.B.dylib only since macOS 13.0, but the bottle promises 12.0"
    ]


def test_a_library_provides_the_symbols_of_the_libraries_it_reexports() -> None:
    builder = mac_bottle(binds=(("_inflate", 2),))
    library = macho("amd64", identity=LIBZ, reexported=("@loader_path/libng.dylib",))
    builder.put(f"{LIBRARIES}/libz.1.dylib", library, 0o755)
    builder.put(f"{LIBRARIES}/libng.dylib", macho("amd64", identity="@rpath/libng.dylib", exports=("_inflate",)), 0o755)
    assert undefined(builder) == []


def test_libraries_that_reexport_each_other_do_not_cause_an_endless_search() -> None:
    builder = mac_bottle(binds=(("_inflate", 2),))
    for name, other in (("libz.1", "libng"), ("libng", "libz.1")):
        library = macho("amd64", identity=f"@rpath/{name}.dylib", reexported=(f"@loader_path/{other}.dylib",))
        builder.put(f"{LIBRARIES}/{name}.dylib", library, 0o755)
    assert undefined(builder) == ["_inflate: not in @rpath/libz.1.dylib"]


def test_the_search_paths_of_the_program_are_used_for_its_modules() -> None:
    """When dyld loads a module, it also searches the rpaths of the main program."""
    builder = mac_bottle(search=())
    assert [path for path, _ in findings_of("needed-library", builder)] == [MODULE]
    program = macho("amd64", kind=EXECUTE, needed=(LIBSYSTEM,), search=("@executable_path/lib",))
    builder.put(LAUNCHER, freeze_around(program, "libpython", "lib"), 0o755)
    assert findings_of("needed-library", builder) == []


def test_a_library_of_the_build_machine_is_found_in_every_load_command() -> None:
    name = "/opt/homebrew/opt/zlib/lib/libz.1.dylib"
    findings = audit(mac_bottle(needed=(LIBSYSTEM, name), search=(name,), identity=name)).findings
    assert {(found.check, found.path) for found in findings} == {
        ("needed-library", MODULE),
        ("search-path", MODULE),
        ("library-identity", MODULE),
    }


def test_system_libraries_without_a_symbol_list_are_reported_but_allowed() -> None:
    report = audit(mac_bottle(needed=("/usr/lib/libffi.dylib",), binds=(("_ffi_call", 1), ("_ffi_prep_cif", 1))))
    assert [found.observation for found in report.findings] == ["2 symbols of /usr/lib/libffi.dylib"]
    assert report.passed


def test_many_missing_symbols_of_a_file_are_one_finding() -> None:
    assert undefined(with_module("linux-amd64", elf(undefined=[f"call_{number}" for number in range(8)]))) == [
        "call_0, call_1, call_2, call_3, call_4 and 3 more: not in any library loaded with it"
    ]


def test_the_symbol_lists_record_the_library_and_version_of_a_symbol() -> None:
    linux = system_symbols(parse_target("linux-amd64"))
    assert {"GLIBC_2.2.5", "GLIBC_2.14"} <= linux["libc.so.6"]["memcpy"]
    assert "GLIBC_2.30" in linux["libpthread.so.0"]["sem_clockwait"]
    assert "GLIBC_2.14" not in system_symbols(parse_target("linux-arm64"))["libc.so.6"]["memcpy"]
    for target in ("darwin-arm64", "darwin-amd64"):
        mac = system_symbols(parse_target(target))[LIBSYSTEM]
        assert (*mac["_preadv"], *mac["_open"]) == ("11.0", "0")
        assert "_uuid_generate_time_safe" not in mac
