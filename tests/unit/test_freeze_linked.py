"""Libraries are searched where the target's loader would search, among the target's files, never on this machine."""

from pathlib import Path

import pytest

from stigmer_packaging.freeze.gcc_runtime import read_packages
from stigmer_packaging.freeze.linked import find_linked
from stigmer_packaging.lib.target import Target
from support.freezing import RECIPE
from support.native_code import elf, macho, place

LINUX, MAC = Target("linux", "arm64"), Target("darwin", "arm64")


def test_elf_libraries_are_found_by_search_path_then_beside_python_and_system_ones_are_skipped(tmp_path: Path) -> None:
    content = elf("arm64", needed=("libown.so.1", "libz.so.1", "libc.so.6", "libnowhere.so"), search="$ORIGIN/../libs")
    file = place(tmp_path / "site/package/module.so", content)
    own = place(tmp_path / "site/libs/libown.so.1", elf("arm64"))
    libz = place(tmp_path / "lib/libz.so.1", elf("arm64"))
    linked = find_linked([tmp_path / "site"], [tmp_path / "lib"], LINUX, {})
    assert linked[str(file)] == [("libown.so.1", str(own)), ("libz.so.1", str(libz)), ("libnowhere.so", None)]
    assert linked[str(own)] == []


def test_macho_libraries_are_found_beside_the_file_or_below_the_prefix_of_python(tmp_path: Path) -> None:
    """Libraries in the system's folders exist on every Mac and are skipped."""
    names = ("@loader_path/.dylibs/libown.dylib", "/python3.13/lib/libssl.3.dylib", "/usr/lib/libSystem.B.dylib")
    file = place(tmp_path / "site/package/module.so", macho("arm64", needed=names))
    own = place(tmp_path / "site/package/.dylibs/libown.dylib", macho("arm64"))
    libssl = place(tmp_path / "python/lib/libssl.3.dylib", macho("arm64"))
    linked = find_linked([tmp_path / "site"], [], MAC, {"/python3.13": tmp_path / "python"})
    assert linked[str(file)] == [(names[0], str(own)), (names[1], str(libssl))]


def test_files_for_another_processor_and_non_native_files_are_skipped(tmp_path: Path) -> None:
    place(tmp_path / "other.so", macho("amd64"))
    place(tmp_path / "text.so", b"no library")
    assert find_linked([tmp_path], [], MAC, {}) == {}


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_gcc_runtime_libraries_and_their_licence_are_pinned_for_each_linux_target(architecture: str) -> None:
    names = {Path(each.path).name.split("_")[0] for each in read_packages(RECIPE, Target("linux", architecture))}
    assert names == {"gcc-10-base", "libgcc-s1", "libstdc++6"}
    assert read_packages(RECIPE, Target("darwin", architecture)) == ()
