"""Native code is read as the system's loader reads it, from real programs and from deliberately broken ones."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.binaries import elf_edit
from stigmer_packaging.binaries.elf import read_elf
from stigmer_packaging.binaries.macho import read_machos
from support.audit_bottles import LAUNCHER, findings_of, good_bottle, with_module
from support.native_code import BUNDLE, chained, elf, fat, flip, go_program, macho

SYSTEM = "/usr/lib/libSystem.B.dylib"
WINDOWS = b"MZ".ljust(60, b"\0") + (64).to_bytes(4, "little") + b"PE\0\0"


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own programs are ELF files on Linux only")
def test_a_program_of_this_system_needs_a_loader_and_libc() -> None:
    image = read_elf(Path(shutil.which("true") or "/bin/true").read_bytes())
    assert image.interpreter.startswith("/lib")
    assert ("libc.so.6" in image.needed, image.search, image.private) == (True, (), False)
    assert image.glibc >= (2, 17)
    assert image.newest


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_a_static_go_program_for_linux_needs_no_library(architecture: str) -> None:
    image = read_elf(go_program("linux", architecture))
    assert (image.architecture, image.interpreter, image.needed, image.glibc) == (architecture, "", (), ())


@pytest.mark.parametrize(("architecture", "flaws"), [("arm64", ()), ("amd64", None)])
def test_a_go_program_for_macos_is_signed_on_arm64(architecture: str, flaws: tuple[str, ...] | None) -> None:
    (program,) = read_machos(go_program("darwin", architecture))
    assert (program.architecture, program.flaws) == (architecture, flaws)
    assert ([each.name for each in program.libraries], program.platform) == ([SYSTEM], "MACOS")
    assert program.minimum is not None


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.95])
def test_changing_any_byte_breaks_the_signature_of_a_go_program(share: float) -> None:
    signed = go_program("darwin", "arm64")
    offset = 2048 + int(share * len(signed) * 0.9)
    (program,) = read_machos(flip(signed, offset))
    assert program.flaws is not None
    assert [flaw for flaw in program.flaws if f"first at {offset // 4096 * 4096:#x}" in flaw]


@pytest.mark.parametrize("digests", [("sha1",), ("sha256",), ("sha384",), ("sha1", "sha256")])
def test_each_code_directory_is_checked_with_its_own_digest(digests: tuple[str, ...]) -> None:
    image = macho(digests=digests, content=b"x" * 9000)
    assert read_machos(image)[0].flaws == ()
    assert read_machos(flip(image, 5000))[0].flaws == tuple(
        f"1 of 3 pages differ from what was signed ({name}), first at 0x1000" for name in digests
    )


def test_a_signature_that_covers_only_part_of_the_file_is_found() -> None:
    """Anything appended after signing is not covered."""
    image = macho(digests=("sha256",), content=b"x" * 9000)
    offset = image.index(b"\xfa\xde\x0c\x02") + 32
    shorter = image[:offset] + (4096).to_bytes(4, "big") + image[offset + 4 :]
    flaws = read_machos(shorter)[0].flaws or ()
    assert [flaw.split(" of ")[0] for flaw in flaws] == [
        "the signature covers 4096",
        "the signature has 3 digests for 1 pages",
    ]


def test_requirements_changed_after_signing_are_found() -> None:
    image = macho(digests=("sha256",))
    changed = flip(image, image.index(b"\xfa\xde\x0c\x01") + 11)
    assert read_machos(changed)[0].flaws == ("the requirements differ from what was signed (sha256)",)


def test_requirements_without_a_digest_are_found() -> None:
    """The field is the number of digests of other blobs than the pages."""
    image = macho(digests=("sha256",))
    place = image.index(b"\xfa\xde\x0c\x02") + 24
    unbound = image[:place] + bytes(4) + image[place + 4 :]
    assert read_machos(unbound)[0].flaws == ("the requirements differ from what was signed (sha256)",)


@pytest.mark.parametrize("magic", [b"\xfa\xde\x0c\xc0", b"\xfa\xde\x0c\x02"])
def test_a_damaged_signature_is_reported_as_a_flaw(magic: bytes) -> None:
    image = macho(digests=("sha256",))
    assert read_machos(image.replace(magic, b"\0\0\0\0"))[0].flaws
    assert read_machos(image[:-40])[0].flaws


@pytest.mark.parametrize(
    ("magic", "field", "flaw"),
    [
        (b"\xfa\xde\x0c\xc0", 4, "wrong magic number or length"),
        (b"\xfa\xde\x0c\x02", 4, "blob 0x0 extends past its end"),
        (b"\xfa\xde\x0c\x02", 24, "a code directory is too small for its digests"),
        (b"\xfa\xde\x0c\x02", 28, "a code directory is too small for its digests"),
        (b"\xfa\xde\x0c\x02", 36, "a code directory has digests of unknown type 0 with 0 bytes"),
    ],
)
def test_a_signature_whose_numbers_contradict_each_other_is_damaged(magic: bytes, field: int, flaw: str) -> None:
    """The fields are the lengths of the signature and of a blob, the counts of digests, and their size and type."""
    image = macho(digests=("sha256",))
    place = image.index(magic) + field
    changed = image[:place] + (999).to_bytes(4, "big") + image[place + 4 :]
    assert read_machos(changed)[0].flaws == (f"the signature is damaged: {flaw}",)


def test_every_slice_of_a_universal_file_is_read() -> None:
    both = read_machos(fat(macho("amd64"), macho("arm64", digests=("sha256",))))
    assert [(each.architecture, each.flaws) for each in both] == [("amd64", None), ("arm64", ())]


@pytest.mark.parametrize("make", [lambda binds: macho(binds=binds), lambda binds: chained(*binds)])
def test_binds_are_read_from_opcodes_and_from_chained_fixups(make: Callable[[Sequence[Any]], bytes]) -> None:
    """Both formats must give the same library ordinals."""
    binds = [("_one", 1), ("_many", 12), ("_weak", 2, True), ("_self", 0), ("_main", -1), ("_flat", -2), ("_cxx", -3)]
    (found,) = read_machos(make(binds))
    assert found.binds == {(name, ordinal, any(weak)) for name, ordinal, *weak in binds}


def test_a_weak_definition_is_looked_up_in_all_libraries() -> None:
    """The opcodes for weak definitions, such as those of C++, have no library. Source: dyld_info_command."""
    image = macho(binds=[("__Znwm", 1)])
    fields = image.index(b"\x22\0\0\x80") + 16
    moved = image[:fields] + bytes(8) + image[fields : fields + 8] + image[fields + 16 :]
    (found,) = read_machos(moved)
    assert [(bind.name, bind.ordinal) for bind in found.binds] == [("__Znwm", -3)]


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_a_program_for_macos_that_ends_before_its_last_segment_is_refused(architecture: str) -> None:
    with pytest.raises(ValueError, match="truncated"):
        read_machos(go_program("darwin", architecture)[:-1])


@pytest.mark.parametrize("size", [4, 20, 64, 100, 300])
@pytest.mark.parametrize(
    ("content", "read"), [(elf(needed=("libc.so.6",)), read_elf), (macho(needed=(SYSTEM,) * 9), read_machos)]
)
def test_a_truncated_file_is_refused(content: bytes, read: Callable[[bytes], object], size: int) -> None:
    with pytest.raises(ValueError, match=r"truncated|unreadable"):
        read(content[:size])


def test_an_elf_file_without_the_end_of_its_section_headers_is_refused() -> None:
    content = elf_edit.strip(elf(needed=("libc.so.6",)))
    assert read_elf(content).needed == ("libc.so.6",)
    with pytest.raises(ValueError, match="truncated"):
        read_elf(content[:-1])


@pytest.mark.parametrize(
    ("symbols", "glibc", "newest"),
    [
        ([("memcpy", "GLIBC_2.9"), ("pow", "GLIBC_2.29"), ("exp", "GLIBC_2.29")], (2, 29), ("exp", "pow")),
        ([("memcpy", "GLIBC_2.14"), ("x", "GLIBCXX_3.4.29"), ("y", "GLIBC_PRIVATE")], (2, 14), ("memcpy",)),
        ([("memcpy", "GLIBC_2.14"), ("", "GLIBC_ABI_DT_RELR")], (2, 36), ()),
        ([("x", "OTHER_9.9")], (), ()),
    ],
)
def test_the_needed_glibc_is_the_numerically_highest_version_with_its_symbols(
    symbols: Sequence[tuple[str, str]], glibc: tuple[int, ...], newest: tuple[str, ...]
) -> None:
    """Relative relocations (DT_RELR) need glibc 2.36, which may be newer than any symbol needs."""
    image = read_elf(elf(symbols=symbols))
    assert (image.glibc, image.newest) == (glibc, newest)


@pytest.mark.parametrize(("version", "count"), [("GLIBC_2.31", 0), ("GLIBC_2.32", 1), ("GLIBC_2.100", 1)])
def test_a_file_must_not_need_a_newer_glibc_than_the_policy_promises(version: str, count: int) -> None:
    builder = with_module("linux-amd64", elf(needed=("libc.so.6",), symbols=(("pow", version),)))
    assert len(findings_of("glibc-floor", builder, Policy(glibc_floor="2.31"))) == count


@pytest.mark.parametrize("content", [macho("arm64"), fat(macho("amd64"), macho("arm64")), elf(), WINDOWS])
def test_code_for_another_platform_is_found(content: bytes) -> None:
    assert len(findings_of("architecture", with_module("darwin-amd64", content))) == 1


def test_a_program_needs_a_search_path_of_its_own() -> None:
    """PyInstaller's bootloader sets a search path and executes itself again, but needs libz before that."""
    builder = good_bottle()
    builder.put(LAUNCHER, elf(interpreter="/lib64/ld-linux-x86-64.so.2", needed=("libz.so.1",)), 0o755)
    seen = "needs libz.so.1, which is neither in the keg nor a system library"
    assert findings_of("needed-library", builder) == [(LAUNCHER, seen)]


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("$ORIGIN:$ORIGIN/..:${ORIGIN}/../..", 0),
        ("$ORIGIN/..:/usr/lib", 1),
        ("$ORIGIN/..:", 1),
        ("$ORIGIN/../../../../../lib", 1),
        ("$ORIGINAL/lib", 1),
        ("lib", 1),
    ],
)
def test_only_search_paths_inside_the_keg_are_accepted(search: str, count: int) -> None:
    assert len(findings_of("search-path", with_module("linux-amd64", elf(search=search)))) == count


@pytest.mark.parametrize(
    ("needed", "optional", "search", "missing"),
    [
        (("/opt/homebrew/opt/openssl@3/lib/libssl.3.dylib",), (), (), 1),
        (("@rpath/libz.1.dylib",), (), (), 1),
        (("@rpath/libz.1.dylib",), (), ("@loader_path/..",), 0),
        (("@rpath/libother.dylib",), (), ("@loader_path/..",), 1),
        (("@loader_path/../libz.1.dylib",), (), (), 0),
        (("@loader_path/libz.1.dylib",), (), (), 1),
        (("libz.1.dylib",), (), (), 1),
        (("/System/Library/PrivateFrameworks/X.framework/X",), (), (), 1),
        (("/System/Library/Frameworks/Security.framework/Versions/A/Security",), (), (), 0),
        ((SYSTEM,), ("/opt/absent.dylib",), (), 0),
    ],
)
def test_a_library_on_macos_must_be_in_the_keg_or_part_of_the_system(
    needed: tuple[str, ...], optional: tuple[str, ...], search: tuple[str, ...], missing: int
) -> None:
    code = macho("amd64", kind=BUNDLE, needed=needed, optional=optional, search=search)
    assert len(findings_of("needed-library", with_module("darwin-amd64", code))) == missing


@pytest.mark.parametrize(
    ("identity", "count"),
    [("@rpath/x", 0), ("@loader_path/x", 0), ("/Users/me/target/libx.dylib", 1), ("/usr/lib/libx.dylib", 1), ("x", 1)],
)
def test_the_install_name_of_a_library_must_be_one_that_brew_does_not_rewrite(identity: str, count: int) -> None:
    builder = with_module("darwin-amd64", macho("amd64", identity=identity))
    assert len(findings_of("library-identity", builder)) == count


@pytest.mark.parametrize(("minimum", "count"), [((14, 0), 0), ((14, 6), 1), (None, 1)])
def test_a_file_must_not_need_a_newer_macos_than_the_bottle_tag(minimum: tuple[int, int] | None, count: int) -> None:
    """A bottle for macOS 14 is also poured on 14.0."""
    builder = with_module("darwin-amd64", macho("amd64", minimum=minimum))
    assert len(findings_of("macos-minimum", builder)) == count
