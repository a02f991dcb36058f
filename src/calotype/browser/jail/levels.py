"""Which network jail Chromium can be started in here: tried one after the other, each proven by a self-test.

A jail is entered by a launcher program between Chromium and its keeper. What a level is called by is not what was asked
for, but what the self-test found closed from inside.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from calotype.browser.jail.namespace import Namespace, NamespaceFailed
from calotype.browser.jail.selftest import TCP_DOORS, UNSEEN_DOORS, find_leak
from calotype.browser.process import Launcher
from calotype.errors import CalotypeError
from calotype.settings import GuardSettings

_LAUNCHER = Path(__file__).with_name("launcher.py")


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
    """The doors of `probe.py` that have to be closed."""


ATTEMPTS = (
    Attempt(JailLevel.FULL, ("landlock", "seccomp"), TCP_DOORS | UNSEEN_DOORS),
    Attempt(JailLevel.FULL, ("netns", "seccomp"), TCP_DOORS | UNSEEN_DOORS),
    Attempt(JailLevel.DATAGRAMS, ("seccomp",), UNSEEN_DOORS),
)


@dataclass(frozen=True, slots=True)
class Jail:
    """A jail that has passed its self-test, or none. Whoever opened it closes it, after the last browser."""

    level: JailLevel
    means: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    """Why it is not an earlier attempt."""
    namespace: Namespace | None = None

    def launcher(self, program: Path, *, port: int) -> Launcher:
        """What starts the program inside, with TCP to `port` left to it."""
        if self.level is JailLevel.NONE:
            return Launcher()
        means = list(self.means)
        descriptors: tuple[int, ...] = ()
        if self.namespace:
            descriptors = self.namespace.descriptors
            means[means.index("netns")] = ":".join(map(str, ("netns", *descriptors)))
        if "headless" not in program.name:
            # Full Chromium ends without a unix socket of its own; headless shell does without.
            means.append("unix-sockets")
        return Launcher((sys.executable, "-I", "-S", str(_LAUNCHER), ",".join(means), str(port)), descriptors)

    def make_socket(self) -> socket.socket:
        """Return a new TCP socket that, once it listens, can be reached from inside. Raises OSError."""
        return self.namespace.make_socket() if self.namespace else socket.socket()

    @property
    def is_broken(self) -> bool:
        """Whether the process that holds the namespace has ended: no capture reaches the network any more."""
        return self.namespace is not None and self.namespace.is_closed

    async def close(self) -> None:
        if self.namespace:
            await self.namespace.close()

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
            "run Linux 6.7 or later with Landlock in the kernel's `lsm=` list, or allow user namespaces to this user; "
            "in a container, under a seccomp profile that has landlock_create_ruleset, landlock_add_rule and "
            "landlock_restrict_self, or unshare and setns"
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


class Listeners(Protocol):
    """Where the proxy listens; `guard.listener.Listeners` is the real one."""

    @property
    def port(self) -> int: ...

    def bind(self) -> socket.socket: ...

    def close(self) -> None: ...


_Listeners = TypeVar("_Listeners", bound=Listeners)
_Listen = Callable[[Callable[[], socket.socket]], _Listeners]


async def open_jail(
    settings: GuardSettings, *, program: Path, listen: _Listen[_Listeners], attempts: Sequence[Attempt] = ATTEMPTS
) -> tuple[Jail, _Listeners]:
    """Find the first of the attempts that holds for this browser, and take the proxy's port. Takes some 30 ms each.

    `listen` opens the proxy's listeners, which may have to live in the jail: with sockets from the function that it is
    given. The caller closes them, and the jail after them.

    Raises:
        JailTooWeak: it is below `guard.require`.
    """
    jail, listeners = await _first_that_holds(settings, program, listen, attempts)
    required = JailLevel(settings.require)
    if _RANK[jail.level] < _RANK[required]:
        listeners.close()
        await jail.close()
        raise JailTooWeak(required, jail)
    return jail, listeners


async def _first_that_holds(
    settings: GuardSettings, program: Path, listen: _Listen[_Listeners], attempts: Sequence[Attempt]
) -> tuple[Jail, _Listeners]:
    lacking: list[str] = []
    if settings.jail == "off":
        lacking, attempts = ["turned off by CALOTYPE_GUARD__JAIL"], ()
    elif sys.platform != "linux":
        lacking, attempts = ["needs Linux"], ()
    for attempt in attempts:
        try:
            namespace = await Namespace.open() if "netns" in attempt.means else None
        except NamespaceFailed as error:
            leak = str(error)
        else:
            jail = Jail(attempt.level, attempt.means, tuple(lacking), namespace)
            async with AsyncExitStack() as stack:
                stack.push_async_callback(jail.close)
                listeners = listen(jail.make_socket)
                stack.callback(listeners.close)
                leak = await _leak(jail, program, listeners, attempt.closed)
                if leak is None:
                    stack.pop_all()
                    return jail, listeners
        lacking.append(f"{attempt.level} by {' and '.join(attempt.means)}: {leak}")
    return Jail(JailLevel.NONE, lacking=tuple(lacking)), listen(socket.socket)


async def _leak(jail: Jail, program: Path, listeners: Listeners, closed: frozenset[str]) -> str | None:
    with listeners.bind() as proxy:
        launcher = jail.launcher(program, port=listeners.port)
        return await find_leak(launcher, proxy=proxy.getsockname(), closed=closed)
