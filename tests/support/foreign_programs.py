"""Programs for arm64 Linux, written out as the few bytes they are: no compiler and no library is needed.

Sources: elf(5) for the two headers; the Arm Architecture Reference Manual for the instructions; Linux's
include/uapi/asm-generic/unistd.h for the number of exit.
"""

import struct
from pathlib import Path

_BASE = 0x400000
_HEADERS = 64 + 56  # bytes: of the file, and of the one segment that is all of it
_SYSTEM_CALL = 0xD4000001
_BRANCH_TO_ITSELF = 0x14000000


def ending_with(code: int) -> bytes:
    """Give a program that ends with an exit code."""
    return _program(_move(0, code), _move(8, 93), _SYSTEM_CALL)


def endless() -> bytes:
    """Give a program that never ends."""
    return _program(_BRANCH_TO_ITSELF)


def write_program(path: Path, content: bytes) -> Path:
    """Write a program, executable."""
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def _move(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register


def _program(*instructions: int) -> bytes:
    size = _HEADERS + 4 * len(instructions)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    file = ident + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return file + segment + struct.pack(f"<{len(instructions)}I", *instructions)
