"""The last wall: a filter that refuses system calls which code in the sandbox has no use for.

It is a list of what is refused, not of what is allowed: the code inside is any Python with any library, and a list of
what those need would be long, different for every machine, and wrong by next year. What is refused is of no use
without privileges, or a way into rarely used parts of the kernel, where most escapes begin. Two rules make the list
hold for calls that nobody has thought of: calls newer than the list do not exist, and of sockets there are only those
between processes on one machine. It is a program for the kernel's packet filter, written out here so that no library
is needed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterator

# Name: number on x86_64, number on aarch64 (None: it has none). From 424 on all machines have the same numbers.
_REFUSED: dict[str, tuple[int, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
    "vmsplice": (278, 75),
}
_AF_UNIX = 1
_SOCKET, _CLONE, _CLONE3 = (41, 198), (56, 220), 435
_NEWEST = 462
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH of linux/audit.h

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = (
    0,
    4,
    16,
)  # in struct seccomp_data; the low half, as both are little-endian
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000  # the second set of numbers on x86_64; no number of aarch64 comes near it
_NEW_NAMESPACES = 0x7E020000  # all flags of clone that make one


def program(machine: str) -> bytes | None:
    """The filter for a machine as `os.uname` names it, or None where we know no numbers for it."""
    if machine not in _MACHINES:
        return None
    column, audit = _MACHINES[machine]
    refused = [number for numbers in _REFUSED.values() if (number := numbers[column]) is not None]
    ends = [
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),  # socket: only those of one machine
        (_EQUAL, 2, 3, _AF_UNIX),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),  # clone: no namespaces
        (_ANY_BIT, 1, 0, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    socket, clone, refuse, unknown = 0, 2, 5, 6  # where each of them begins
    tests = [
        (_AT_LEAST, refuse, _X32),
        (_AT_LEAST, unknown, _NEWEST + 1),
        (_EQUAL, unknown, _CLONE3),  # its flags are out of sight, and all libraries fall back to clone
        (_EQUAL, socket, _SOCKET[column]),
        (_EQUAL, clone, _CLONE[column]),
        *((_EQUAL, refuse, number) for number in refused),
    ]
    steps = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        *((kind, len(tests) - at + end, 0, number) for at, (kind, end, number) in enumerate(tests)),
        (_RETURN, 0, 0, _ALLOW),
        *ends,
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


@contextlib.contextmanager
def opened() -> Iterator[int | None]:
    """The filter for this machine as a file that bubblewrap can read; None where there is none."""
    code = program(os.uname().machine)
    if code is None:
        yield None
        return
    fd = os.memfd_create("seccomp")
    try:
        os.write(fd, code)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
