"""Where a capture's channel listens: an own loopback address each and one common port, so that one rule of a jail
("TCP to this port") covers them all, and the address tells the captures apart.

Only Linux answers on all of 127.0.0.0/8 without set-up. Elsewhere it is 127.0.0.1 and an own port each.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network
from itertools import cycle
from typing import Protocol

from calotype.guard.address import AddressClass, IPAddress, classify

NETWORK = IPv4Network("127.9.0.0/16")
_RESERVATION = "127.9.255.254"  # holds the common port while the proxy lives; not handed out
_BIND_ATTEMPTS = 32
_BACKLOG = 128


MakeSocket = Callable[[], socket.socket]


class Listeners(Protocol):
    """Hands out listening places."""

    @property
    def port(self) -> int:
        """The common port; 0 where each channel has its own."""
        ...

    def bind(self) -> socket.socket:
        """Return a listening socket, of which the caller is the owner. Raises OSError when no place is free."""
        ...

    def owns(self, address: IPAddress, port: int) -> bool:
        """Whether the endpoint is, or may become, one of ours."""
        ...

    def release(self, port: int) -> None:
        """Take note that a channel on this port was closed."""
        ...

    def close(self) -> None: ...


class AddressPerChannel:
    """127.9.x.N with one port. Addresses are taken in turn: one comes back after some 65,000 others, not right away."""

    def __init__(self, make_socket: MakeSocket = socket.socket) -> None:
        self._make_socket = make_socket
        self._addresses = cycle(
            str(address) for address in NETWORK if str(address) != _RESERVATION and 0 < int(address) & 0xFF < 255
        )
        self._reservation = make_socket()
        self._reservation.bind((_RESERVATION, 0))
        self.port: int = self._reservation.getsockname()[1]

    def bind(self) -> socket.socket:
        for _ in range(_BIND_ATTEMPTS - 1):
            listener = self._make_socket()
            with suppress(OSError):  # another program has this very address and port
                return _bound(listener, next(self._addresses), self.port)
        return _bound(self._make_socket(), next(self._addresses), self.port)

    def owns(self, address: IPAddress, port: int) -> bool:
        return address.version == 4 and address in NETWORK

    def release(self, port: int) -> None:
        pass

    def close(self) -> None:
        self._reservation.close()


class PortPerChannel:
    """127.0.0.1 with a port each."""

    port = 0

    def __init__(self) -> None:
        self._ports: set[int] = set()

    def bind(self) -> socket.socket:
        bound = _bound(socket.socket(), "127.0.0.1", 0)
        self._ports.add(bound.getsockname()[1])
        return bound

    def owns(self, address: IPAddress, port: int) -> bool:
        # 0.0.0.0 and :: connect to this machine as well.
        return port in self._ports and classify(address) in _THIS_MACHINE

    def release(self, port: int) -> None:
        self._ports.discard(port)

    def close(self) -> None:
        self._ports.clear()


_THIS_MACHINE = (AddressClass.LOOPBACK, AddressClass.THIS_NETWORK, AddressClass.NOT_GLOBAL_UNICAST)


def open_listeners(make_socket: MakeSocket = socket.socket) -> Listeners:
    """Take the port. On Linux `make_socket` gives the TCP sockets: they may live in another network namespace."""
    return AddressPerChannel(make_socket) if sys.platform == "linux" else PortPerChannel()


def _bound(listener: socket.socket, address: str, port: int) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((address, port))
        listener.listen(_BACKLOG)  # two sockets may bind one place, but only one of them listens there
    except OSError:
        listener.close()
        raise
    return listener
