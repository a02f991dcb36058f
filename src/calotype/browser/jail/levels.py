"""Which network jail Chromium can be started in here: tried one after the other, each proven by a self-test.

A jail is entered by a launcher program between Chromium and its keeper. What a level is called by is not what was asked
for, but what the self-test found closed from inside.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

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


async def open_jail(settings: GuardSettings, *, program: Path, attempts: Sequence[Attempt] = ATTEMPTS) -> Jail:
    """Find the first of the attempts that holds for this browser. Takes some 30 ms each: it starts processes.

    Raises:
        JailTooWeak: it is below `guard.require`.
    """
    jail = await _first_that_holds(settings, program, attempts)
    required = JailLevel(settings.require)
    if _RANK[jail.level] < _RANK[required]:
        await jail.close()
        raise JailTooWeak(required, jail)
    return jail


async def _first_that_holds(settings: GuardSettings, program: Path, attempts: Sequence[Attempt]) -> Jail:
    if settings.jail == "off":
        return Jail(JailLevel.NONE, lacking=("turned off by CALOTYPE_GUARD__JAIL",))
    if sys.platform != "linux":
        return Jail(JailLevel.NONE, lacking=("needs Linux",))
    lacking: list[str] = []
    for attempt in attempts:
        try:
            namespace = await Namespace.open() if "netns" in attempt.means else None
        except NamespaceFailed as error:
            leak = str(error)
        else:
            jail = Jail(attempt.level, attempt.means, tuple(lacking), namespace)
            holds = False
            try:
                leak = await _leak(jail, program, attempt.closed)
                if holds := leak is None:
                    return jail
            finally:
                if not holds:
                    await jail.close()
        lacking.append(f"{attempt.level} by {' and '.join(attempt.means)}: {leak}")
    return Jail(JailLevel.NONE, lacking=tuple(lacking))


async def _leak(jail: Jail, program: Path, closed: frozenset[str]) -> str | None:
    with jail.make_socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        address = proxy.getsockname()
        return await find_leak(jail.launcher(program, port=address[1]), proxy=address, closed=closed)
