"""Every packet that leaves the server's namespace or goes over its loopback, seen below all sockets."""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import ip_address

from .namespace import AF_PACKET, Namespace

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4  # linux/if_packet.h; over loopback each packet is seen twice, once like this
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_HEADERS_BYTES = 160
_BUFFER_BYTES = 32 * 2**20
_BPF_RETURN = struct.pack("=HBBI", 0x06, 0, 0, _HEADERS_BYTES)  # keep this many bytes of each packet
_PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_SYN, _ACK = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Packet:
    """Equal packets are noted once. Of TCP only what opens a connection, or belongs to none, is noted."""

    device: str
    protocol: str
    source: str
    destination: str
    port: int = 0
    """Destination port; of ICMPv6 its type."""
    is_stray: bool = False
    """TCP that belongs to no connection whose beginning was seen."""


class Watch(AbstractContextManager["Watch"]):
    """Begins when made."""

    def __init__(self, namespace: Namespace, devices: Iterable[str]) -> None:
        self._sockets = [_open(namespace, device) for device in devices]
        self._packets: dict[Packet, None] = {}
        self._flows: set[frozenset[tuple[str, int]]] = set()
        self._turn = threading.Condition()
        self._end, self._end_seen = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="packet-watch", daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join()
        for opened in (*self._sockets, self._end_seen):
            opened.close()

    def take(self) -> list[Packet]:
        """Return what was seen since the last time, all of it up to now."""
        with self._turn:
            self._drain()
            for watching in self._sockets:
                _, dropped = struct.unpack("=II", watching.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
                assert not dropped, f"{dropped} packets were not seen"
            packets, self._packets = list(self._packets), {}
            return packets

    def peek(self) -> list[Packet]:
        with self._turn:
            self._drain()
            return list(self._packets)

    def wait_for(self, wanted: Callable[[Packet], bool], *, timeout_s: float = 60) -> bool:
        """Wait until there is such a packet; return whether it came to be."""
        with self._turn:
            return self._turn.wait_for(lambda: any(map(wanted, self._packets)), timeout_s)

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select([*self._sockets, self._end_seen], [], [])
            if self._end_seen in readable:
                return
            with self._turn:
                self._drain()
                self._turn.notify_all()

    def _drain(self) -> None:
        for watching in self._sockets:
            while True:
                try:
                    data, (device, ethertype, direction, *_) = watching.recvfrom(_HEADERS_BYTES)
                except BlockingIOError:
                    break
                if direction == _PACKET_OUTGOING and (packet := self._read(device, ethertype, data)):
                    self._packets[packet] = None

    def _read(self, device: str, ethertype: int, data: bytes) -> Packet | None:
        match ethertype:
            case 0x0800:
                protocol, source, destination = data[9], data[12:16], data[16:20]
                rest = data[(data[0] & 0x0F) * 4 :]
            case 0x86DD:
                protocol, source, destination, rest = data[6], data[8:24], data[24:40], data[40:]
                if protocol == 0:  # hop-by-hop options (RFC 8200 section 4.3)
                    protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
            case _:
                return Packet(device, f"ethertype {ethertype:#06x}", "", "")
        name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
        ends = str(ip_address(source)), str(ip_address(destination))
        if name == "tcp":
            return self._read_tcp(device, *ends, rest)
        port = {"udp": int.from_bytes(rest[2:4], "big"), "icmpv6": rest[0] if rest else 0}.get(name, 0)
        return Packet(device, name, *ends, port)

    def _read_tcp(self, device: str, source: str, destination: str, segment: bytes) -> Packet | None:
        source_port, port = struct.unpack_from(">HH", segment)
        flow = frozenset(((source, source_port), (destination, port)))
        if segment[13] & (_SYN | _ACK) == _SYN:
            self._flows.add(flow)
            return Packet(device, "tcp", source, destination, port)
        return None if flow in self._flows else Packet(device, "tcp", source, destination, port, is_stray=True)


def _open(namespace: Namespace, device: str) -> socket.socket:
    watching = namespace.socket(AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    watching.setblocking(False)
    try:
        watching.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:  # not root outside of the namespace: as much as the system gives everybody
        watching.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    program = ctypes.create_string_buffer(_BPF_RETURN)
    watching.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))
    watching.bind((device, _ETH_P_ALL))
    return watching
