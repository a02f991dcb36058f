"""A network namespace, entered as root or, where that is allowed, by an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from ipaddress import ip_address
from pathlib import Path

_AGENT = Path(__file__).with_name("agent.py")
_TOOLS = ("ip", "nsenter", "unshare")
AF_PACKET = 17
_LISTEN = "0A"  # linux/tcp_states.h


class NoLaboratory(Exception):
    """This machine can't have one; `str()` says what is missing."""


class Namespace(AbstractContextManager["Namespace"]):
    """A network of its own, gone when the block ends."""

    def __init__(self, *, inside: Namespace | None = None) -> None:
        """
        Args:
            inside: another namespace whose user namespace this one shares, so that the two can be wired together.
        """
        if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
            raise NoLaboratory(f"not installed: {', '.join(missing)} (Debian: iproute2, util-linux)")
        self._is_user_owned = os.geteuid() != 0
        self._turn = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        enter: Sequence[str] = inside.command() if inside and self._is_user_owned else ()
        user = () if inside or not self._is_user_owned else ("--user", "--map-root-user")
        with theirs:
            self._agent = subprocess.Popen(
                [*enter, "unshare", *user, "--net", "--", sys.executable, "-I", "-S", _AGENT, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
            )
        if self._control.recv(16) != b"ready":
            _, said = self._agent.communicate()
            self._control.close()
            raise NoLaboratory(f"no network namespace: {said.decode().strip()}")

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._agent.wait()
        if self._agent.stderr is not None:
            self._agent.stderr.close()

    @property
    def pid(self) -> int:
        """A process inside, for /proc/PID/net and for `ip link … netns PID`."""
        return self._agent.pid

    @property
    def has_user_ids(self) -> bool:
        """Whether programs inside can run as another user."""
        return not self._is_user_owned

    def command(self, *command: str) -> list[str]:
        """The command line that runs a program inside."""
        user = ("--user", "--preserve-credentials") if self._is_user_owned else ()
        return ["nsenter", "--target", str(self.pid), *user, "--net", "--", *command]

    def run(self, *command: str) -> None:
        """
        Raises:
            NoLaboratory: it failed.
        """
        done = subprocess.run(self.command(*command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoLaboratory(f"{' '.join(command)}: {done.stderr.strip()}")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Make a socket inside; the caller closes it."""
        with self._turn:
            self._control.send(json.dumps([int(family), int(kind), protocol]).encode())
            said, descriptors, _, _ = socket.recv_fds(self._control, 256, 1)
        if not descriptors:
            raise OSError(said.decode())
        return socket.socket(fileno=descriptors[0])

    def listener(self, port: int, address: str = "::") -> socket.socket:
        """A TCP socket that listens; on `::` for both IP versions."""
        listener = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
        listener.listen(256)
        return listener

    def connect(self, address: str, port: int, *, source: str | None = None, timeout_s: float = 30) -> socket.socket:
        """
        Raises:
            OSError
        """
        client = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if source is not None:
                client.bind((source, 0))
            client.settimeout(timeout_s)
            client.connect((address, port))
        except OSError:
            client.close()
            raise
        return client

    def tcp_listeners(self) -> list[tuple[str, int]]:
        """Every listening endpoint inside, from /proc."""
        return [
            endpoint
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]
            if line.split()[3] == _LISTEN
            for endpoint in [_endpoint(line.split()[1])]
        ]


def _endpoint(text: str) -> tuple[str, int]:
    """Read `0100007F:0050`: 32-bit words in the byte order of the machine."""
    host, port = text.split(":")
    words = [bytes.fromhex(host[start : start + 8]) for start in range(0, len(host), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ip_address(packed)), int(port, 16)
