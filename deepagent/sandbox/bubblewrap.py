"""The walls that bubblewrap builds: a read-only system, a private workspace, no network.

bubblewrap puts the program into namespaces of its own: user, mount, pid, network, IPC, host name and cgroup. Inside
it has no capabilities, cannot make further user namespaces, and finds only the system's programs and libraries, the
running Python's standard library, the packages that were asked for, /proc of its own processes, a few devices, and a
workspace of limited size. A filter refuses the system calls that only an attack would need. bubblewrap itself runs as
an unprivileged user: root becomes nobody first.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepagent.errors import SandboxUnavailableError
from deepagent.sandbox import program as inside
from deepagent.sandbox import seccomp
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.groups import Group
from deepagent.sandbox.packages import files_of
from deepagent.sandbox.passage import Passage, find, unavailable
from deepagent.sandbox.pipes import PIPE_BYTES, Pipes
from deepagent.sandbox.walls import PACKAGES, WORKSPACE, Wall

TEMPORARY = "/tmp"  # noqa: S108 - the sandbox's own
ENVIRONMENT = {
    "HOME": WORKSPACE,
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # else each thread reserves 64 MiB of the address space that is allowed
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": TEMPORARY,
    "OMP_NUM_THREADS": "1",  # so do the threads that numpy starts for each processor
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "TMPDIR": TEMPORARY,
}
BUILDERS = ("bwrap:", "setpriv:", "unshare:", "mount:", "mkdir:", "sh:", "/bin/sh:", "/usr/bin/sh:")
"""How a complaint of a program that builds the walls begins."""

_OPEN_FILES = 256
_SHARED_MEMORY_MB = 16  # semaphores of multiprocessing live in it
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")
_PROBE_SECONDS = 20


class Bubblewrap:
    """Builds the walls.

    Args:
        without: walls to leave out, for tests that want to see the attack succeed.
    """

    def __init__(self, without: frozenset[Wall] = frozenset()) -> None:
        self._without = without

    def setup(self, config: SandboxConfig) -> dict[str, Any]:
        """See `Walls`."""
        memory, count, disk = (wall not in self._without for wall in (Wall.MEMORY, Wall.COUNT, Wall.DISK))
        return {
            "memory": config.memory_mb * 2**20 if memory else None,
            "file_size": config.workspace_mb * 2**20 if disk else None,
            "processes": config.processes if count else None,
            "open_files": _OPEN_FILES,
            "packages": [PACKAGES] if config.packages else [],
            "die_with_parent": False,
        }

    def enclose(self, program: Sequence[str], pipes: Pipes, config: SandboxConfig) -> Enclosed:
        """See `Walls`."""
        group = Group.make(config, without=self._without)
        try:
            passage = Passage(group.joins if group else (), drop=Wall.USER not in self._without)
            with contextlib.ExitStack() as stack:
                filter_fd = None if Wall.SYSTEM_CALLS in self._without else stack.enter_context(seccomp.opened())
                fds = {"--info-fd": pipes.info, "--seccomp": filter_fd}
                options = [*self._isolation(), *self._files(passage, config)]
                for option, fd in fds.items():
                    options += [] if fd is None else [option, str(fd)]
                command = passage.command([find("bwrap"), *options, "--", *program])
                process = self._start(command, pipes, [fd for fd in fds.values() if fd is not None])
        except BaseException:
            if group:
                group.remove()
            raise
        return Enclosed(process, pipes, group)

    def _start(self, command: list[str], pipes: Pipes, kept: list[int]) -> subprocess.Popen[bytes]:
        """Not with asyncio: cancelled half-way, that kills only the first process of the sandbox."""
        stdin, stdout, stderr = pipes.inside
        return subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            # Empty already here: /proc inside shows the environment that bubblewrap was started with.
            env=None if Wall.ENVIRONMENT in self._without else {},
            pass_fds=[*kept, *(_inheritable() if Wall.DESCRIPTORS in self._without else ())],
            start_new_session=True,
        )

    def _isolation(self) -> list[str]:
        options = {
            Wall.PROCESSES: ["--unshare-pid"],
            Wall.NETWORK: ["--unshare-net"],
            Wall.SHARED_MEMORY: ["--unshare-ipc"],
            Wall.NAMESPACES: ["--disable-userns"],
            Wall.CAPABILITIES: ["--cap-drop", "ALL"],
            Wall.DEATH: ["--die-with-parent"],
            Wall.ENVIRONMENT: ["--clearenv"],
        }
        command = ["--unshare-user", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--new-session"]
        for wall, words in options.items():
            command += [] if wall in self._without else words
        for name, value in ENVIRONMENT.items():
            command += ["--setenv", name, value]
        return command

    def _files(self, passage: Passage, config: SandboxConfig) -> list[str]:
        bind = "--bind" if Wall.READ_ONLY in self._without else "--ro-bind"
        command = _system(bind)
        if Wall.FILES in self._without:
            command += _everything_else(bind)
        for path in python_files(passage):
            command += [bind, passage.place(path), path]
        for name, path in files_of(config.packages).items():
            passage.show(os.path.dirname(path))
            command += [bind, passage.place(path), f"{PACKAGES}/{name}"]
        command += ["--ro-bind", "/proc", "/proc"] if Wall.PROCESSES in self._without else ["--proc", "/proc"]
        command += ["--dev", "/dev"]
        room = {"/dev/shm": _SHARED_MEMORY_MB, WORKSPACE: config.workspace_mb, TEMPORARY: config.workspace_mb}  # noqa: S108
        for folder, megabytes in room.items():
            if folder == TEMPORARY and Wall.FILES in self._without:
                continue
            size = [] if Wall.DISK in self._without else ["--size", str(megabytes * 2**20)]
            command += [*size, "--tmpfs", folder]
        read_only = [] if Wall.READ_ONLY in self._without else ["--remount-ro", "/dev", "--remount-ro", "/"]
        return [*command, *read_only, "--chdir", WORKSPACE]


class Enclosed:
    """A program behind bubblewrap's walls; see `Enclosure`."""

    def __init__(self, process: subprocess.Popen[bytes], pipes: Pipes, group: Group | None) -> None:
        self.process = process
        self._pipes = pipes
        self._group = group
        self._first: int | None = None  # the sandbox's first process, which leads the group of all

    def ready(self) -> None:
        """See `Enclosure`."""
        self._first = json.loads(os.pread(self._pipes.info, PIPE_BYTES, 0))["child-pid"]
        self._pipes.close_info()

    def interrupt(self) -> None:
        """See `Enclosure`."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """See `Enclosure`. bubblewrap is left to see the end of the others, so that nobody else has to.

        While it still builds, it is left alone: killed half-way it leaves a process behind that waits for ever. The
        program inside ends as soon as it finds its pipes closed.
        """
        if self._first is not None:
            self._signal(signal.SIGKILL)

    def workspace(self) -> int:
        """See `Enclosure`."""
        # The first process has privileges of its own, which hides its files from an ordinary user; not so its child.
        children = Path(f"/proc/{self._first}/task/{self._first}/children").read_text(encoding="ascii").split()
        worker = children[0] if children else self._first
        return os.open(f"/proc/{worker}/root{WORKSPACE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def cause(self) -> str:
        """See `Enclosure`."""
        return "all its memory was used" if self._group is not None and self._group.out_of_memory() else ""

    def remove(self) -> bool:
        """See `Enclosure`."""
        return self._group is None or self._group.remove()

    def _signal(self, number: signal.Signals) -> None:
        if self._first is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._first, number)


@functools.cache
def check() -> str | None:
    """Try the walls once. Returns None when they stand, else why they do not, in words."""
    pipes = Pipes()
    try:
        program = [inside.interpreter(), "-I", "-S", "-c", "pass"]
        enclosed = Bubblewrap().enclose(program, pipes, SandboxConfig())
        status = enclosed.process.wait(_PROBE_SECONDS)
        enclosed.remove()
        return None if status == 0 else str(unavailable(os.read(pipes.output, PIPE_BYTES).decode(errors="replace")))
    except SandboxUnavailableError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        enclosed.process.kill()
        return str(unavailable(f"bubblewrap did not start a program within {_PROBE_SECONDS} s"))
    except OSError as error:
        return str(unavailable(str(error)))
    finally:
        pipes.close()


def python_files(passage: Passage) -> list[str]:
    """What the interpreter needs and /usr does not hold: the program, its libraries and its standard library."""
    prefix = os.path.realpath(sys.base_prefix)
    needed = dict.fromkeys((inside.interpreter(), os.path.join(prefix, "lib"), os.path.join(prefix, sys.platlibdir)))
    outside = [path for path in needed if not Path(path).is_relative_to("/usr") and os.path.exists(path)]
    if outside:
        passage.show(prefix)
    return outside


def _system(bind: str) -> list[str]:
    command = [bind, "/usr", "/usr"]
    for folder in _SYSTEM_FOLDERS:
        path = Path("/", folder)
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            command += [bind, str(path), str(path)]
    for name in _SYSTEM_FILES:
        command += [f"{bind}-try", name, name]
    return command


def _everything_else(bind: str) -> list[str]:
    """The rest of the host's files, for tests that take this wall down."""
    ours = {"proc", "dev", "usr", *_SYSTEM_FOLDERS}
    shown = [entry.path for entry in os.scandir("/") if entry.is_dir(follow_symlinks=False) and entry.name not in ours]
    return [word for path in shown for word in (bind, path, path)]


def _inheritable() -> list[int]:
    """The host's own open files that a child may have, for tests that take this wall down."""
    open_files = (int(name) for name in os.listdir("/proc/self/fd"))
    found = []
    for fd in open_files:
        with contextlib.suppress(OSError):  # that of the listing itself
            if fd > 2 and os.get_inheritable(fd):
                found.append(fd)
    return found
