"""The jail's self-test, from inside: tries every door to the network and prints which one opens.

Run as a script by the launcher, with the standard library only:

    python -I -S jail_probe.py PROXY_HOST PROXY_PORT TCP4_PORT TCP6_PORT UDP4_PORT UDP6_PORT

The ports but the proxy's are on loopback, and somebody listens on them. Prints one JSON object: a door's name and the
name of the error that it was closed with, or null if it was open.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable

_TIMEOUT_S = 5.0
_AF_SMC = 43  # linux/socket.h
_IPPROTO_SCTP = 132  # linux/in.h
_IPPROTO_MPTCP = 262
_MSG_FASTOPEN = 0x20000000
_TCP_FASTOPEN_CONNECT = 30
_SYS_IO_URING_SETUP = 425  # the same on every architecture


def _connect(family: int, address: tuple[str, int], protocol: int = 0) -> None:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as one:
        one.settimeout(_TIMEOUT_S)
        one.connect(address)


def _send(family: int, address: tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"self-test", address)


def _send_fast_open(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.sendto(b"self-test", _MSG_FASTOPEN, address)


def _sendmsg_fast_open(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.sendmsg([b"self-test"], [], _MSG_FASTOPEN, address)


def _connect_fast_open(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
        one.connect(address)
        one.send(b"self-test")


def _make(family: int, type_: int, protocol: int = 0) -> None:
    socket.socket(family, type_, protocol).close()


def _io_uring() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(ctypes.c_long(_SYS_IO_URING_SETUP), ctypes.c_long(1), ctypes.create_string_buffer(256))
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    os.close(ring)


def _doors(proxy: tuple[str, int], tcp4: int, tcp6: int, udp4: int, udp6: int) -> dict[str, Callable[[], None]]:
    here4, here6 = "127.0.0.1", "::1"
    return {
        "proxy": lambda: _connect(socket.AF_INET, proxy),
        "tcp4": lambda: _connect(socket.AF_INET, (here4, tcp4)),
        "tcp6": lambda: _connect(socket.AF_INET6, (here6, tcp6)),
        "fastopen": lambda: _send_fast_open((here4, tcp4)),
        "fastopen-sendmsg": lambda: _sendmsg_fast_open((here4, tcp4)),
        "fastopen-connect": lambda: _connect_fast_open((here4, tcp4)),
        "mptcp": lambda: _connect(socket.AF_INET, (here4, tcp4), _IPPROTO_MPTCP),
        "udp4": lambda: _send(socket.AF_INET, (here4, udp4)),
        "udp6": lambda: _send(socket.AF_INET6, (here6, udp6)),
        "sctp": lambda: _make(socket.AF_INET, socket.SOCK_STREAM, _IPPROTO_SCTP),
        "smc": lambda: _make(_AF_SMC, socket.SOCK_STREAM),
        "icmp": lambda: _make(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        "raw4": lambda: _make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
        "raw6": lambda: _make(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
        "packet": lambda: _make(socket.AF_PACKET, socket.SOCK_DGRAM),
        "netlink": lambda: _make(socket.AF_NETLINK, socket.SOCK_RAW),
        "vsock": lambda: _make(socket.AF_VSOCK, socket.SOCK_STREAM),
        "io_uring": _io_uring,
    }


def main() -> None:
    """Parse the command line above, try, print."""
    proxy = (sys.argv[1], int(sys.argv[2]))
    tcp4, tcp6, udp4, udp6 = map(int, sys.argv[3:7])
    found: dict[str, str | None] = {}
    for name, door in _doors(proxy, tcp4, tcp6, udp4, udp6).items():
        try:
            door()
        except OSError as error:  # a timeout is one; it has no number
            found[name] = errno.errorcode.get(error.errno or 0, "ETIMEDOUT")
        else:
            found[name] = None
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
