"""Which network jail Chromium can be started in here: tried from the strictest down, each proven by a self-test.

The jail is a launcher program (`jail_launcher.py`) between Chromium and its keeper. What a level is called by is not
what was asked for, but what the self-test (`jail_probe.py`) found closed from inside.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import cast

import structlog

from calotype.errors import CalotypeError
from calotype.settings import GuardSettings

_log = structlog.get_logger(__name__)

_LAUNCHER = Path(__file__).with_name("jail_launcher.py")
_PROBE = Path(__file__).with_name("jail_probe.py")
_SELF_TEST_TIMEOUT_S = 20.0
_DATAGRAM_DOORS = frozenset(
    {"mptcp", "udp4", "udp6", "sctp", "smc", "icmp", "raw4", "raw6", "packet", "netlink", "vsock", "io_uring"}
)
_TCP_DOORS = frozenset({"tcp4", "tcp6", "fastopen", "fastopen-sendmsg", "fastopen-connect"})


class JailLevel(StrEnum):
    """How much of the network is closed to Chromium, whatever its flags say. The names are an interface."""

    FULL = "full"
    """Everything but TCP to the proxy's port."""
    DATAGRAMS = "datagrams"
    """Everything but TCP; where TCP goes is left to the flags and the proxy."""
    NONE = "none"


_RANK = {JailLevel.NONE: 0, JailLevel.DATAGRAMS: 1, JailLevel.FULL: 2}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A jail to try."""

    level: JailLevel
    means: tuple[str, ...]
    closed: frozenset[str]
    """The doors of `jail_probe.py` that have to be closed."""


ATTEMPTS = (
    Attempt(JailLevel.FULL, ("landlock", "seccomp"), _TCP_DOORS | _DATAGRAM_DOORS),
    Attempt(JailLevel.DATAGRAMS, ("seccomp",), _DATAGRAM_DOORS),
)


class JailTooWeak(CalotypeError):
    """The level that the settings require can't be had. The message names the reason and the fix."""

    def __init__(self, required: JailLevel, jail: Jail) -> None:
        self.reason = (
            f"CALOTYPE_GUARD__REQUIRE is {required}, but the browser's jail reaches {jail.level} only: "
            f"{'; '.join(jail.lacking)}"
        )
        self.fix = jail.fix
        super().__init__(f"{self.reason}. To mend it: {jail.fix}.")


@dataclass(frozen=True, slots=True)
class Jail:
    """A jail that has passed its self-test, or none."""

    level: JailLevel
    means: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    """Why it is not a stricter one."""
    port: int = 0

    def command(self, program: Path) -> list[str]:
        """What to put before the program's command line to start it inside."""
        if self.level is JailLevel.NONE:
            return []
        # Full Chromium ends without a unix socket of its own; headless shell does without.
        means = self.means if "headless" in program.name else (*self.means, "unix-sockets")
        return [sys.executable, "-I", "-S", str(_LAUNCHER), ",".join(means), str(self.port)]

    @property
    def fix(self) -> str | None:
        """What to do for a stricter one."""
        if self.level is JailLevel.FULL:
            return None
        if sys.platform != "linux":
            return "run calotype on Linux, in a container or a virtual machine for instance"
        if any("CALOTYPE_GUARD__JAIL" in reason for reason in self.lacking):
            return "set CALOTYPE_GUARD__JAIL=auto"
        return (
            "run Linux 6.7 or later with Landlock in the kernel's `lsm=` list, and a container under a seccomp profile "
            "that allows landlock_create_ruleset, landlock_add_rule and landlock_restrict_self"
        )


async def open_jail(
    settings: GuardSettings, *, proxy: tuple[str, int], program: Path, attempts: Sequence[Attempt] = ATTEMPTS
) -> Jail:
    """Find the first of the attempts that holds for this browser. Takes a tenth of a second: it starts processes.

    `proxy` is a place that accepts connections, on the port that stays allowed.

    Raises:
        JailTooWeak: it is below `guard.require`.
    """
    jail = await _first_that_holds(settings, proxy, program, attempts)
    required = JailLevel(settings.require)
    if _RANK[jail.level] < _RANK[required]:
        raise JailTooWeak(required, jail)
    return jail


async def _first_that_holds(
    settings: GuardSettings, proxy: tuple[str, int], program: Path, attempts: Sequence[Attempt]
) -> Jail:
    if settings.jail == "off":
        return Jail(JailLevel.NONE, lacking=("turned off by CALOTYPE_GUARD__JAIL",))
    if sys.platform != "linux":
        return Jail(JailLevel.NONE, lacking=("needs Linux",))
    lacking: list[str] = []
    for attempt in attempts:
        jail = Jail(attempt.level, attempt.means, tuple(lacking), port=proxy[1])
        failure = await _self_test(jail.command(program), proxy, attempt.closed)
        if failure is None:
            return jail
        lacking.append(f"{attempt.level} by {' and '.join(attempt.means)}: {failure}")
    return Jail(JailLevel.NONE, lacking=tuple(lacking))


async def _self_test(launcher: list[str], proxy: tuple[str, int], closed: frozenset[str]) -> str | None:
    """Try the doors from inside; return why the jail is not what it promises, None if it is."""
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
        _log.warning("jail_leaks", launcher=launcher[4:], leaks=leaks)
        return f"the self-test got out by {', '.join(leaks)}"
    if found.get("proxy", "") is not None:
        return f"the proxy's port can't be reached ({found.get('proxy')})"
    return None


class _ProbeFailed(Exception):
    """The self-test told nothing; `str()` says why."""


async def _probe(launcher: list[str], proxy: tuple[str, int], canary_ports: list[int]) -> dict[str, str | None]:
    process = await asyncio.create_subprocess_exec(
        *launcher,
        *(sys.executable, "-I", "-S", str(_PROBE)),
        *(proxy[0], *map(str, (proxy[1], *canary_ports))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
    )
    try:
        async with asyncio.timeout(_SELF_TEST_TIMEOUT_S):
            printed, complaint = await process.communicate()
    except TimeoutError:
        raise _ProbeFailed(f"the self-test took more than {_SELF_TEST_TIMEOUT_S:.0f} s") from None
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
