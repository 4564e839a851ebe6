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


def verdict(steps, arch, number, first_argument=0):
    """Run the filter as the kernel would."""
    at = value = 0
    while True:
        kind, yes, no, operand = steps[at]
        at += 1
        if kind == 0x06:
            return operand
        if kind == 0x20:
            value = {0: number, 4: arch, 16: first_argument}[operand]
        else:
            met = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[kind]
            at += yes if met else no


ALLOW, KILL, REFUSE, UNKNOWN = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


@pytest.fixture(params=["x86_64", "aarch64"])
def filtered(request):
    code = seccomp.program(request.param)
    assert code is not None
    column, audit = seccomp._MACHINES[request.param]
    steps = list(struct.iter_unpack("HBBI", code))
    return column, lambda number, argument=0, arch=audit: verdict(steps, arch, number, argument)


def test_what_is_on_the_list_is_refused_and_nothing_else_that_is_known(filtered):
    column, decide = filtered
    refused = {numbers[column] for numbers in seccomp._REFUSED.values()}
    special = {seccomp._SOCKET[column], seccomp._CLONE3}
    for number in set(range(seccomp._NEWEST + 1)) - special:
        assert decide(number) == (REFUSE if number in refused else ALLOW)


def test_calls_that_are_newer_than_the_list_do_not_exist(filtered):
    _, decide = filtered
    assert {decide(number) for number in range(seccomp._NEWEST + 1, 1000)} == {UNKNOWN}
    assert decide(seccomp._CLONE3) == UNKNOWN


def test_only_sockets_of_one_machine_can_be_made(filtered):
    column, decide = filtered
    assert [family for family in range(50) if decide(seccomp._SOCKET[column], family) == ALLOW] == [1]


def test_clone_makes_threads_and_processes_but_no_namespaces(filtered):
    column, decide = filtered
    for flags in (17, 0x3D0F00, 0x4111):  # fork, a thread, posix_spawn
        assert decide(seccomp._CLONE[column], flags) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(seccomp._CLONE[column], flag | 17) == REFUSE


def test_numbers_of_another_machine_get_nowhere(filtered):
    _, decide = filtered
    assert decide(0x40000000 + 1) == REFUSE
    assert decide(1, arch=0x40000003) == KILL


def test_an_unknown_machine_has_no_filter():
    assert seccomp.program("pdp11") is None
