"""Missing tools of the system are reported all at once with their packages, or installed by root."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import CommandError, MissingToolError, PackagingError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.pipeline.system import (
    LINUX,
    OWN_PYTHON,
    Machine,
    Requirement,
    find_missing,
    provide,
    read_platform,
)
from support.keg_standin import quiet
from support.native_code import place

FAKE_APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >> "{log}"
case $1 in install) for name; do :; done; {effect} ;; esac
"""


def machine(folder: Path, *programs: str, is_root: bool = False, effect: str = ":") -> Machine:
    """Return a machine that has these programs; its apt-get logs its arguments."""
    folder.mkdir(exist_ok=True)
    for name in programs:
        script = FAKE_APT.format(log=folder / "log", effect=effect) if name == "apt-get" else "#!/bin/sh\n"
        place(folder / name, script.encode())
    return Machine("linux", str(folder), is_root)


def tool(name: str) -> Requirement:
    return Requirement("verify", name, name, "does things", lambda here: here.has(name))


def test_only_tools_that_the_stages_need_are_looked_for(tmp_path: Path) -> None:
    bare = machine(tmp_path / "bin")
    assert find_missing(["obtain", "bottle", "formula"], bare) == ()
    assert {one.package for one in find_missing(["verify"], bare)} >= {"bubblewrap", "mmdebstrap"}
    assert find_missing(["freeze"], bare) == (), "the pinned Python needs no program of the machine"
    assert {one.name for one in find_missing([OWN_PYTHON], bare)} >= {"objdump", "objcopy"}
    assert "objcopy" not in {one.name for one in find_missing([OWN_PYTHON], machine(tmp_path / "bin", "objcopy"))}


def test_nothing_is_installed_if_nothing_is_missing(tmp_path: Path) -> None:
    here = machine(tmp_path / "bin", "apt-get", is_root=True)
    provide((), here, env={"PATH": here.path}, report=quiet)
    assert not (tmp_path / "bin" / "log").exists()


def test_all_missing_tools_are_reported_with_the_packages_to_install(tmp_path: Path) -> None:
    missing = tuple(one for one in LINUX if one.name in {"bwrap", "mmdebstrap"})
    with pytest.raises(MissingToolError) as caught:
        provide(missing, machine(tmp_path / "bin", "apt-get"), env={}, report=quiet)
    assert "bwrap (verify: runs the sandbox)" in str(caught.value)
    assert "mmdebstrap" in str(caught.value)
    assert "apt-get install bubblewrap mmdebstrap" in caught.value.remedy


def test_root_on_debian_installs_packages_after_one_update_without_questions(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    here = machine(folder, "apt-get", is_root=True, effect=f'echo > "{folder}/$name"; /bin/chmod 755 "{folder}/$name"')
    messages: list[str] = []
    provide((tool("bwrap"),), here, env={"PATH": here.path}, report=messages.append)
    assert (folder / "log").read_text(encoding="ascii").splitlines() == [
        "noninteractive update --quiet",
        "noninteractive install --yes --quiet --no-install-recommends bwrap",
    ]
    assert messages == ["installing bwrap"]


@pytest.mark.parametrize(
    ("effect", "error", "message"),
    [
        (":", MissingToolError, "bwrap"),
        ("echo no such package >&2; exit 100", CommandError, "no such package"),
    ],
)
def test_an_installation_that_fails_or_does_not_provide_the_tool_is_reported(
    effect: str, error: type[PackagingError], message: str, tmp_path: Path
) -> None:
    here = machine(tmp_path / "bin", "apt-get", is_root=True, effect=effect)
    with pytest.raises(error, match=message):
        provide((tool("bwrap"),), here, env={"PATH": here.path}, report=quiet)


def test_on_macos_the_remedy_is_to_install_the_command_line_tools(tmp_path: Path) -> None:
    mac = Machine("darwin", str(tmp_path), is_root=False)
    missing = find_missing(["freeze", "verify"], mac)
    assert {one.name for one in missing} == {"codesign"}
    with pytest.raises(MissingToolError) as caught:
        provide(missing, mac, env={}, report=quiet)
    assert "xcode-select --install" in caught.value.remedy


@pytest.mark.parametrize(
    ("system", "machine_name", "target"),
    [
        ("Linux", "x86_64", Target("linux", "amd64")),
        ("Linux", "aarch64", Target("linux", "arm64")),
        ("Darwin", "arm64", Target("darwin", "arm64")),
    ],
)
def test_a_platform_is_read_from_uname(system: str, machine_name: str, target: Target) -> None:
    assert read_platform(system, machine_name) == target


def test_an_unsupported_platform_is_reported_by_name() -> None:
    with pytest.raises(MissingToolError, match="cannot build on FreeBSD riscv64"):
        read_platform("FreeBSD", "riscv64")
