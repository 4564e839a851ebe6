"""What a sandbox may use."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SandboxConfig(BaseModel):
    """Limits of one kernel and of each cell that runs in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(30, gt=0)
    """Wall-clock time of one cell, the tools that it calls included."""
    output_chars: int = Field(10_000, ge=100)
    """Characters kept of what a cell prints, and of its value, and of its error: head and tail; the cut is stated."""
    memory_mb: int = Field(1024, ge=64)
    """Address space of each process in MiB; where cgroups can be set, also the memory of all together."""
    processes: int = Field(32, ge=1)
    """Processes and threads that may live at one time, the interpreter included."""
    cpus: float = Field(1, gt=0)
    """Processors' worth of time, where cgroups can be set."""
    workspace_mb: int = Field(256, ge=1)
    """Size of the workspace in MiB, and of /tmp; both live in memory."""
    packages: tuple[str, ...] = ()
    """Installed distributions that code may import, such as numpy; what they require comes with them."""
    walls: Literal["bubblewrap", "gvisor"] = "bubblewrap"
    """What encloses code. gVisor puts a kernel of its own between code and the machine, is slower, and needs root."""
    warm: int = Field(1, ge=0)
    """Interpreters that an agent keeps started for its next runs."""
    unsafe: bool = False
    """Run code as a plain child process that can do all that this user can. Only ever by the user's explicit choice."""
