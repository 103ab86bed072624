"""Executables are obtained for the right platform, which is read from their headers."""

import os
import shutil
import struct
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import GateError, RecordError, SourceError
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.records.model import BuiltPart
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources.stage import find_platforms, obtain_component, refuse_foreign
from support.keg_standin import standin_manifest
from support.native_code import elf, fat, macho, place

UNKNOWN = macho("arm64")[:4] + struct.pack("<I", 0x0200000C) + macho("arm64")[8:]
"""A Mach-O file for a processor that lief does not know: arm64_32, as in the Apple Watch."""
BIG_ENDIAN = (
    b"\x7fELF\2\2\1" + bytes(9) + struct.pack(">HHIQQQIHHHHHH", 2, 21, 1, 0, 64, 0, 0, 64, 56, 0, 64, 0, 0) + bytes(64)
)
OF_32_BITS = (
    b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 0, 40, 0, 0) + bytes(64)
)
JAVA_CLASS = struct.pack(">II", 0xCAFEBABE, 61) + bytes(100)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (elf("amd64"), ["linux-amd64"]),
        (elf("arm64"), ["linux-arm64"]),
        (elf("386"), ["linux-I386"]),
        (macho("arm64"), ["darwin-arm64"]),
        (macho("amd64"), ["darwin-amd64"]),
        (fat(macho("amd64"), macho("arm64")), ["darwin-amd64", "darwin-arm64"]),
        (JAVA_CLASS, []),
        (b"#!/bin/sh\nexec true\n", []),
        (b"<!DOCTYPE html><html>", []),
        (b"", []),
        (b"\x7fELF", []),
        (elf("amd64")[:18] + struct.pack("<H", 300) + elf("amd64")[20:], ["linux-300"]),
        (BIG_ENDIAN, ["linux-PPC64 (not 64-bit little-endian)"]),
        (OF_32_BITS, ["linux-I386 (not 64-bit little-endian)"]),
        (elf("amd64")[:32] + struct.pack("<Q", 1 << 63) + elf("amd64")[40:], []),
        (fat(macho("amd64"), UNKNOWN), ["darwin-amd64", f"darwin-{0x0200000C}"]),
    ],
)
def test_the_platforms_of_an_executable_are_read_from_its_headers(content: bytes, expected: list[str]) -> None:
    assert [str(platform) for platform in find_platforms(content)] == expected


def test_an_executable_of_another_platform_is_refused_by_name(tmp_path: Path) -> None:
    program, linux = tmp_path / "temporal", parse_target("linux-amd64")
    program.write_bytes(elf("arm64"))
    with pytest.raises(SourceError, match=r"temporal should be .* for linux-amd64, but is .* for linux-arm64"):
        refuse_foreign(program, linux)
    program.write_bytes(elf("amd64"))
    refuse_foreign(program, linux)


class FakeSource:
    """Fake source of an executable with this content."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def facts(self) -> Mapping[str, object]:
        """Return nothing: it always gives the same."""
        return {}

    def fetch(self, destination: Path) -> None:
        """Write the content."""
        place(destination, self.content)


def obtain(workspace: Workspace, content: bytes, target: Target, env: Mapping[str, str] | None) -> BuiltPart:
    """Obtain a component that requires the variable MODE."""
    (part, *_) = standin_manifest().components
    part = replace(part, required=("MODE",), run=replace(part.run, environment={"MODE": "local"}))
    return obtain_component(part, target, FakeSource(content), workspace=workspace, env=env)


def test_a_component_that_was_obtained_for_another_platform_is_not_recorded(workspace: Workspace) -> None:
    with pytest.raises(SourceError, match="for linux-amd64, but is one for linux-arm64"):
        obtain(workspace, elf("arm64"), parse_target("linux-amd64"), None)
    with pytest.raises(RecordError, match="there is no record"):
        workspace.read_record("obtain/linux-amd64/temporal", BuiltPart)


@pytest.mark.skipif(sys.platform != "linux", reason="the program that is run here is this machine's")
def test_a_component_that_runs_here_must_report_a_missing_variable(workspace: Workspace) -> None:
    content = Path(shutil.which("true") or "/bin/true").read_bytes()
    (target,) = find_platforms(content)
    with pytest.raises(GateError, match="without MODE it exits with code"):
        obtain(workspace, content, target, os.environ)
    part = obtain(workspace, content, target, None)
    assert workspace.read_record(f"obtain/{target}/temporal", BuiltPart) == part
