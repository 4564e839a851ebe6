import os
import struct

import pytest

from deepagent.sandbox import seccomp

CALLS = {"keyctl": 250, "userfaultfd": 323, "io_uring_setup": 425, "ptrace": 101}


@pytest.mark.parametrize(("call", "number"), CALLS.items())
async def test_system_calls_of_attacks_are_refused(kernel, call, number):
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    await kernel.execute("import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)")
    run = await kernel.execute(f"libc.syscall({number}, 0, 0, 0, 0), ctypes.get_errno()")
    assert run.value == "(-1, 1)"  # EPERM


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_lands_where_it_should(machine):
    """Runs the filter as the kernel would, for every number that there is."""
    code = seccomp.program(machine)
    assert code is not None
    steps = list(struct.iter_unpack("HBBI", code))
    column, audit = seccomp._MACHINES[machine]
    refused = {numbers[column] for numbers in seccomp._REFUSED.values()}

    def verdict(arch, number):
        at = value = 0
        while True:
            kind, yes, no, operand = steps[at]
            if kind == 0x06:
                return operand
            if kind == 0x20:
                value = {0: number, 4: arch}[operand]
                at += 1
            else:
                at += 1 + (yes if (value == operand if kind == 0x15 else value >= operand) else no)

    allow, kill, refuse = 0x7FFF0000, 0x80000000, 0x00050001
    for number in range(500):
        assert verdict(audit, number) == (refuse if number in refused else allow)
    assert verdict(audit, 0x40000000 + 1) == refuse
    assert verdict(audit ^ 1, 1) == kill


def test_an_unknown_machine_has_no_filter():
    assert seccomp.program("pdp11") is None
