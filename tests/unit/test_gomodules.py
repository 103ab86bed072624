"""The modules of a Go program are read from its build info, and their licences from exactly those sources."""

import os
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.binaries.buildinfo import BuildInfo, GoModule, read_build_info
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import DownloadError
from stigmer_packaging.licensing.gomodules import credit_go
from stigmer_packaging.licensing.licences import Credit
from support.go_modules import program, serve_module
from support.native_code import go_on_path, go_program

MIT = "Permission is hereby granted, free of charge, to any person: this permission notice shall be included.\n"
ABOUT = """path\ta.example/main/cmd
mod\ta.example/main\tv1.2.3\t
dep\ta.example/one\tv1.0.0\th1:one=
dep\ta.example/old\tv0.1.0\t
=>\ta.example/new\tv0.2.0\th1:new=
dep\ta.example/main/part\tv0.0.0\t
=>\t./part\t(devel)\t
build\tGOOS=linux
"""


def test_modules_are_read_with_their_replacements() -> None:
    """A module replaced by a folder keeps its name and has no checksum."""
    assert read_build_info(program("go1.26.8", ABOUT)) == BuildInfo(
        "1.26.8",
        GoModule("a.example/main", "v1.2.3", ""),
        (
            GoModule("a.example/one", "v1.0.0", "h1:one="),
            GoModule("a.example/new", "v0.2.0", "h1:new="),
            GoModule("a.example/main/part", "v0.0.0", ""),
        ),
    )


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_go_version_read_from_a_real_program_is_the_one_that_go_prints(system: str, tmp_path: Path) -> None:
    content = go_program(system, "arm64")
    (tmp_path / "program").write_bytes(content)
    output = command.run(["go", "version", "-m", tmp_path / "program"]).stdout
    info = read_build_info(content)
    assert info is not None
    assert output.splitlines()[0].endswith(f"go{info.go}")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\xff Go buildinf:", b"\xff Go buildinf:\x08\x00" + bytes(40)])
def test_a_file_that_is_not_a_go_program_has_no_build_info(content: bytes) -> None:
    assert read_build_info(content) is None


def test_a_damaged_or_incomplete_go_version_is_accepted() -> None:
    """It once ended an audit with a traceback."""
    damaged = program("go1.26.8", ABOUT).replace(b"go1.26.8", b"go1.\xff6.8")
    assert [info.go for info in map(read_build_info, (damaged, program("go", ABOUT))) if info] == ["1.\ufffd6.8", ""]


def credit(folder: Path, *modules: GoModule, main: GoModule | None = None) -> dict[str, Credit]:
    found = go_on_path()
    env = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "GOSUMDB": "off"}
    env["GOPROXY"] = f"file://{folder}/proxy"
    info = BuildInfo("1.26.8", main or GoModule("ours.example", "(devel)", ""), modules)
    credited = credit_go(info, licence="ISC", program=found, cache=folder / "cache", env=env, report=lambda _: None)
    return {each.name: each for each in credited}


def test_each_module_is_credited_with_its_licence_and_all_its_texts(tmp_path: Path) -> None:
    files = {"LICENSE": MIT, "inner/LICENSE": "another\n", "testdata/LICENSE": "no\n", "license.go": "package one\n"}
    checksum = serve_module(tmp_path / "proxy", "a.example/one", "v1.0.0", files)
    module = GoModule("a.example/one", "v1.0.0", checksum)
    found = credit(tmp_path, module)
    purl = "pkg:golang/a.example/one@v1.0.0"
    assert found["a.example/one"] == Credit("a.example/one", "v1.0.0", "MIT", purl, (MIT, "another\n"))
    assert found["go"].purl == "pkg:golang/stdlib@1.26.8"
    assert set(found) == {"go", "a.example/one"}, "the main module is not credited"
    shutil.rmtree(tmp_path / "proxy")
    assert credit(tmp_path, module) == found, "sources are fetched once"
    assert [path.suffix for path in (tmp_path / "cache" / "licences").iterdir()] == [".json"], "sources are not kept"


def test_a_module_in_a_folder_of_the_main_module_has_its_licence(tmp_path: Path) -> None:
    serve_module(tmp_path / "proxy", "a.example/main", "v1.2.3", {"LICENSE": MIT})
    main, part = GoModule("a.example/main", "v1.2.3", ""), GoModule("a.example/main/part", "v0.0.0", "")
    found = credit(tmp_path, part, main=main)
    assert (found["a.example/main/part"].licence, found["a.example/main"].texts) == ("MIT", (MIT,))


def test_a_module_of_the_source_tree_has_the_licence_of_the_component(tmp_path: Path) -> None:
    """Its version is "(devel)", so its licence text cannot be fetched."""
    checksum = serve_module(tmp_path / "proxy", "a.example/one", "v1.0.0", {"README": "no licence\n"})
    part, bare = GoModule("ours.example/libs", "(devel)", ""), GoModule("a.example/one", "v1.0.0", checksum)
    found = credit(tmp_path, part, bare)
    assert {name: each.licence for name, each in found.items() if name != "go"} == {
        "ours.example/libs": "ISC",
        "a.example/one": "NOASSERTION",
    }


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("v1.0.0", r"a\.example/one@v1\.0\.0 was downloaded as h1:.*was built from h1:other="),
        ("v2.0.0", r"cannot download the source of a\.example/one@v2\.0\.0 to read its licence"),
    ],
)
def test_a_source_with_another_checksum_or_that_cannot_be_downloaded_is_refused(
    tmp_path: Path, version: str, reason: str
) -> None:
    serve_module(tmp_path / "proxy", "a.example/one", "v1.0.0", {"LICENSE": MIT})
    with pytest.raises(DownloadError, match=reason):
        credit(tmp_path, GoModule("a.example/one", version, "h1:other="))


def test_a_module_that_needs_a_newer_go_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    """A machine without Go uses the pinned one, which may be older than a module requires."""
    checksum = serve_module(tmp_path / "proxy", "a.example/one", "v1.0.0", {"LICENSE": MIT}, go="1.999")
    with pytest.raises(DownloadError, match=r"requires go >= 1\.999") as raised:
        credit(tmp_path, GoModule("a.example/one", "v1.0.0", checksum))
    assert raised.value.remedy == "raise toolchain.go in the manifest to that version"
