"""The program that runs inside, as a command line and as compiled code.

Its files may not be readable inside, and compiling them takes longer than starting Python. So the host compiles them
once, for the same interpreter, and writes the code to the program's stdin before the first frame.
"""

from __future__ import annotations

import functools
import importlib.util
import marshal
import os
import sys
from importlib.machinery import SourceFileLoader

_PACKAGE = "deepagent.sandbox.inside"
_MODULES = ("text", "codec", "locks", "channel", "tools", "pictures", "cells", "main")  # in the order of their imports
_LENGTH_BYTES = 8

# The modules find each other under their own names, which are then taken away again: cells have no business there.
_BOOT = f"""
import marshal, os, sys
def take(count):
    data = b""
    while len(data) < count:
        data += os.read(0, count - len(data)) or sys.exit()
    return data
parents = {_PACKAGE.split(".")!r}
names = [".".join(parents[:end]) for end in range(1, len(parents) + 1)]
for name in names:
    sys.modules[name] = type(sys)(name)
for name, code in marshal.loads(take(int.from_bytes(take({_LENGTH_BYTES}), "big"))):
    names.append(name)
    sys.modules[name] = type(sys)(name)
    exec(code, vars(sys.modules[name]))
main = sys.modules[name].main
for name in names:
    del sys.modules[name]
main()
"""


def interpreter() -> str:
    """The Python that runs this process, without its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def command() -> list[str]:
    """The command line that starts the program."""
    return [interpreter(), "-I", "-S", "-c", _BOOT]


@functools.cache
def code() -> bytes:
    """What the program reads first."""
    modules = []
    for module in _MODULES:
        name = f"{_PACKAGE}.{module}"
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert isinstance(spec.loader, SourceFileLoader)
        source = spec.loader.get_data(spec.loader.get_filename(name))
        modules.append((name, compile(source, f"<{name}>", "exec", dont_inherit=True)))
    data = marshal.dumps(modules)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data
