"""macOS system calls by way of libSystem: clones, mount flags, processes and their sockets. Imported only there.

Sources: clonefile(2), statfs(2), <sys/proc_info.h> and <libproc.h> of Apple's SDK (64 bit; the layouts are part of
the stable ABI). The functions that read a layout are pure, on bytes, so that they can be tested anywhere.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Any

_MNT_NOEXEC = 0x4
_ALL_PIDS, _LIST_FDS, _BSD_INFO, _SOCKET_INFO, _TASK_INFO = 1, 1, 3, 3, 4
_SOCKET_FD, _TCP, _LISTEN = 2, 2, 1
_INI_IPV6 = 2
_PATH_SIZE = 4096  # PROC_PIDPATHINFO_MAXSIZE
_NO_ARGUMENT = ctypes.c_uint64(0)
_SYSTEM = ctypes.CDLL(None, use_errno=True)
_BSD_INFO_SIZE, _SOCKET_INFO_SIZE, _FD_SIZE, _TASK_INFO_SIZE = 136, 792, 8, 96


def clone(source: str, target: str) -> None:
    """Clone a file on APFS; OSError when the file system cannot."""
    if _SYSTEM.clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source)


def is_noexec(path: str) -> bool:
    """Return whether the file system of `path` forbids to execute."""
    buffer = ctypes.create_string_buffer(4096)
    statfs = getattr(_SYSTEM, "statfs$INODE64", None) or _SYSTEM.statfs
    return statfs(os.fsencode(path), buffer) == 0 and bool(mount_flags(buffer.raw) & _MNT_NOEXEC)


def start_time(pid: int) -> str:
    """Return the start time of a living process as text, empty when there is none."""
    return parse_start_time(_filled("proc_pidinfo", _BSD_INFO_SIZE, pid, _BSD_INFO, _NO_ARGUMENT))


def processor_time(pid: int) -> float | None:
    """Return the processor time of a process, None when it cannot be told."""
    return parse_processor_time(_filled("proc_pidinfo", _TASK_INFO_SIZE, pid, _TASK_INFO, _NO_ARGUMENT))


def program(pid: int) -> str:
    """Return the path of the program that a process runs, empty when there is none."""
    return os.fsdecode(_filled("proc_pidpath", _PATH_SIZE, pid))


def listening(pid: int) -> Iterator[tuple[int, bytes]]:
    """Yield the port and the packed address of each TCP socket on which a process listens."""
    for descriptor in socket_descriptors(_filled("proc_pidinfo", 1024 * _FD_SIZE, pid, _LIST_FDS, _NO_ARGUMENT)):
        if found := listener(_filled("proc_pidfdinfo", _SOCKET_INFO_SIZE, pid, descriptor, _SOCKET_INFO)):
            yield found


def pids() -> list[int]:
    """List the pids of all processes."""
    listed = _filled("proc_listpids", 4 * 16384, _ALL_PIDS, 0)
    return [pid for (pid,) in struct.iter_unpack("=i", listed[: len(listed) // 4 * 4]) if pid > 0]


def mount_flags(statfs: bytes) -> int:
    """Read `f_flags` of a `struct statfs`."""
    return int(struct.unpack_from("=I", statfs, 64)[0])


def parse_start_time(info: bytes) -> str:
    """Read `pbi_start_tvsec` and `pbi_start_tvusec` of a `struct proc_bsdinfo`."""
    if len(info) != _BSD_INFO_SIZE:
        return ""
    seconds, microseconds = struct.unpack_from("=QQ", info, 120)
    return f"{seconds}.{microseconds:06d}"


def parse_processor_time(info: bytes) -> float | None:
    """Read `pti_total_user` and `pti_total_system` of a `struct proc_taskinfo`."""
    return float(sum(struct.unpack_from("=QQ", info, 16))) if len(info) == _TASK_INFO_SIZE else None


def socket_descriptors(listed: bytes) -> list[int]:
    """Read the numbers of the sockets in an array of `struct proc_fdinfo`."""
    whole = len(listed) // _FD_SIZE * _FD_SIZE
    return [number for number, kind in struct.iter_unpack("=iI", listed[:whole]) if kind == _SOCKET_FD]


def listener(info: bytes) -> tuple[int, bytes] | None:
    """Read port and packed address of a listening TCP socket out of a `struct socket_fdinfo`; None for any other.

    The address has 16 bytes for IPv6, else 4.
    """
    if len(info) != _SOCKET_INFO_SIZE or struct.unpack_from("=i84xi", info, 256) != (_TCP, _LISTEN):
        return None
    return int.from_bytes(info[268:270], "big"), info[312:328] if info[288] & _INI_IPV6 else info[324:328]


def _filled(call: str, size: int, *arguments: Any) -> bytes:
    """Return what a call of libproc fills in, nothing when it fails; each ends with a buffer and its size."""
    buffer = ctypes.create_string_buffer(size)
    filled = getattr(_SYSTEM, call)(*arguments, buffer, size)
    return buffer.raw[: max(filled, 0)]
