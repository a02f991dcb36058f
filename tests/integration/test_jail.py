"""The browser's network jail, from inside: real processes and a real Chromium try to get out of it.

Each test that finds a door closed has a control that finds it open without the jail.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import signal
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

from calotype.browser.cdp import Connection, Session
from calotype.browser.discover import find_browser
from calotype.browser.flags import chromium_flags
from calotype.browser.jail import levels
from calotype.browser.jail.levels import ATTEMPTS, Attempt, Jail, JailLevel, JailTooWeak, open_jail
from calotype.browser.jail.namespace import Namespace
from calotype.browser.jail.selftest import find_leak
from calotype.browser.page import Page
from calotype.browser.process import ChromiumProcess, Launcher
from calotype.browser.process_tree import descendants
from calotype.guard.listener import open_listeners
from calotype.guard.policy import EgressPolicy
from calotype.guard.proxy import EgressProxy
from calotype.settings import BrowserSettings, GuardSettings
from tests.site.server import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is made of Linux's means")

_DIRECTORY = Path(levels.__file__).parent
_LAUNCHER = _DIRECTORY / "launcher.py"
_PROBE = _DIRECTORY / "probe.py"
_BROWSER = find_browser(BrowserSettings())
_NOBODY = 65534
_AS_NOBODY: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}

_LANDLOCK, _NETNS, _SECCOMP = ATTEMPTS


def _each(*attempts: Attempt) -> list[Any]:
    return [pytest.param(attempt, id=attempt.means[0]) for attempt in attempts]


_NO_LAUNCHER = Launcher()


def _has_landlock_for_tcp() -> bool:
    libc = ctypes.CDLL(None)
    return libc.syscall(ctypes.c_long(444), None, ctypes.c_long(0), ctypes.c_long(1)) >= 4


def _has_user_namespaces() -> bool:
    return subprocess.run(["unshare", "--user", "--net", "true"], check=False, capture_output=True).returncode == 0


def _require(attempt: Attempt) -> None:
    if "landlock" in attempt.means and not _has_landlock_for_tcp():
        pytest.skip("this kernel has no Landlock rules for TCP (Linux 6.7 and later have)")
    if "netns" in attempt.means and not _has_user_namespaces():
        pytest.skip("user namespaces are denied here")


@dataclass
class Inside:
    """A jail, and a place that accepts connections from inside, as the guard's channels do."""

    jail: Jail
    host: str
    port: int

    def launcher(self, program: Path | str = _BROWSER) -> Launcher:
        return self.jail.launcher(Path(program), port=self.port)


@asynccontextmanager
async def _jailed(attempt: Attempt) -> AsyncIterator[Inside]:
    _require(attempt)
    namespace = await Namespace.open() if "netns" in attempt.means else None
    jail = Jail(attempt.level, attempt.means, namespace=namespace)
    try:
        with jail.make_socket() as proxy:
            proxy.bind(("127.9.0.1", 0))
            proxy.listen()
            yield Inside(jail, *proxy.getsockname())
    finally:
        await jail.close()


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


def _run(launcher: Launcher, *arguments: str) -> Any:
    command = [*launcher.command, sys.executable, "-I", "-S", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=launcher.descriptors)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _doors(launcher: Launcher, host: str, port: int, canary: Canary) -> dict[str, str | None]:
    return _run(launcher, str(_PROBE), host, *map(str, (port, *canary.ports)))


def _python(launcher: Launcher, code: str) -> Any:
    return _run(launcher, "-c", textwrap.dedent(code))


# --- the doors, one by one --------------------------------------------------------------------------------------------


def test_without_a_jail_the_probe_finds_the_doors_open(canary: Canary) -> None:
    with socket.create_server(("127.9.0.1", 0)) as proxy:
        found = _doors(_NO_LAUNCHER, *proxy.getsockname(), canary)
    opened = {name for name, error in found.items() if error is None}
    expected = {"proxy", "tcp4", "tcp6", "udp4", "udp6", "fastopen", "fastopen-sendmsg", "fastopen-connect", "netlink"}
    assert expected <= opened
    assert canary.connections() >= 5
    assert canary.packets() == 2
    assert set(found) == {"proxy"} | _LANDLOCK.closed


@pytest.mark.parametrize("attempt", _each(*ATTEMPTS))
@pytest.mark.parametrize("browser", ["chromium-headless-shell", "chromium"])
async def test_every_door_that_a_level_promises_to_close_is_closed(
    attempt: Attempt, browser: str, canary: Canary
) -> None:
    async with _jailed(attempt) as inside:
        found = _doors(inside.launcher(browser), inside.host, inside.port, canary)
    assert found["proxy"] is None
    assert {name for name in attempt.closed if found[name] is None} == set()
    assert {found[name] for name in ("udp4", "udp6", "mptcp", "raw4", "icmp")} == {"EACCES"}
    assert canary.packets() == 0
    if attempt is _SECCOMP:
        assert found["tcp4"] is None
    else:
        assert found["tcp4"] == ("EACCES" if attempt is _LANDLOCK else "ECONNREFUSED")
        assert canary.connections() == 0


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


async def test_what_else_is_closed_inside_and_what_chromium_needs_is_open() -> None:
    async with _jailed(_LANDLOCK) as inside:
        strict = _python(inside.launcher("chromium-headless-shell"), _INSIDE)
        full_browser = _python(inside.launcher("chromium"), _INSIDE)
    free = _python(_NO_LAUNCHER, _INSIDE)
    assert {name: free[name] for name in ("unix", "bind", "listen", "signal")} == dict.fromkeys(
        ("unix", "bind", "listen", "signal"), 0
    )
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
    assert full_browser == strict | {"unix": 0, "listen": 0}


@pytest.mark.parametrize("attempt", _each(_LANDLOCK, _NETNS))
async def test_children_can_not_leave(attempt: Attempt, canary: Canary) -> None:
    code = """
        import subprocess, sys

        def child(work):
            code = f"import socket\\ntry: {work}; print(1)\\nexcept OSError: print(0)"
            return int(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)

        allowed, refused = (child(f"socket.create_connection({place})") for place in PLACES)
        print([allowed, refused, child("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")])
    """
    other = canary.tcp4.getsockname()
    async with _jailed(attempt) as inside:
        assert _python(inside.launcher(), code.replace("PLACES", repr([(inside.host, inside.port), other]))) == [
            1,
            0,
            0,
        ]
    assert _python(_NO_LAUNCHER, code.replace("PLACES", repr([other, other]))) == [1, 1, 1]


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


async def test_nobody_outside_reaches_what_listens_in_the_namespace() -> None:
    async with _jailed(_NETNS) as inside:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((inside.host, inside.port))
        assert _python(
            inside.launcher(), f"import socket; socket.create_connection({(inside.host, inside.port)}); print(1)"
        )


async def test_the_namespace_has_sockets_without_end_and_its_helper_process_ends() -> None:
    _require(_NETNS)
    namespace = await Namespace.open()
    made = [namespace.make_socket() for _ in range(100)]
    for number, each in enumerate(made):
        each.bind((f"127.9.1.{number + 1}", 4000))
        each.listen()
    with socket.socket() as outside:
        outside.bind(("127.9.1.1", 4000))  # no conflict: another network
    for each in made:
        each.close()
    await namespace.close()
    assert namespace.is_closed
    with pytest.raises(ConnectionError, match="is gone"):
        namespace.make_socket()


async def test_a_namespace_whose_helper_process_was_killed_says_so() -> None:
    _require(_NETNS)
    namespace = await Namespace.open()
    os.kill(namespace.holder_pid, signal.SIGKILL)

    def use_up() -> None:
        for _ in range(200):
            namespace.make_socket().close()

    with pytest.raises(ConnectionError, match="is gone"):
        use_up()
    await namespace.close()


async def _opened(settings: GuardSettings, **arguments: Any) -> Jail:
    jail, listeners = await open_jail(settings, listen=open_listeners, **arguments)
    listeners.close()
    return jail


# --- jail_selftest: the level is what was proven ----------------------------------------------------------------------


@pytest.mark.parametrize("attempt", _each(*ATTEMPTS))
async def test_the_self_test_passes_a_jail_that_holds(attempt: Attempt) -> None:
    _require(attempt)
    jail = await _opened(GuardSettings(), program=_BROWSER, attempts=[attempt])
    assert (jail.level, jail.means, jail.lacking) == (attempt.level, attempt.means, ())
    await jail.close()


async def test_the_self_test_finds_a_door_that_was_left_open() -> None:
    leaking = Attempt(JailLevel.FULL, ("seccomp",), _LANDLOCK.closed)
    jail = await _opened(GuardSettings(), program=_BROWSER, attempts=[leaking, _SECCOMP])
    assert jail.level is JailLevel.DATAGRAMS
    assert jail.lacking == ("full by seccomp: the self-test got out by tcp4, tcp6",)


@pytest.mark.parametrize("attempt", _each(_LANDLOCK, _NETNS))
async def test_the_self_test_refuses_a_jail_that_shuts_the_proxy_off(attempt: Attempt) -> None:
    async with _jailed(attempt) as inside:
        nobody = ("127.9.0.2", inside.port)
        leak = await find_leak(inside.launcher(), proxy=nobody, closed=attempt.closed)
    assert leak == "the proxy's port can't be reached (ECONNREFUSED)"


async def test_means_that_can_not_be_had_are_told_and_the_next_are_tried() -> None:
    unknown = Attempt(JailLevel.FULL, ("netns", "seccomp"), frozenset({"no such door"}))
    jail = await _opened(GuardSettings(), program=Path("chromium"), attempts=[unknown])
    assert jail.level is JailLevel.NONE
    assert jail.launcher(_BROWSER, port=1) == _NO_LAUNCHER
    assert jail.lacking[0].startswith("full by netns and seccomp: ")


async def test_a_level_that_is_required_and_not_reached_is_an_error_with_reason_and_fix() -> None:
    with pytest.raises(JailTooWeak) as raised:
        await _opened(GuardSettings(require="full"), program=_BROWSER, attempts=[_SECCOMP])
    assert "CALOTYPE_GUARD__REQUIRE is full" in raised.value.message
    assert "reaches datagrams only" in raised.value.message
    with pytest.raises(JailTooWeak, match="CALOTYPE_GUARD__JAIL=auto"):
        await _opened(GuardSettings(require="datagrams", jail="off"), program=_BROWSER)
    jail = await _opened(GuardSettings(require="datagrams"), program=_BROWSER)
    assert jail.level in (JailLevel.DATAGRAMS, JailLevel.FULL)
    await jail.close()


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
async def _careless_page(directory: Path, launcher: Launcher) -> AsyncIterator[Session]:
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
    async with _careless_page(tmp_path, _NO_LAUNCHER) as session:
        connections, packets = await _try_to_get_out(session, canary)
    assert connections >= 6
    assert packets > 0


@pytest.mark.parametrize("attempt", _each(_LANDLOCK, _NETNS))
async def test_chromium_without_its_flags_stays_inside_the_full_jail(
    attempt: Attempt, tmp_path: Path, canary: Canary
) -> None:
    async with _jailed(attempt) as inside, _careless_page(tmp_path, inside.launcher()) as session:
        assert await _try_to_get_out(session, canary) == (0, 0)


async def test_chromium_without_its_flags_sends_no_datagram_in_the_lesser_jail(tmp_path: Path, canary: Canary) -> None:
    async with _jailed(_SECCOMP) as inside, _careless_page(tmp_path, inside.launcher()) as session:
        connections, packets = await _try_to_get_out(session, canary)
    assert connections >= 6
    assert packets == 0


@pytest.mark.parametrize("attempt", _each(*ATTEMPTS))
async def test_captures_are_made_inside(attempt: Attempt, site: Site) -> None:
    _require(attempt)
    guard = GuardSettings(allow=(site.netloc,))
    jail, listeners = await open_jail(guard, program=_BROWSER, listen=open_listeners, attempts=[attempt])
    policy = EgressPolicy(guard)
    proxy = EgressProxy(policy, guard, listeners=listeners)
    await proxy.start()
    chromium = ChromiumProcess(_BROWSER, sandbox=False, launcher=jail.launcher(_BROWSER, port=proxy.port))
    await chromium.start()
    try:
        pages = [await Page.open(chromium.connection, proxy.open_channel) for _ in range(3)]
        for page in pages:
            assert "errorText" not in await page.session.call("Page.navigate", url=f"{site.url}/text.html")
        for page in pages:
            await page.close()
    finally:
        await chromium.stop()
        await proxy.stop()
        await jail.close()


# --- Chromium's own sandbox inside ------------------------------------------------------------------------------------


def _python_for_everybody() -> str:
    """An interpreter that an ordinary user may run, wherever ours is."""
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        with suppress(OSError):
            if subprocess.run([candidate, "-I", "-S", "-c", ""], check=False, **_AS_NOBODY).returncode == 0:
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


@contextmanager
def _means_of_an_ordinary_user(attempt: Attempt, python: list[str], directory: Path) -> Iterator[tuple[str, list[int]]]:
    """What the launcher is called with, and the descriptors it needs."""
    exception = "" if "headless" in _BROWSER.name else ",unix-sockets"
    if "netns" not in attempt.means:
        yield f"{','.join(attempt.means)}{exception}", []
        return
    ours, theirs = socket.socketpair()
    command = [*python, shutil.copy(_DIRECTORY / "holder.py", directory), str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=(theirs.fileno(),), **_AS_NOBODY), ours:
        theirs.close()
        descriptors = socket.recv_fds(ours, 1, 2)[1]
        try:
            yield f"netns:{descriptors[0]}:{descriptors[1]},seccomp{exception}", descriptors
        finally:
            for each in descriptors:
                os.close(each)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user, which only root can")
@pytest.mark.parametrize("attempt", _each(_LANDLOCK, _NETNS))
async def test_the_browsers_own_sandbox_comes_up_inside_for_an_ordinary_user(
    attempt: Attempt, open_directory: Path
) -> None:
    _require(attempt)
    keeper, launcher = (
        shutil.copy(source, open_directory) for source in (_DIRECTORY.parent / "keeper.py", _DIRECTORY / "launcher.py")
    )
    profile = open_directory / "profile"
    profile.mkdir()
    os.chown(profile, _NOBODY, _NOBODY)
    python = [_python_for_everybody(), "-I", "-S"]
    lifeline, commands, answers = os.pipe(), os.pipe(), os.pipe()
    passed = (lifeline[0], lifeline[0], commands[0], answers[1])
    with (
        _means_of_an_ordinary_user(attempt, python, open_directory) as (means, descriptors),
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
            [
                *(*python, keeper, *map(str, passed), str(profile)),
                *(*python, launcher, means, "4000"),
                *(str(_BROWSER), *chromium_flags(profile=str(profile), sandbox=True)),
            ],
            pass_fds=(*passed, *descriptors),
            **_AS_NOBODY,
            env={"HOME": str(profile), "PATH": os.environ["PATH"]},
        ) as running,
    ):
        for descriptor in set(passed):
            os.close(descriptor)
        connection = Connection()
        await connection.open(answers[0], commands[1])
        try:
            session = await _blank_page(connection)
            await session.call("Runtime.evaluate", expression="1")  # the renderer is up, its sandbox with it
            browser_pid = descendants(running.pid)[1]
            renderers = _renderers(running.pid)
            assert renderers
            for renderer in renderers:
                assert "Seccomp_filters:\t2\n" in (renderer / "status").read_text()  # ours, and Chromium's above it
                for name in ("user", "net"):
                    assert os.readlink(renderer / "ns" / name) != os.readlink(f"/proc/{browser_pid}/ns/{name}")
            status = (renderers[0].parent / str(browser_pid) / "status").read_text()
            assert "CapEff:\t0000000000000000\n" in status
            assert "NoNewPrivs:\t1\n" in status
            # The pool must still see how much memory it takes.
            rollup = ["cat", f"/proc/{browser_pid}/smaps_rollup"]
            assert b"\nPss:" in subprocess.run(rollup, check=True, capture_output=True, **_AS_NOBODY).stdout  # noqa: ASYNC221
        finally:
            connection.close()
            os.close(lifeline[1])
