"""Platforms read from the first bytes of executables."""

import struct
import sys
from pathlib import Path

import pytest

from stigmer_packaging.cli.machine import this_platform
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.sources.executable import parse_platforms, refuse_foreign

LINUX = Target("linux", "amd64")


def elf(machine: int) -> bytes:
    """Make the first bytes of a 64-bit little-endian ELF file."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(40)


def macho(cpu: int) -> bytes:
    """Make the first bytes of a 64-bit Mach-O file."""
    return struct.pack("<II", 0xFEEDFACF, cpu) + bytes(24)


FAT = struct.pack(">II", 0xCAFEBABE, 2) + b"".join(
    struct.pack(">IIIII", cpu, 0, 0, 0, 0) for cpu in (0x01000007, 0x0100000C)
)
JAVA_CLASS = struct.pack(">II", 0xCAFEBABE, 61) + bytes(100)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (elf(62), {LINUX}),
        (elf(183), {Target("linux", "arm64")}),
        (elf(40), set()),
        (macho(0x0100000C), {Target("darwin", "arm64")}),
        (macho(0x01000007), {Target("darwin", "amd64")}),
        (FAT, {Target("darwin", "arm64"), Target("darwin", "amd64")}),
        (JAVA_CLASS, set()),
        (b"#!/bin/sh\nexec true\n", set()),
        (b"<!DOCTYPE html><html>", set()),
        (b"", set()),
        (b"\x7fELF", set()),
    ],
)
def test_a_header_names_its_platforms(header: bytes, expected: set[Target]) -> None:
    assert set(parse_platforms(header)) == expected


def test_an_executable_of_another_platform_is_refused_by_name(tmp_path: Path) -> None:
    program = tmp_path / "temporal"
    program.write_bytes(elf(183))
    with pytest.raises(SourceError, match=r"temporal was asked for linux-amd64, and is .* for linux-arm64"):
        refuse_foreign(program, LINUX)
    refuse_foreign(Path(sys.executable).resolve(), this_platform())
