"""Holds a network namespace in which there is only loopback, and hands out sockets that live in it.

Run as a script, with the standard library only and no privilege but that of user namespaces:

    python -I -S holder.py CONNECTION

CONNECTION is one end of a pair of unix sockets. The first message on it carries two descriptors: the user namespace and
the network namespace, for `launcher.py` to enter. Each byte that comes in is answered with a message of `BATCH` unbound
TCP sockets. A namespace is a socket's for life, so whoever gets one listens in here from outside. When the other end
closes, it ends. What can't be had ends it with one line on standard error.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from contextlib import suppress

BATCH = 32

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914  # linux/sockios.h
_IFF_UP = 1  # linux/if.h


def _unshare() -> None:
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # Ourselves and nobody else; a group needs setgroups() given up first (user_namespaces(7)).
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _raise_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def _serve(connection: socket.socket) -> None:
    namespaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "net")]
    socket.send_fds(connection, [b"n"], namespaces)
    while connection.recv(1):
        batch = [socket.socket() for _ in range(BATCH)]
        socket.send_fds(connection, [b"s"], [each.fileno() for each in batch])
        for each in batch:
            each.close()


def main() -> None:
    """Parse the command line above, make the namespace, serve."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    try:
        _unshare()
        _raise_loopback()
    except OSError as error:
        sys.stderr.write(f"netns: {error.strerror}\n")
        sys.exit(1)
    with suppress(ConnectionError):
        _serve(connection)


if __name__ == "__main__":
    main()
