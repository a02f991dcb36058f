"""A network namespace with only loopback, made by a helper process (`holder.py`), and sockets that live in it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from pathlib import Path

from calotype.browser.jail.holder import BATCH

_HOLDER = Path(__file__).with_name("holder.py")
_TIMEOUT_S = 10.0


class NamespaceFailed(Exception):
    """There can be none; `str()` says why."""


class Namespace:
    """Lives until `close()`, and on as long as a process is in it."""

    def __init__(
        self, holder: asyncio.subprocess.Process, connection: socket.socket, descriptors: tuple[int, int]
    ) -> None:
        self.descriptors = descriptors
        """The user and the network namespace."""
        self._holder = holder
        self._connection = connection
        self._connection.settimeout(_TIMEOUT_S)
        self._sockets: deque[socket.socket] = deque()
        self._order()

    @classmethod
    async def open(cls) -> Namespace:
        """Make one.

        Raises:
            NamespaceFailed
        """
        ours, theirs = socket.socketpair()
        with theirs:
            holder = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_HOLDER), str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={},
                start_new_session=True,  # only the connection ends it, not a Ctrl-C in the terminal
            )
        descriptors: list[int] = []
        said = b""
        try:
            ours.settimeout(_TIMEOUT_S)
            _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, ours, 1, 2)
        except TimeoutError:
            pass
        finally:
            if not descriptors:
                ours.close()  # which ends it
                _, said = await holder.communicate()
        if not descriptors:
            lines = said.decode(errors="replace").strip().splitlines()
            raise NamespaceFailed(lines[-1] if lines else "netns: the helper process did not answer")
        user, network = descriptors
        return cls(holder, ours, (user, network))

    def make_socket(self) -> socket.socket:
        """Return a new TCP socket that lives in the namespace.

        Raises:
            OSError: the helper process is gone.
        """
        if not self._sockets:
            try:
                # Ordered while the last batch was used, so it is normally there.
                _, descriptors, _, _ = socket.recv_fds(self._connection, 1, BATCH)
                if not descriptors:
                    raise ConnectionResetError
                self._sockets.extend(socket.socket(fileno=each) for each in descriptors)
                self._order()
            except OSError as error:
                raise ConnectionError("the process that holds the browser's network namespace is gone") from error
        return self._sockets.popleft()

    @property
    def holder_pid(self) -> int:
        return self._holder.pid

    @property
    def is_closed(self) -> bool:
        return self._holder.returncode is not None

    async def close(self) -> None:
        """End the helper process."""
        self._connection.close()
        while self._sockets:
            self._sockets.popleft().close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        await self._holder.communicate()

    def _order(self) -> None:
        self._connection.send(b"s")
