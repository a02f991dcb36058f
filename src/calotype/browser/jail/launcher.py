"""Takes the network away from itself, all but TCP to one port, and becomes another program: Chromium, or the self-test.

Run as a script, with the standard library only and no privilege:

    python -I -S launcher.py MEANS PORT PROGRAM ARGUMENT…

MEANS is a comma list of `netns:USER:NETWORK` (descriptors of namespaces, see `holder.py`), `landlock` and `seccomp`;
`unix-sockets` in it is an exception that full Chromium needs. PORT is the proxy's. What can't be had ends it with
status 126 and one line on standard error. Nothing of this can be undone by the program or its children. Why these
means: `docs/adr/0006`.
"""

from __future__ import annotations

# Few and small: every start of a browser waits for them.
import ctypes
import errno
import os
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_SET_SECCOMP = 22
_EXIT_STATUS = 126

# --- seccomp: what kinds of sockets there are -------------------------------------------------------------------------
#
# A filter in classic BPF (Documentation/userspace-api/seccomp_filter.rst). The tables below are the whole of it.

_SECCOMP_MODE_FILTER = 2  # linux/seccomp.h
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

_MSG_FASTOPEN = 0x20000000  # linux/socket.h
_TCP_FASTOPEN_CONNECT = 30  # linux/tcp.h
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10  # bits/socket.h
_SOCK_STREAM, _SOCK_SEQPACKET = 1, 5  # bits/socket_type.h
_BUT_SOCK_FLAGS = 0xFFFFFFFF ^ (0o4000 | 0o2000000)  # SOCK_NONBLOCK, SOCK_CLOEXEC
_IPPROTO_TCP = 6  # linux/in.h


class _Test:
    """Whether an argument of the system call, under a mask, is one of the values. All of them are C ints."""

    def __init__(self, argument: int, values: tuple[int, ...], mask: int = 0xFFFFFFFF) -> None:
        self.argument, self.values, self.mask = argument, values, mask


class _Clause:
    """What the system call comes to when all tests hold: an error, or 0 for letting it through."""

    def __init__(self, error: int, tests: tuple[_Test, ...] = ()) -> None:
        self.error, self.tests = error, tests


# The first clause that holds answers; a call for which none does goes through. Errors, not signals: Chromium then does
# without.
_RULES: dict[str, tuple[_Clause, ...]] = {
    "socket": (
        # TCP itself and nothing else over IP: Landlock sees no UDP, no ICMP, and no MPTCP, SCTP or SMC either.
        _Clause(
            0,
            (
                _Test(0, (_AF_INET, _AF_INET6)),
                _Test(1, (_SOCK_STREAM,), _BUT_SOCK_FLAGS),
                _Test(2, (0, _IPPROTO_TCP)),
            ),
        ),
        _Clause(errno.EACCES, (_Test(0, (_AF_INET, _AF_INET6)),)),
        _Clause(errno.EAFNOSUPPORT),
    ),
    # Not of datagrams: one of those can still send elsewhere.
    "socketpair": (
        _Clause(0, (_Test(0, (_AF_UNIX,)), _Test(1, (_SOCK_STREAM, _SOCK_SEQPACKET), _BUT_SOCK_FLAGS))),
        _Clause(errno.EAFNOSUPPORT),
    ),
    # TCP Fast Open connects by sending, past Landlock's look at connect() before Linux 7.2
    # (https://github.com/landlock-lsm/linux/issues/41).
    "sendto": (_Clause(errno.EACCES, (_Test(3, (_MSG_FASTOPEN,), _MSG_FASTOPEN),)),),
    "sendmsg": (_Clause(errno.EACCES, (_Test(2, (_MSG_FASTOPEN,), _MSG_FASTOPEN),)),),
    "sendmmsg": (_Clause(errno.EACCES, (_Test(3, (_MSG_FASTOPEN,), _MSG_FASTOPEN),)),),
    "setsockopt": (_Clause(errno.EACCES, (_Test(1, (_IPPROTO_TCP,)), _Test(2, (_TCP_FASTOPEN_CONNECT,)))),),
    # Without bind() it takes a free port on every address, which Landlock does not see.
    "listen": (_Clause(errno.EACCES),),
    "io_uring_setup": (_Clause(errno.ENOSYS),),  # sockets by another way, unseen by seccomp
    # The kernel asks a helper outside for a "dns_resolver" key, which asks DNS servers (keyrings(7)).
    "add_key": (_Clause(errno.ENOSYS),),
    "request_key": (_Clause(errno.ENOSYS),),
    "keyctl": (_Clause(errno.ENOSYS),),
    # Into the processes of the same user that are outside.
    "ptrace": (_Clause(errno.EPERM),),
    "process_vm_readv": (_Clause(errno.EPERM),),
    "process_vm_writev": (_Clause(errno.EPERM),),
    "pidfd_getfd": (_Clause(errno.EPERM),),
}
# Full Chromium guards its profile with a listening one, and ends if it can't.
_RULES_WITH_UNIX_SOCKETS = {
    **_RULES,
    "socket": (_Clause(0, (_Test(0, (_AF_UNIX,)),)), *_RULES["socket"]),
    "listen": (),
}
# asm/unistd_64.h and asm-generic/unistd.h
_NUMBERS = {
    "x86_64": {
        "socket": 41, "sendto": 44, "sendmsg": 46, "listen": 50, "socketpair": 53, "setsockopt": 54, "ptrace": 101,
        "add_key": 248, "request_key": 249, "keyctl": 250, "sendmmsg": 307, "process_vm_readv": 310,
        "process_vm_writev": 311, "io_uring_setup": 425, "pidfd_getfd": 438,
    },
    "aarch64": {
        "ptrace": 117, "socket": 198, "socketpair": 199, "listen": 201, "sendto": 206, "setsockopt": 208,
        "sendmsg": 211, "add_key": 217, "request_key": 218, "keyctl": 219, "sendmmsg": 269, "process_vm_readv": 270,
        "process_vm_writev": 271, "io_uring_setup": 425, "pidfd_getfd": 438,
    },
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
_X32 = 0x40000000  # asm/unistd.h: the bit of the x32 numbers, a second set on x86_64

_LOAD = 0x20  # linux/bpf_common.h: BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_AT_NUMBER, _AT_ARCH, _AT_ARGUMENTS = 0, 4, 16  # struct seccomp_data

Instruction = tuple[int, int, int, int]  # struct sock_filter: code, jump if true, jump if false, operand


def _returns(error: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | error if error else _ALLOW)


def _clause(clause: _Clause) -> list[Instruction]:
    """The return, if all tests hold; else on behind it."""
    code = [_returns(clause.error)]
    for test in reversed(clause.tests):
        otherwise = len(code)
        comparisons: list[Instruction] = [
            # A value that fits skips the other comparisons; the last one that does not fit skips the clause.
            (_IF_EQUAL, left, 0 if left else otherwise, value)
            for left, value in zip(reversed(range(len(test.values))), test.values, strict=True)
        ]
        # The low half of the 64 bits: the kernel takes an int from there. Both machines are little-endian.
        code = [(_LOAD, 0, 0, _AT_ARGUMENTS + 8 * test.argument), (_AND, 0, 0, test.mask), *comparisons, *code]
    return code


def filter_program(machine: str, *, unix_sockets: bool) -> list[Instruction]:
    """The filter for `machine`, as `uname` names it.

    Raises:
        OSError: there is none.
    """
    if machine not in _NUMBERS:
        raise OSError(errno.ENOTSUP, f"no filter is known for {machine}")
    code: list[Instruction] = [
        (_LOAD, 0, 0, _AT_ARCH),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        _returns(errno.ENOSYS),  # 32-bit system calls have numbers of their own
        (_LOAD, 0, 0, _AT_NUMBER),
    ]
    if machine == "x86_64":
        code += [(_IF_AT_LEAST, 0, 1, _X32), _returns(errno.ENOSYS)]
    for name, clauses in (_RULES_WITH_UNIX_SOCKETS if unix_sockets else _RULES).items():
        block = [instruction for clause in clauses for instruction in _clause(clause)] + [_returns(0)]
        code += [(_IF_EQUAL, 0, len(block), _NUMBERS[machine][name]), *block]
    return [*code, _returns(0)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))  # struct sock_fprog


def _enter_seccomp(*, unix_sockets: bool) -> None:
    program = filter_program(os.uname().machine, unix_sockets=unix_sockets)
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    passed = _Program(len(program), packed)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(passed), 0, 0))


# --- Landlock: where TCP may go ---------------------------------------------------------------------------------------

_SYS_LANDLOCK_CREATE_RULESET = 444  # the same on every architecture
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1  # linux/landlock.h
_RULE_NET_PORT = 2
_ACCESS_NET_BIND_TCP = 1
_ACCESS_NET_CONNECT_TCP = 2
_SCOPE_ABSTRACT_UNIX_SOCKET = 1
_SCOPE_SIGNAL = 2
_ABI_WITH_TCP = 4  # Linux 6.7
_ABI_WITH_SCOPES = 6  # Linux 6.12


def _enter_landlock(port: int) -> None:
    abi = _landlock(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if abi < _ABI_WITH_TCP:
        raise OSError(errno.ENOTSUP, f"this kernel's (ABI {abi}) has no rules for TCP; Linux 6.7 and later have")
    handled = struct.pack("=QQ", 0, _ACCESS_NET_BIND_TCP | _ACCESS_NET_CONNECT_TCP)
    if abi >= _ABI_WITH_SCOPES:
        handled += struct.pack("=Q", _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL)
    ruleset = _landlock(_SYS_LANDLOCK_CREATE_RULESET, handled, len(handled), 0)
    rule = struct.pack("=QQ", _ACCESS_NET_CONNECT_TCP, port)
    _landlock(_SYS_LANDLOCK_ADD_RULE, ruleset, _RULE_NET_PORT, rule, 0)
    _landlock(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _landlock(number: int, *arguments: int | bytes | None) -> int:
    # A variadic function: what is a long to the kernel must be passed as one.
    passed = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *passed))


# --- Network namespace: what else there is ----------------------------------------------------------------------------

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000


def _enter_namespaces(user: int, network: int) -> None:
    # The user namespace is our own user's, who is all-powerful in it, and need not be anything outside.
    _check(_libc.setns(user, _CLONE_NEWUSER))
    _check(_libc.setns(network, _CLONE_NEWNET))
    os.close(user)
    os.close(network)


# ----------------------------------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _enter(means: list[str], port: int) -> None:
    """Shut this process in for good.

    Raises:
        OSError: one of the means can't be had; those before it are in force.
    """
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for each in means:
        name, *arguments = each.split(":")
        try:
            if name == "netns":
                _enter_namespaces(*map(int, arguments))
            elif name == "landlock":
                _enter_landlock(port)
            elif name == "seccomp":
                _enter_seccomp(unix_sockets="unix-sockets" in means)
        except OSError as error:
            raise OSError(error.errno, f"{name}: {error.strerror}") from error


def main() -> None:
    """Parse the command line above, and go."""
    means, port, command = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3:]
    try:
        _enter(means, port)
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        sys.exit(_EXIT_STATUS)


if __name__ == "__main__":
    main()
