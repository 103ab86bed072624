"""Libraries are found where the platform's loader would find them, among the platform's files, never this machine's."""

from pathlib import Path

import pytest

from stigmer_packaging.freeze.gcc_runtime import read_packages
from stigmer_packaging.freeze.linked import find_linked
from stigmer_packaging.lib.target import Target
from support.freezing import RECIPE
from support.native_code import elf, macho, place

LINUX, MAC = Target("linux", "arm64"), Target("darwin", "arm64")


def test_an_elf_file_names_its_folder_then_pythons_libraries_count_and_the_systems_do_not(tmp_path: Path) -> None:
    content = elf("arm64", needed=("libown.so.1", "libz.so.1", "libc.so.6", "libnowhere.so"), search="$ORIGIN/../libs")
    file = place(tmp_path / "site/package/module.so", content)
    own = place(tmp_path / "site/libs/libown.so.1", elf("arm64"))
    libz = place(tmp_path / "lib/libz.so.1", elf("arm64"))
    linked = find_linked([tmp_path / "site"], [tmp_path / "lib"], LINUX, {})
    assert linked[str(file)] == [("libown.so.1", str(own)), ("libz.so.1", str(libz)), ("libnowhere.so", None)]
    assert linked[str(own)] == []


def test_a_mach_o_file_names_a_library_from_its_folder_its_search_path_or_pythons_prefix(tmp_path: Path) -> None:
    """What lies in the system's folders is on every Mac."""
    names = ("@loader_path/.dylibs/libown.dylib", "/python3.13/lib/libssl.3.dylib", "/usr/lib/libSystem.B.dylib")
    file = place(tmp_path / "site/package/module.so", macho("arm64", needed=names))
    own = place(tmp_path / "site/package/.dylibs/libown.dylib", macho("arm64"))
    libssl = place(tmp_path / "python/lib/libssl.3.dylib", macho("arm64"))
    linked = find_linked([tmp_path / "site"], [], MAC, {"/python3.13": tmp_path / "python"})
    assert linked[str(file)] == [(names[0], str(own)), (names[1], str(libssl))]


def test_a_file_for_another_processor_and_one_that_is_not_native_are_passed_over(tmp_path: Path) -> None:
    place(tmp_path / "other.so", macho("amd64"))
    place(tmp_path / "text.so", b"no library")
    assert find_linked([tmp_path], [], MAC, {}) == {}


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_runtime_libraries_of_gcc_are_pinned_for_each_linux_with_their_licence(architecture: str) -> None:
    names = {Path(each.path).name.split("_")[0] for each in read_packages(RECIPE, Target("linux", architecture))}
    assert names == {"gcc-10-base", "libgcc-s1", "libstdc++6"}
    assert read_packages(RECIPE, Target("darwin", architecture)) == ()
