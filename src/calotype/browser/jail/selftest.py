"""The self-test of a jail, from outside: runs `probe.py` inside and listens where it must not get to."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import structlog

from calotype.browser.process import Launcher

_log = structlog.get_logger(__name__)

_PROBE = Path(__file__).with_name("probe.py")
_TIMEOUT_S = 20.0
UNSEEN_DOORS = frozenset(
    {"mptcp", "udp4", "udp6", "sctp", "smc", "icmp", "raw4", "raw6", "packet", "netlink", "vsock", "io_uring"}
)
"""All but TCP, as Landlock sees it."""
TCP_DOORS = frozenset({"tcp4", "tcp6", "fastopen", "fastopen-sendmsg", "fastopen-connect"})


async def find_leak(launcher: Launcher, *, proxy: tuple[str, int], closed: frozenset[str]) -> str | None:
    """Try the doors from inside; return why the jail is not what it promises, None if it is.

    `proxy` is a place that accepts connections and must be reached; `closed` are the doors that must not open.
    """
    with _canaries() as canaries:
        try:
            found = await _probe(launcher, proxy, [canary.port for canary in canaries])
        except _ProbeFailed as error:
            return str(error)
        opened = sorted(name for name in closed if found.get(name, "") is None)
        reached = sorted(canary.name for canary in canaries if canary.name in closed and canary.was_reached())
    if untried := sorted(closed - found.keys()):
        return f"the self-test did not try {', '.join(untried)}"
    if opened or reached:
        leaks = sorted({*opened, *reached})
        _log.warning("jail_leaks", command=launcher.command, leaks=leaks)
        return f"the self-test got out by {', '.join(leaks)}"
    if found.get("proxy", "") is not None:
        return f"the proxy's port can't be reached ({found.get('proxy')})"
    return None


class _ProbeFailed(Exception):
    """The self-test told nothing; `str()` says why."""


async def _probe(launcher: Launcher, proxy: tuple[str, int], canary_ports: list[int]) -> dict[str, str | None]:
    process = await asyncio.create_subprocess_exec(
        *launcher.command,
        *(sys.executable, "-I", "-S", str(_PROBE)),
        *(proxy[0], *map(str, (proxy[1], *canary_ports))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
        pass_fds=launcher.descriptors,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            printed, complaint = await process.communicate()
    except TimeoutError:
        raise _ProbeFailed(f"the self-test took more than {_TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = complaint.decode(errors="replace").strip().splitlines()
        raise _ProbeFailed(said[-1] if said else f"the self-test ended with status {process.returncode}")
    return cast("dict[str, str | None]", json.loads(printed))


@dataclass(frozen=True, slots=True)
class _Canary:
    """A socket that nobody but the self-test knows of, and that a jail has to keep it from."""

    name: str
    socket: socket.socket | None

    @property
    def port(self) -> int:
        """1 without a socket: then the machine has no such network at all."""
        return self.socket.getsockname()[1] if self.socket else 1

    def was_reached(self) -> bool:
        if self.socket is None:
            return False
        with suppress(BlockingIOError):
            if self.socket.type == socket.SOCK_STREAM:
                self.socket.accept()[0].close()
            else:
                self.socket.recv(1)
            return True
        return False


@contextmanager
def _canaries() -> Generator[list[_Canary]]:
    """The four canaries, in the order in which the probe wants their ports."""
    places = (
        ("tcp4", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, "::1"),
        ("udp4", socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        ("udp6", socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
    )
    with ExitStack() as stack:
        canaries: list[_Canary] = []
        for name, family, type_, host in places:
            try:
                listener = stack.enter_context(socket.socket(family, type_))
                listener.setblocking(False)
                listener.bind((host, 0))
                if type_ == socket.SOCK_STREAM:
                    listener.listen()
            except OSError:  # a machine without IPv6
                canaries.append(_Canary(name, None))
            else:
                canaries.append(_Canary(name, listener))
        yield canaries
