"""The walls: how a hostile program is started so that it sees a read-only system, a private workspace and no network.

bubblewrap puts the program into namespaces of its own: user, mount, pid, network, IPC, host name and cgroup. Inside
it has no capabilities, cannot make further user namespaces, and finds only the system's programs and libraries, the
running Python's standard library, /proc of its own processes, a few devices and a workspace of limited size. A
filter refuses the system calls that only an attack would need.

bubblewrap itself runs as an unprivileged user. Root therefore drops to `nobody` first. As `nobody` cannot read a
Python that lives in root's home, that Python is shown to it in another place, in a private mount namespace. All of
this happens by `exec` in one process: were there a parent between it and the host, run as root without
capabilities, the kernel would not let its death kill the children of `nobody`.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deepagent.errors import SandboxUnavailableError
from deepagent.sandbox import seccomp

WORKSPACE = "/workspace"
ENVIRONMENT = {
    "HOME": WORKSPACE,
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # else each thread reserves 64 MiB of the address space that is allowed
    "PATH": "/usr/bin:/bin",
    "TMPDIR": WORKSPACE,
}

BUILDERS = ("bwrap:", "setpriv:", "unshare:", "mount:")
"""How a complaint of a program that builds the walls begins."""

_NOBODY = "65534"
_SHARED_MEMORY_MB = 16  # semaphores of multiprocessing live in it
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
_PROBE_SECONDS = 20
_SHOWN_AT = "/tmp"  # noqa: S108 - only a mount point that exists everywhere
_SHOW = '"$0" --bind "$1" "$2" && shift 2 && exec "$@"'


def interpreter() -> str:
    """The Python that runs this process, without its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def confined(
    program: list[str], *, workspace_mb: int, info_fd: int | None = None, filter_fd: int | None = None
) -> list[str]:
    """The command line that runs `program` inside the walls.

    It must be started with an empty environment: /proc inside shows the environment that bubblewrap was started with.

    Args:
        program: an absolute path and its arguments.
        workspace_mb: size of the workspace in MiB.
        info_fd: where bubblewrap writes the pid of the sandbox's first process as JSON.
        filter_fd: where it reads the filter of system calls.

    Raises:
        SandboxUnavailableError: a program that this needs is missing.
    """
    python = {path: path for path in _python_files()}
    command: list[str] = []
    if os.geteuid() == 0:
        prefix = os.path.realpath(sys.base_prefix)
        if python:
            command += [_find("unshare"), "--mount", "--", _find("sh"), "-c", _SHOW, _find("mount"), prefix, _SHOWN_AT]
            python = {path: path.replace(prefix, _SHOWN_AT, 1) for path in python}
        command += [_find("setpriv"), "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--"]
    command += [_find("bwrap"), *_isolation(), *_files(python, workspace_mb)]
    if info_fd is not None:
        command += ["--info-fd", str(info_fd)]
    if filter_fd is not None:
        command += ["--seccomp", str(filter_fd)]
    return [*command, "--", *program]


@functools.cache
def check() -> str | None:
    """Try the walls once. Returns None when they stand, else why they do not, in words."""
    try:
        with seccomp.opened() as filter_fd:
            program = [interpreter(), "-I", "-S", "-c", "pass"]
            done = subprocess.run(  # noqa: S603 - our own command line
                confined(program, workspace_mb=1, filter_fd=filter_fd),
                env={},
                stdin=subprocess.DEVNULL,
                pass_fds=[] if filter_fd is None else [filter_fd],
                capture_output=True,
                text=True,
                timeout=_PROBE_SECONDS,
                check=False,
            )
    except SandboxUnavailableError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return str(unavailable(f"bubblewrap did not start a program within {_PROBE_SECONDS} s"))
    except OSError as error:
        return str(unavailable(str(error)))
    return None if done.returncode == 0 else str(unavailable(done.stderr))


def unavailable(reason: str) -> SandboxUnavailableError:
    """The error for a machine that cannot confine code, with what to do about it."""
    words = " ".join(reason.split())[:300] or "bubblewrap failed without a word"
    return SandboxUnavailableError(
        f"code cannot be confined here: {words}; install bubblewrap 0.8 or newer (apt-get install bubblewrap) and "
        "allow unprivileged user namespaces, or pass --unsafe-execute to run code without walls"
    )


def _find(program: str) -> str:
    if not sys.platform.startswith("linux"):
        raise unavailable(f"this needs Linux, not {sys.platform}")
    path = shutil.which(program)
    if path is None:
        raise unavailable(f"{program} is not installed")
    return os.path.abspath(path)


def _python_files() -> list[str]:
    """What the interpreter needs and /usr does not hold: the program, its libraries and its standard library."""
    prefix = os.path.realpath(sys.base_prefix)
    needed = dict.fromkeys((interpreter(), os.path.join(prefix, "lib"), os.path.join(prefix, sys.platlibdir)))
    return [path for path in needed if not Path(path).is_relative_to("/usr") and os.path.exists(path)]


def _isolation() -> list[str]:
    command = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    command += ["--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    return command


def _files(python: dict[str, str], workspace_mb: int) -> list[str]:
    command = ["--ro-bind", "/usr", "/usr"]
    for folder in _SYSTEM_FOLDERS:
        path = Path("/", folder)
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    for name in _SYSTEM_FILES:
        command += ["--ro-bind-try", name, name]
    for path_inside, source in python.items():
        command += ["--ro-bind", source, path_inside]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(_SHARED_MEMORY_MB * 2**20), "--tmpfs", "/dev/shm"]  # noqa: S108 - the sandbox's own
    command += ["--size", str(workspace_mb * 2**20), "--tmpfs", WORKSPACE, "--symlink", WORKSPACE, "/tmp"]  # noqa: S108
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE]
