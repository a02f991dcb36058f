"""The browser's network jail, from inside: real processes and a real Chromium try to get out of it.

Each test that finds a door closed has a control that finds it open without the jail.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from calotype.browser import jail as jail_module
from calotype.browser.cdp import Connection, Session
from calotype.browser.discover import find_browser
from calotype.browser.flags import chromium_flags
from calotype.browser.jail import ATTEMPTS, Attempt, Jail, JailLevel, JailTooWeak, open_jail
from calotype.browser.process import ChromiumProcess
from calotype.browser.process_tree import descendants
from calotype.settings import BrowserSettings, GuardSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is made of Linux's means")

_DIRECTORY = Path(jail_module.__file__).parent
_LAUNCHER = _DIRECTORY / "jail_launcher.py"
_PROBE = _DIRECTORY / "jail_probe.py"
_BROWSER = find_browser(BrowserSettings())
_NOBODY = 65534

_FULL, _DATAGRAMS = ATTEMPTS
_LEVELS = [pytest.param(attempt, id=attempt.level) for attempt in ATTEMPTS]


def _has_landlock_for_tcp() -> bool:
    libc = ctypes.CDLL(None)
    return libc.syscall(ctypes.c_long(444), None, ctypes.c_long(0), ctypes.c_long(1)) >= 4


def _require(attempt: Attempt) -> None:
    if "landlock" in attempt.means and not _has_landlock_for_tcp():
        pytest.skip("this kernel has no Landlock rules for TCP (Linux 6.7 and later have)")


def _jail(attempt: Attempt, port: int) -> Jail:
    _require(attempt)
    return Jail(attempt.level, attempt.means, port=port)


@dataclass
class Canary:
    """Places on loopback that note who comes."""

    tcp4: socket.socket
    tcp6: socket.socket
    udp4: socket.socket
    udp6: socket.socket

    @property
    def ports(self) -> list[int]:
        return [each.getsockname()[1] for each in (self.tcp4, self.tcp6, self.udp4, self.udp6)]

    def connections(self) -> int:
        """Answer whoever waits; return how many there were."""
        count = 0
        for listener in (self.tcp4, self.tcp6):
            try:
                while True:
                    listener.accept()[0].close()
                    count += 1
            except BlockingIOError:
                pass
        return count

    def packets(self) -> int:
        count = 0
        for receiver in (self.udp4, self.udp6):
            try:
                while True:
                    receiver.recv(2048)
                    count += 1
            except BlockingIOError:
                pass
        return count


@pytest.fixture
def canary() -> Iterator[Canary]:
    with ExitStack() as stack:
        made: list[socket.socket] = []
        for type_ in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                one = stack.enter_context(socket.socket(family, type_))
                one.bind((host, 0))
                one.setblocking(False)
                if type_ == socket.SOCK_STREAM:
                    one.listen()
                made.append(one)
        yield Canary(*made)


@pytest.fixture
def proxy() -> Iterator[tuple[str, int]]:
    """A place that accepts connections, as the guard's channels do."""
    with socket.create_server(("127.9.0.1", 0)) as listener:
        yield listener.getsockname()


def _run(command: list[str]) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _doors(launcher: list[str], proxy: tuple[str, int], canary: Canary) -> dict[str, str | None]:
    ports = map(str, (proxy[1], *canary.ports))
    return _run([*launcher, sys.executable, "-I", "-S", str(_PROBE), proxy[0], *ports])


def _python(launcher: list[str], code: str) -> Any:
    return _run([*launcher, sys.executable, "-I", "-S", "-c", textwrap.dedent(code)])


# --- the doors, one by one --------------------------------------------------------------------------------------------


def test_without_a_jail_the_probe_finds_the_doors_open(proxy: tuple[str, int], canary: Canary) -> None:
    found = _doors([], proxy, canary)
    opened = {name for name, error in found.items() if error is None}
    expected = {"proxy", "tcp4", "tcp6", "udp4", "udp6", "fastopen", "fastopen-sendmsg", "fastopen-connect", "netlink"}
    assert expected <= opened
    assert canary.connections() >= 5
    assert canary.packets() == 2
    assert set(found) == {"proxy"} | _FULL.closed


@pytest.mark.parametrize("attempt", _LEVELS)
@pytest.mark.parametrize("browser", ["chromium-headless-shell", "chromium"])
def test_every_door_that_a_level_promises_to_close_is_closed(
    attempt: Attempt, browser: str, proxy: tuple[str, int], canary: Canary
) -> None:
    found = _doors(_jail(attempt, proxy[1]).command(Path(browser)), proxy, canary)
    assert found["proxy"] is None
    assert {name for name in attempt.closed if found[name] is None} == set()
    assert {found[name] for name in ("udp4", "udp6", "mptcp", "raw4", "icmp")} == {"EACCES"}
    assert canary.packets() == 0
    if attempt.level is JailLevel.FULL:
        assert {found[name] for name in ("tcp4", "tcp6", "fastopen")} == {"EACCES"}
        assert canary.connections() == 0
    else:
        assert found["tcp4"] is None


_INSIDE = """
    import json, socket, ctypes, os

    def error(work):
        try:
            work()
        except OSError as error:
            return error.errno
        return 0

    libc = ctypes.CDLL(None, use_errno=True)

    def call(number, *arguments):
        if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
            raise OSError(ctypes.get_errno(), "syscall")

    def pair():
        one, other = socket.socketpair()
        one.sendall(b"x")
        assert other.recv(1) == b"x"

    stream = socket.socket()
    other = socket.socket()
    no_delay = lambda: stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    x86 = os.uname().machine == "x86_64"
    print(json.dumps({
        "socketpair": error(pair),
        "option": error(no_delay),
        "unix": error(lambda: socket.socket(socket.AF_UNIX)),
        "bind": error(lambda: stream.bind(("127.0.0.1", 0))),
        "listen": error(lambda: other.listen()),
        "ptrace": error(lambda: call(101 if x86 else 117, 0, 0, 0, 0)),
        "x32": error(lambda: call(0x40000000 + 41, 2, 2, 0)) if x86 else 38,
        "signal": error(lambda: os.kill(os.getppid(), 0)),
    }))
"""


def test_what_else_is_closed_inside_and_what_chromium_needs_is_open(proxy: tuple[str, int]) -> None:
    jail = _jail(_FULL, proxy[1])
    free = _python([], _INSIDE)
    assert {name: free[name] for name in ("unix", "bind", "listen", "signal")} == dict.fromkeys(
        ("unix", "bind", "listen", "signal"), 0
    )
    strict = _python(jail.command(Path("chromium-headless-shell")), _INSIDE)
    assert strict | {"signal": 1} == {
        "socketpair": 0,
        "option": 0,
        "unix": 97,
        "bind": 13,
        "listen": 13,
        "ptrace": 1,
        "x32": 38,
        "signal": 1,
    }
    full_browser = _python(jail.command(Path("chromium")), _INSIDE)
    assert full_browser == strict | {"unix": 0, "listen": 0}


def test_children_can_not_leave(proxy: tuple[str, int]) -> None:
    launcher = _jail(_FULL, proxy[1]).command(_BROWSER)
    code = f"""
        import subprocess, sys

        def child(work):
            code = f"import socket\\ntry: {{work}}; print(1)\\nexcept OSError: print(0)"
            return int(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)

        reach = "socket.create_connection(('127.9.0.1', {proxy[1]}))"
        print([child(reach), child("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")])
    """
    assert _python(launcher, code) == [1, 0]
    assert _python([], code) == [1, 1]


def test_a_launcher_that_can_not_jail_starts_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_LAUNCHER), "landlock,seccomp", "70000", "/bin/touch", str(tmp_path / "ran")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 126
    assert done.stderr.startswith("landlock: ")
    assert not (tmp_path / "ran").exists()


# --- jail_selftest: the level is what was proven ----------------------------------------------------------------------


@pytest.mark.parametrize("attempt", _LEVELS)
async def test_the_self_test_passes_a_jail_that_holds(attempt: Attempt, proxy: tuple[str, int]) -> None:
    _require(attempt)
    jail = await open_jail(GuardSettings(), proxy=proxy, program=_BROWSER, attempts=[attempt])
    assert (jail.level, jail.means, jail.lacking) == (attempt.level, attempt.means, ())


async def test_the_self_test_finds_a_door_that_was_left_open(proxy: tuple[str, int]) -> None:
    leaking = Attempt(JailLevel.FULL, ("seccomp",), _FULL.closed)
    jail = await open_jail(GuardSettings(), proxy=proxy, program=_BROWSER, attempts=[leaking, _DATAGRAMS])
    assert jail.level is JailLevel.DATAGRAMS
    assert jail.lacking == ("full by seccomp: the self-test got out by tcp4, tcp6",)


async def test_the_self_test_refuses_a_jail_that_shuts_the_proxy_off(proxy: tuple[str, int]) -> None:
    _require(_FULL)
    with socket.socket() as nobody:
        nobody.bind(("127.9.0.2", 0))
        jail = await open_jail(
            GuardSettings(), proxy=nobody.getsockname(), program=_BROWSER, attempts=[_FULL, _DATAGRAMS]
        )
    assert jail.level is JailLevel.NONE
    assert all("the proxy's port can't be reached (ECONNREFUSED)" in reason for reason in jail.lacking)
    assert jail.command(_BROWSER) == []


async def test_a_level_that_is_required_and_not_reached_is_an_error_with_reason_and_fix(
    proxy: tuple[str, int],
) -> None:
    with pytest.raises(JailTooWeak) as raised:
        await open_jail(GuardSettings(require="full"), proxy=proxy, program=_BROWSER, attempts=[_DATAGRAMS])
    assert "CALOTYPE_GUARD__REQUIRE is full" in raised.value.message
    assert "reaches datagrams only" in raised.value.message
    with pytest.raises(JailTooWeak, match="CALOTYPE_GUARD__JAIL=auto"):
        await open_jail(GuardSettings(require="datagrams", jail="off"), proxy=proxy, program=_BROWSER)
    jail = await open_jail(GuardSettings(require="datagrams"), proxy=proxy, program=_BROWSER)
    assert jail.level in (JailLevel.DATAGRAMS, JailLevel.FULL)


# --- no_proxy_flag: Chromium without the flags that keep it in --------------------------------------------------------

_GET_OUT = """
    (async ([tcp4, tcp6, udp4, udp6]) => {
      const places = [`127.0.0.1:${tcp4}`, `[::1]:${tcp6}`];
      const loads = places.map(place => fetch(`http://${place}/`, {mode: "no-cors"}).catch(() => 0));
      for (const place of places) {
        const image = new Image();
        loads.push(new Promise(done => { image.onload = image.onerror = done; image.src = `http://${place}/i`; }));
        loads.push(new Promise(done => { new WebSocket(`ws://${place}/`).onclose = done; }));
      }
      const peer = new RTCPeerConnection({iceServers: [
        {urls: [`stun:127.0.0.1:${udp4}`, `stun:[::1]:${udp6}`]},
        {urls: [`turn:127.0.0.1:${tcp4}?transport=tcp`, `turn:127.0.0.1:${udp4}`], username: "u", credential: "c"},
      ]});
      peer.createDataChannel("x");
      // Without any network it gathers for ever, so 2 s are the end.
      const gathered = new Promise(done => {
        peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
        setTimeout(done, 2000);
      });
      await peer.setLocalDescription(await peer.createOffer());
      await Promise.all([...loads, gathered]);
    })(PORTS)
"""


@contextmanager
def _without_guard_flags(directory: Path) -> Iterator[Path]:
    """A program that is Chromium without the flags that close the network."""
    script = directory / "careless-chromium"
    script.write_text(
        "#!/bin/sh\n"
        'for flag do shift; case "$flag" in --proxy-*|--host-resolver-*|--*webrtc*|--disable-quic) ;; '
        '*) set -- "$@" "$flag";; esac; done\n'
        f'exec {_BROWSER} "$@"\n'
    )
    script.chmod(0o755)
    yield script


async def _blank_page(connection: Connection) -> Session:
    target = await connection.root.call("Target.createTarget", url="about:blank")
    attached = await connection.root.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
    session = connection.session(attached["sessionId"])
    await session.call("Page.enable")
    return session


@asynccontextmanager
async def _careless_page(directory: Path, launcher: list[str]) -> AsyncIterator[Session]:
    with _without_guard_flags(directory) as program:
        chromium = ChromiumProcess(program, sandbox=False, launcher=launcher)
        await chromium.start()
        try:
            yield await _blank_page(chromium.connection)
        finally:
            await chromium.stop()


async def _try_to_get_out(session: Session, canary: Canary) -> tuple[int, int]:
    """Let a page try everything; return what the canary saw: connections, packets."""
    connections = 0

    async def answer() -> None:
        nonlocal connections
        while True:
            connections += canary.connections()
            await asyncio.sleep(0.01)  # a page waits for the end of each connection

    answering = asyncio.create_task(answer())
    expression = _GET_OUT.replace("PORTS", json.dumps(canary.ports))
    result = await session.call("Runtime.evaluate", expression=expression, awaitPromise=True)
    assert "exceptionDetails" not in result, result
    await session.call("Page.navigate", url=f"http://127.0.0.1:{canary.ports[0]}/")
    answering.cancel()
    return connections + canary.connections(), canary.packets()


async def test_chromium_without_its_flags_gets_out_when_it_is_not_jailed(tmp_path: Path, canary: Canary) -> None:
    async with _careless_page(tmp_path, []) as session:
        connections, packets = await _try_to_get_out(session, canary)
    assert connections >= 6
    assert packets > 0


async def test_chromium_without_its_flags_stays_inside_the_full_jail(
    tmp_path: Path, proxy: tuple[str, int], canary: Canary
) -> None:
    async with _careless_page(tmp_path, _jail(_FULL, proxy[1]).command(_BROWSER)) as session:
        assert await _try_to_get_out(session, canary) == (0, 0)


async def test_chromium_without_its_flags_sends_no_datagram_in_the_lesser_jail(
    tmp_path: Path, proxy: tuple[str, int], canary: Canary
) -> None:
    async with _careless_page(tmp_path, _jail(_DATAGRAMS, proxy[1]).command(_BROWSER)) as session:
        connections, packets = await _try_to_get_out(session, canary)
    assert connections >= 6
    assert packets == 0


async def test_chromium_reaches_the_port_that_is_allowed(tmp_path: Path, canary: Canary) -> None:
    launcher = _jail(_FULL, canary.ports[0]).command(_BROWSER)
    async with _careless_page(tmp_path, launcher) as session:
        connections, packets = await _try_to_get_out(session, canary)
    assert connections > 0
    assert packets == 0


# --- Chromium's own sandbox inside ------------------------------------------------------------------------------------


def _python_for_everybody() -> str:
    """An interpreter that an ordinary user may run, wherever ours is."""
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        with suppress(OSError):
            if subprocess.run([candidate, "-I", "-S", "-c", ""], check=False, user=_NOBODY).returncode == 0:
                return candidate
    pytest.skip("no Python that an ordinary user can run")


def _renderers(root_pid: int) -> list[Path]:
    paths = [Path(f"/proc/{pid}") for pid in descendants(root_pid)]
    return [path for path in paths if b"--type=renderer" in (path / "cmdline").read_bytes()]


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an ordinary user may use; pytest's are its user's alone."""
    directory = Path(tempfile.mkdtemp(prefix="calotype-test-jail-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user, which only root can")
async def test_the_browsers_own_sandbox_comes_up_inside_for_an_ordinary_user(
    proxy: tuple[str, int], open_directory: Path
) -> None:
    jail = _jail(_FULL, proxy[1])
    keeper, launcher = (shutil.copy(_DIRECTORY / name, open_directory) for name in ("keeper.py", "jail_launcher.py"))
    profile = open_directory / "profile"
    profile.mkdir()
    os.chown(profile, _NOBODY, _NOBODY)
    python = [_python_for_everybody(), "-I", "-S"]
    lifeline, commands, answers = os.pipe(), os.pipe(), os.pipe()
    passed = (lifeline[0], lifeline[0], commands[0], answers[1])
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
        [
            *(*python, keeper, *map(str, passed), str(profile)),
            *(*python, launcher, ",".join(jail.means), str(jail.port)),
            *(str(_BROWSER), *chromium_flags(profile=str(profile), sandbox=True)),
        ],
        pass_fds=passed,
        user=_NOBODY,
        group=_NOBODY,
        extra_groups=[],
        env={"HOME": str(profile), "PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
    ) as running:
        for descriptor in set(passed):
            os.close(descriptor)
        connection = Connection()
        await connection.open(answers[0], commands[1])
        try:
            session = await _blank_page(connection)
            await session.call("Runtime.evaluate", expression="1")  # the renderer is up, its sandbox with it
            renderers = _renderers(running.pid)
            assert renderers
            for renderer in renderers:
                assert "Seccomp_filters:\t2\n" in (renderer / "status").read_text()  # ours, and Chromium's above it
                assert os.readlink(renderer / "ns/user") != os.readlink("/proc/self/ns/user")
        finally:
            connection.close()
            os.close(lifeline[1])
