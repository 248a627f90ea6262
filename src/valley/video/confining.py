"""Take from this process what a decoder does not need, so that a hole in one leads nowhere; on Linux alone.

Landlock (kernel 5.13 and newer) leaves the files of the programs and the medium, to read; nothing to write,
to run, or to connect to. A seccomp filter leaves no sockets, no programs and no other processes, also where
Landlock is absent. Both hold until the process ends. Where a kernel has neither, the limits on memory, time
and files are all there is; that is no error, as there is nothing that a user could do.

https://docs.kernel.org/userspace-api/landlock.html, https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SECCOMP_MODE_FILTER = 2

# Landlock: its three calls have the same numbers on every processor.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_NUM_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # by version of the interface
_MOST_FILE_RIGHTS = 16
_ALL_NET, _ALL_SCOPES = 0b11, 0b11  # TCP (from version 4), signals and nameless sockets (from 6)

# seccomp: what is refused, by processor.
_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED_CALLS = {
    "x86_64": {
        "socket": 41,
        "connect": 42,
        "accept": 43,
        "bind": 49,
        "listen": 50,
        "socketpair": 53,
        "fork": 57,
        "vfork": 58,
        "execve": 59,
        "kill": 62,
        "ptrace": 101,
        "mount": 165,
        "keyctl": 250,
        "unshare": 272,
        "accept4": 288,
        "perf_event_open": 298,
        "setns": 308,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "bpf": 321,
        "execveat": 322,
        "userfaultfd": 323,
        "io_uring_setup": 425,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
    },
    "aarch64": {
        "mount": 40,
        "unshare": 97,
        "ptrace": 117,
        "kill": 129,
        "socket": 198,
        "socketpair": 199,
        "bind": 200,
        "listen": 201,
        "accept": 202,
        "connect": 203,
        "keyctl": 219,
        "execve": 221,
        "perf_event_open": 241,
        "accept4": 242,
        "setns": 268,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "bpf": 280,
        "execveat": 281,
        "userfaultfd": 282,
        "io_uring_setup": 425,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
    },
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_CLONE_THREAD = 0x10000
_X32 = 0x40000000  # the other way to call an x86 kernel
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCH, _AT_FIRST_ARGUMENT = 0, 4, 16


def die_with_parent() -> None:
    """Let this process be killed when the thread that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def confine(media: Sequence[Path]) -> None:
    """Leave only what decoding needs. This thread has to be the only one: others would not be bound.

    Args:
        media: the files or folders that may be read beside programs.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return
    _leave_files(libc, media)
    _leave_calls(libc)


def _programs() -> list[str]:
    """List where modules and libraries are, which may be loaded late; of the import paths, those in use."""
    files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
    paths = [str(Path(path).absolute()) for path in sys.path if path]
    used = {max((p for p in paths if f.startswith(p + os.sep)), key=len, default="") for f in files if f}
    system = {sys.base_prefix, "/usr", "/lib", "/lib64", "/etc/ld.so.cache"}
    return sorted((used | system) - {"", "/"})


def _leave_files(libc: ctypes.CDLL, media: Sequence[Path]) -> None:
    """Restrict this process to reading some files, where the kernel can."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return
    rights = (1 << _NUM_FILE_RIGHTS.get(version, _MOST_FILE_RIGHTS)) - 1
    fields = [rights, *([_ALL_NET] if version >= 4 else []), *([_ALL_SCOPES] if version >= 6 else [])]
    asked = struct.pack(f"={len(fields)}Q", *fields)
    rules = libc.syscall(_CREATE_RULESET, asked, ctypes.c_size_t(len(asked)), 0)
    if rules < 0:
        return
    try:
        for path in (*map(Path, _programs()), *media):
            _allow_reading(libc, rules, path)
        libc.syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow_reading(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    with suppress(OSError):  # it is not there: nothing to read
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, opened), 0)
        finally:
            os.close(opened)


def _leave_calls(libc: ctypes.CDLL) -> None:
    """Refuse system calls, where their numbers are known."""
    machine = os.uname().machine
    if machine not in _ARCHES:
        return
    program = b"".join(struct.pack("=HBBI", *line) for line in _filter(machine))
    held = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)


def _filter(machine: str) -> list[tuple[int, int, int, int]]:
    """Write the filter: what to do, lines to skip if so, lines to skip if not, a number."""
    refuse = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    lines = [(_LOAD, 0, 0, _AT_ARCH), (_JUMP_EQUAL, 1, 0, _ARCHES[machine]), refuse]
    lines += [(_LOAD, 0, 0, _AT_NUMBER), (_JUMP_AT_LEAST, 0, 1, _X32), refuse]
    for number in _REFUSED_CALLS[machine].values():
        lines += [(_JUMP_EQUAL, 0, 1, number), refuse]
    # Told that clone3 is not there, libraries start threads by clone, whose argument can be looked at.
    lines += [(_JUMP_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]
    lines += [(_JUMP_EQUAL, 0, 3, _CLONE[machine]), (_LOAD, 0, 0, _AT_FIRST_ARGUMENT)]
    return [*lines, (_JUMP_SET, 1, 0, _CLONE_THREAD), refuse, (_RETURN, 0, 0, _ALLOW)]
