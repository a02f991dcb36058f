"""The seccomp filter of each machine, evaluated here: the kernel of one machine can't run the other's."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from calotype.browser.jail.launcher import Instruction, filter_program

ALLOWED = 0
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_I386, _ARM = 0x40000003, 0x40000028
# From asm/unistd_64.h and asm-generic/unistd.h; `read`, `connect` and `clone3` are not the filter's.
_NUMBERS = {
    "x86_64": {"read": 0, "socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "listen": 50, "socketpair": 53,
               "setsockopt": 54, "ptrace": 101, "add_key": 248, "request_key": 249, "keyctl": 250, "sendmmsg": 307,
               "process_vm_readv": 310, "process_vm_writev": 311, "io_uring_setup": 425, "clone3": 435,
               "pidfd_getfd": 438},
    "aarch64": {"read": 63, "socket": 198, "connect": 203, "sendto": 206, "sendmsg": 211, "listen": 201,
                "socketpair": 199, "setsockopt": 208, "ptrace": 117, "add_key": 217, "request_key": 218, "keyctl": 219,
                "sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271, "io_uring_setup": 425,
                "clone3": 435, "pidfd_getfd": 438},
}  # fmt: skip
_FLAGS = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
_FASTOPEN = 0x20000000


def verdict(program: list[Instruction], arch: int, number: int, *arguments: int) -> int:
    """Run the filter as the kernel does: an error's number, or `ALLOWED`."""
    padded = [argument % 2**64 for argument in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    accumulator = at = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                assert operand >> 16 in (0x7FFF, 0x0005)
                return operand & 0xFFFF if operand >> 16 == 0x0005 else ALLOWED
            case _:
                pytest.fail(f"unknown instruction {code:#x}")


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


_CALLS = [
    ("socket", (socket.AF_INET, socket.SOCK_STREAM, 0), ALLOWED),
    ("socket", (socket.AF_INET6, socket.SOCK_STREAM | _FLAGS, socket.IPPROTO_TCP), ALLOWED),
    ("socket", (socket.AF_INET | 7 << 32, socket.SOCK_STREAM, 0), ALLOWED),  # the kernel sees the low half only
    ("socket", (socket.AF_INET, socket.SOCK_DGRAM | _FLAGS, 0), errno.EACCES),
    ("socket", (socket.AF_INET | 7 << 32, socket.SOCK_DGRAM, 0), errno.EACCES),
    ("socket", (socket.AF_INET6, socket.SOCK_RAW, 58), errno.EACCES),
    ("socket", (socket.AF_INET, socket.SOCK_STREAM, 262), errno.EACCES),
    ("socket", (socket.AF_INET, socket.SOCK_STREAM | 0x10, 0), errno.EACCES),
    ("socket", (-1, socket.SOCK_STREAM, 0), errno.EAFNOSUPPORT),
    ("socket", (16, socket.SOCK_RAW, 0), errno.EAFNOSUPPORT),
    ("socket", (17, socket.SOCK_DGRAM, 0), errno.EAFNOSUPPORT),
    ("socket", (43, socket.SOCK_STREAM, 0), errno.EAFNOSUPPORT),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_STREAM | _FLAGS), ALLOWED),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_SEQPACKET), ALLOWED),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_DGRAM), errno.EAFNOSUPPORT),
    ("socketpair", (30, socket.SOCK_STREAM), errno.EAFNOSUPPORT),
    ("sendto", (3, 0, 1, socket.MSG_NOSIGNAL), ALLOWED),
    ("sendto", (3, 0, 1, socket.MSG_NOSIGNAL | _FASTOPEN), errno.EACCES),
    ("sendmsg", (3, 0, socket.MSG_NOSIGNAL), ALLOWED),
    ("sendmsg", (3, 0, _FASTOPEN), errno.EACCES),
    ("sendmmsg", (3, 0, 2, 0), ALLOWED),
    ("sendmmsg", (3, 0, 2, _FASTOPEN), errno.EACCES),
    ("setsockopt", (3, socket.IPPROTO_TCP, socket.TCP_NODELAY), ALLOWED),
    ("setsockopt", (3, socket.SOL_SOCKET, 30), ALLOWED),
    ("setsockopt", (3, socket.IPPROTO_TCP, 30), errno.EACCES),
    *((name, (), ALLOWED) for name in ("read", "connect", "clone3")),
    *((name, (), errno.ENOSYS) for name in ("io_uring_setup", "add_key", "request_key", "keyctl")),
    *((name, (), errno.EPERM) for name in ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd")),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), _CALLS)
@pytest.mark.parametrize("unix_sockets", [False, True])
def test_a_call_comes_to(
    machine: str, unix_sockets: bool, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    program = filter_program(machine, unix_sockets=unix_sockets)
    assert verdict(program, _ARCH[machine], _NUMBERS[machine][name], *arguments) == expected


@pytest.mark.parametrize(("unix_sockets", "expected"), [(False, (97, 13)), (True, (ALLOWED, ALLOWED))])
def test_unix_sockets_and_listening_are_full_chromiums_alone(
    machine: str, unix_sockets: bool, expected: tuple[int, int]
) -> None:
    program = filter_program(machine, unix_sockets=unix_sockets)
    numbers = _NUMBERS[machine]
    made = verdict(program, _ARCH[machine], numbers["socket"], socket.AF_UNIX, socket.SOCK_STREAM)
    assert (made, verdict(program, _ARCH[machine], numbers["listen"], 3, 5)) == expected


@pytest.mark.parametrize("arch", [_I386, _ARM, 0xC00000B7, 0xC000003E])
def test_system_calls_of_another_machine_do_not_exist(machine: str, arch: int) -> None:
    if arch != _ARCH[machine]:
        program = filter_program(machine, unix_sockets=True)
        assert {verdict(program, arch, number) for number in (0, 41, 198, 359)} == {errno.ENOSYS}


def test_x32_system_calls_do_not_exist() -> None:
    program = filter_program("x86_64", unix_sockets=True)
    assert {verdict(program, _ARCH["x86_64"], 0x40000000 + number) for number in (0, 41, 515)} == {errno.ENOSYS}


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(OSError, match="riscv64"):
        filter_program("riscv64", unix_sockets=False)
