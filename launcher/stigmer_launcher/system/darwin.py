"""macOS system calls through libSystem: clones, mount flags, processes and their sockets. Imported only on macOS.

Sources: clonefile(2), statfs(2), <sys/proc_info.h> and <libproc.h> of Apple's SDK (64 bit, a stable ABI).
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Any

_MNT_NOEXEC = 0x4
_ALL_PIDS, _LIST_FDS, _BSD_INFO, _SOCKET_INFO, _TASK_INFO = 1, 1, 3, 3, 4
_SOCKET_FD, _TCP, _LISTEN, _INI_IPV6 = 2, 2, 1, 2
_PATH_SIZE = 4096  # PROC_PIDPATHINFO_MAXSIZE
_NO_ARGUMENT = ctypes.c_uint64(0)
_SYSTEM = ctypes.CDLL(None, use_errno=True)
# Layouts of whole structs; fields that are not read are padding.
_FD_LAYOUT = "=iI"  # proc_fdinfo: number, kind
_BSD_LAYOUT = "=120xQQ"  # proc_bsdinfo: pbi_start_tvsec, pbi_start_tvusec
_TASK_LAYOUT = "=16xQQ64x"  # proc_taskinfo: pti_total_user, pti_total_system
_SOCKET_LAYOUT = "=256xi8x2s18xB23x16s16xi444x"  # socket_fdinfo: kind, local port, family, local address, TCP state


def clone(source: str, target: str) -> None:
    """Clone a file on APFS; OSError when the file system does not support it."""
    if _SYSTEM.clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source)


def is_noexec(path: str) -> bool:
    """Return whether the file system of `path` is mounted noexec, by `f_flags` of `struct statfs`."""
    buffer = ctypes.create_string_buffer(4096)
    statfs = getattr(_SYSTEM, "statfs$INODE64", None) or _SYSTEM.statfs
    return statfs(os.fsencode(path), buffer) == 0 and bool(struct.unpack_from("=I", buffer, 64)[0] & _MNT_NOEXEC)


def start_time(pid: int) -> str:
    """Return the start time of a living process as text, empty when there is none."""
    times = _read_structs("proc_pidinfo", _BSD_LAYOUT, 1, pid, _BSD_INFO, _NO_ARGUMENT)
    return next((f"{seconds}.{microseconds:06d}" for seconds, microseconds in times), "")


def processor_time(pid: int) -> float | None:
    """Return the processor time of a process, in units of the system; None when it is not known."""
    times = _read_structs("proc_pidinfo", _TASK_LAYOUT, 1, pid, _TASK_INFO, _NO_ARGUMENT)
    return next((float(user + system) for user, system in times), None)


def program(pid: int) -> str:
    """Return the path of the program that a process runs, empty when there is none."""
    return os.fsdecode(_read_bytes("proc_pidpath", _PATH_SIZE, pid))


def listening(pid: int) -> Iterator[tuple[int, bytes]]:
    """Yield port and packed address, of 16 bytes for IPv6, else 4, of each listening TCP socket of a process."""
    descriptors = _read_structs("proc_pidinfo", _FD_LAYOUT, 1024, pid, _LIST_FDS, _NO_ARGUMENT)
    for descriptor in (number for number, kind in descriptors if kind == _SOCKET_FD):
        found = _read_structs("proc_pidfdinfo", _SOCKET_LAYOUT, 1, pid, descriptor, _SOCKET_INFO)
        for kind, port, family, address, state in found:
            if (kind, state) == (_TCP, _LISTEN):
                yield int.from_bytes(port, "big"), address if family & _INI_IPV6 else address[12:]


def pids() -> list[int]:
    """Return the pids of all processes."""
    return [pid for (pid,) in _read_structs("proc_listpids", "=i", 16384, _ALL_PIDS, 0) if pid > 0]


def _read_structs(call: str, layout: str, limit: int, *arguments: Any) -> Iterator[tuple[Any, ...]]:
    """Unpack the structs, at most `limit`, that a function of libproc fills; an incomplete last one is left out."""
    size = struct.calcsize(layout)
    filled = _read_bytes(call, limit * size, *arguments)
    return struct.iter_unpack(layout, filled[: len(filled) // size * size])


def _read_bytes(call: str, size: int, *arguments: Any) -> bytes:
    """Return the bytes that a function of libproc fills, none if it fails; its last parameters are a buffer and its size."""
    buffer = ctypes.create_string_buffer(size)
    filled = getattr(_SYSTEM, call)(*arguments, buffer, size)
    return buffer.raw[: max(filled, 0)]  # after the call, because `raw` is a copy
