"""One Chromium process: started through its keeper, spoken to by pipe, stopped without leftovers.

The pool knows it by `start`, `stop`, `is_healthy`, `connection` and `closed` only.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog

from calotype.browser.cdp import CdpError, Connection, ConnectionLost
from calotype.browser.flags import chromium_flags

_log = structlog.get_logger(__name__)

_PROFILE_PREFIX = "calotype-profile-"
_KEEPER = Path(__file__).with_name("keeper.py")
_STOP_TIMEOUT_S = 10.0
_SWEEP_AGE_S = 60.0
# What Chromium needs of our environment; settings and secrets in it are none of its business.
_PASSED_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH")


class BrowserStartFailed(Exception):
    """Chromium did not come up; `str()` carries the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """A command that becomes the one put behind it, and the descriptors it needs. Empty: nothing comes between."""

    command: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


_NO_LAUNCHER = Launcher()


class ChromiumProcess:
    """Not reusable: a process that ended is replaced by a new object."""

    def __init__(
        self,
        executable: Path,
        *,
        sandbox: bool,
        launcher: Launcher = _NO_LAUNCHER,
        start_timeout_s: float = 30.0,
    ) -> None:
        self.connection = Connection()
        self.version = ""
        self._executable = executable
        self._sandbox = sandbox
        self._launcher = launcher
        self._start_timeout_s = start_timeout_s
        self._keeper: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self._profile: Path | None = None
        self._printed: deque[bytes] = deque(maxlen=40)
        self._printed_reader: asyncio.Task[None] | None = None

    @property
    def closed(self) -> asyncio.Event:
        """Set when the browser is gone, for whatever reason."""
        return self.connection.closed

    @property
    def keeper_pid(self) -> int | None:
        """The root of this browser's process tree."""
        return self._keeper.pid if self._keeper else None

    async def start(self) -> None:
        """Start Chromium and wait until it answers.

        Raises:
            BrowserStartFailed: it did not, within `start_timeout_s`; nothing is left behind.
        """
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await self._launch()
                answer = await self.connection.root.call("Browser.getVersion")
        except (TimeoutError, OSError, CdpError, ConnectionLost) as error:
            await self.stop()
            printed = b"".join(self._printed)[-2000:].decode(errors="replace").strip()
            raise BrowserStartFailed(f"{self._executable} did not start ({error}): {printed}") from error
        except BaseException:
            await self.stop()
            raise
        self.version = answer["product"]
        _log.info("browser_started", version=self.version, keeper_pid=self.keeper_pid, sandbox=self._sandbox)

    async def stop(self) -> None:
        """Kill the process tree, wait until all of it is reaped, remove the profile. Safe to call twice."""
        self.connection.close()
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)
        if self._keeper is not None:
            await self._await_keeper(self._keeper)
        if self._printed_reader is not None:
            # The end of what it prints is the end of its last process, also when the keeper was killed.
            await asyncio.wait({self._printed_reader}, timeout=_STOP_TIMEOUT_S)
            self._printed_reader.cancel()
            await asyncio.gather(self._printed_reader, return_exceptions=True)
        if self._profile is not None:  # the keeper removes it; this is for a keeper that was killed
            await asyncio.to_thread(shutil.rmtree, self._profile, True)

    async def is_healthy(self, timeout_s: float = 5.0) -> bool:
        """Whether the browser answers a trivial call in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.connection.root.call("Browser.getVersion")
        except (TimeoutError, CdpError, ConnectionLost):
            return False
        return True

    async def _launch(self) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix=_PROFILE_PREFIX))
        flags = chromium_flags(profile=str(self._profile), sandbox=self._sandbox)
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as passed_on:
            passed: list[int] = []

            def pass_on(descriptor: int) -> int:
                passed_on.callback(os.close, descriptor)
                passed.append(descriptor)
                return descriptor

            lifeline_in, self._lifeline = os.pipe()
            pass_on(lifeline_in)
            pass_on(_lock_profile(self._profile))
            commands_in, commands_out = os.pipe()
            pass_on(commands_in)
            ours.callback(os.close, commands_out)
            answers_in, answers_out = os.pipe()
            pass_on(answers_out)
            ours.callback(os.close, answers_in)
            self._keeper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_KEEPER)),
                *(str(descriptor) for descriptor in passed),
                *(str(self._profile), *self._launcher.command, str(self._executable), *flags),
                pass_fds=(*passed, *self._launcher.descriptors),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment(self._profile),
                start_new_session=True,
            )
            ours.pop_all()  # they are the connection's now
        await self.connection.open(answers_in, commands_out)
        self._printed_reader = asyncio.create_task(self._read_printed(), name="chromium-stderr")

    def _environment(self, profile: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
        # Everything Chromium writes goes where the profile goes. The font cache is read from the system's.
        return {**kept, "HOME": str(profile), "TMPDIR": str(profile)}

    async def _read_printed(self) -> None:
        if self._keeper is not None and self._keeper.stderr is not None:
            while data := await self._keeper.stderr.read(4096):
                self._printed.append(data)

    async def _await_keeper(self, keeper: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await keeper.wait()
        except TimeoutError:
            _log.warning("browser_stop_timed_out", keeper_pid=keeper.pid)
            with contextlib.suppress(ProcessLookupError):
                keeper.kill()  # Chromium then dies by its parent-death signal
            await keeper.wait()


def sweep_profiles(directory: Path | None = None) -> int:
    """Remove profile directories whose keeper is gone too (power cut, kill -9 of everything); return how many."""
    swept = 0
    for profile in (directory or Path(tempfile.gettempdir())).glob(f"{_PROFILE_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = profile.stat()
            # A new one may be on its way to its lock.
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < _SWEEP_AGE_S:
                continue
            lock = _lock_profile(profile)
            shutil.rmtree(profile, ignore_errors=True)
            os.close(lock)
            swept += 1
    return swept


def _lock_profile(profile: Path) -> int:
    """Take the directory's lock and return its descriptor. Raises OSError while a keeper holds it."""
    lock = os.open(profile / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
