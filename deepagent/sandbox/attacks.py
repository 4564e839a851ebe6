"""Attacks on the sandbox, one for each thing that a wall must hold.

`deepagent.sandbox.proof` makes them on the user's machine, and the tests make them with the walls taken down too, to
see that each would succeed. An attack is a cell; it has succeeded when its last value is `'escaped'`. It finds what
it is after in the dict `bait`, and what it needs in `limits`.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepagent.sandbox.walls import Wall


@dataclass(frozen=True)
class Attack:
    """One attempt to get out.

    Attributes:
        name: what must hold, in words.
        walls: what holds it; without all of these it succeeds.
        code: the cell.
        remedy: what to do on a machine where it succeeds.
        root_only: without walls it succeeds only where the host runs as root, as others have no such rights to lose.
    """

    name: str
    walls: frozenset[Wall]
    code: str
    remedy: str = "install bubblewrap 0.8 or newer and allow unprivileged user namespaces"
    root_only: bool = False


def _attack(name: str, *walls: Wall, code: str, root_only: bool = False) -> Attack:
    return Attack(name, frozenset(walls), code.strip(), root_only=root_only)


BY_FILTER = frozenset({Wall.SYSTEM_CALLS, Wall.NAMESPACES})
"""Attacks that these hold by themselves are ones on the machine's kernel; gVisor answers them with its own."""

_SYSTEM_CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def refused(*call):
    return libc.syscall(*call) == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)
"""

ATTACKS = (
    _attack(
        "files of the host cannot be read",
        Wall.FILES,
        Wall.USER,
        code="'escaped' if open(bait['file']).read() == bait['secret'] else 'nothing'",
    ),
    _attack(
        "passwords of the host cannot be read",
        Wall.FILES,
        Wall.USER,
        code="'escaped' if open('/etc/shadow').read() else 'nothing'",
        root_only=True,
    ),
    _attack(
        "files of the host cannot be written",
        Wall.FILES,
        Wall.READ_ONLY,
        Wall.USER,
        code="open(bait['file'] + '.new', 'w').close(); 'escaped'",
    ),
    _attack(
        "only the workspace and /tmp can be written",
        Wall.READ_ONLY,
        code="""
import os
allowed = {'/workspace', '/tmp', '/dev/shm', '/proc', '/sys', '/usr', '/packages'}  # the last ones are tried by name
def written(folder):
    try: open(os.path.join(folder, 'x'), 'w').close()
    except OSError: return False
    return True
found = [folder for folder in ('/proc', '/sys', '/usr', '/usr/lib') if written(folder)]
for folder, inner, _ in os.walk('/'):
    inner[:] = [name for name in inner if os.path.join(folder, name) not in allowed]
    found += [folder] if written(folder) else []
'escaped' if found else 'nothing'
""",
    ),
    _attack(
        "other processes cannot be seen",
        Wall.PROCESSES,
        code="'escaped' if open(f\"/proc/{bait['pid']}/cmdline\").read() == bait['cmdline'] else 'nothing'",
    ),
    _attack(
        "other processes cannot be signalled",
        Wall.PROCESSES,
        Wall.USER,
        code="import os; os.kill(bait['pid'], 0); 'escaped'",
    ),
    _attack(
        "the host's environment is not there",
        Wall.ENVIRONMENT,
        code="import os; 'escaped' if bait['secret'] in os.environ.values() else 'nothing'",
    ),
    _attack(
        "the host's open files are not there",
        Wall.DESCRIPTORS,
        code="import os; 'escaped' if os.pread(bait['fd'], 100, 0).decode() == bait['secret'] else 'nothing'",
    ),
    _attack(
        "there is no network",
        Wall.NETWORK,
        Wall.SYSTEM_CALLS,
        code="import socket; socket.create_connection(('127.0.0.1', bait['port']), timeout=5); 'escaped'",
    ),
    _attack(
        "sockets of other programs cannot be reached",
        Wall.NETWORK,
        code="import socket; socket.socket(socket.AF_UNIX).connect(bait['abstract']); 'escaped'",
    ),
    _attack(
        "sockets of other programs that are files cannot be reached",
        Wall.FILES,
        Wall.USER,
        code="import socket; socket.socket(socket.AF_UNIX).connect(bait['socket']); 'escaped'",
    ),
    _attack(
        "there are no sockets but those between its own processes",
        Wall.SYSTEM_CALLS,
        code="""
import socket
def made(family, kind):
    try: socket.socket(family, kind).close()
    except OSError: return False
    return True
# IPv4, IPv6, raw, netlink, the kernel's cryptography, the machine's host
families = [(2, 1), (2, 2), (10, 1), (10, 2), (2, 3), (16, 3), (38, 5), (40, 1)]
'escaped' if any(made(*one) for one in families) else 'nothing'
""",
    ),
    _attack(
        "there are no capabilities",
        Wall.CAPABILITIES,
        Wall.USER,
        code="'escaped' if 'CapEff:\\t0000000000000000' not in open('/proc/self/status').read() else 'nothing'",
        root_only=True,
    ),
    _attack(
        "no further namespaces can be made",
        Wall.NAMESPACES,
        Wall.SYSTEM_CALLS,
        code=f"{_SYSTEM_CALL}\n'escaped' if libc.unshare(0x10000000) == 0 else 'nothing'",
    ),
    _attack(
        "system calls of attacks are refused",
        Wall.SYSTEM_CALLS,
        code=f"""{_SYSTEM_CALL}
import os
ptrace_keyctl_and_others = dict(x86_64=(101, 250, 425, 310, 248, 237), aarch64=(117, 219, 425, 270, 217, 235))
numbers = ptrace_keyctl_and_others[os.uname().machine]
'escaped' if not all(refused(number, 0, 0, 0, 0, 0, 0) for number in numbers) else 'nothing'
""",
    ),
    _attack(
        "memory is limited",
        Wall.MEMORY,
        code="kept = bytearray(limits['memory_mb'] * 2**20); 'escaped'",
    ),
    _attack(
        "the number of processes is limited",
        Wall.COUNT,
        code="""
import os, signal
children = []
def fork():
    child = os.fork()
    if child == 0:
        signal.pause()
    children.append(child)
try:
    for _ in range(limits['processes'] + 5): fork()
finally:
    for child in children: os.kill(child, 9), os.waitpid(child, 0)
'escaped'
""",
    ),
    _attack(
        "the workspace is limited",
        Wall.DISK,
        code="""
import os
for number in range(limits['workspace_mb'] + 1):
    with open(f'{number}', 'wb') as file: file.write(bytes(2**20))
'escaped'
""",
    ),
    _attack(
        "a file with holes is limited too",
        Wall.DISK,
        code="open('sparse', 'wb').truncate(2**40); 'escaped'",
    ),
)
