"""The whole laboratory, and the servers and browsers that work in it."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from calotype.browser.discover import find_browser
from calotype.settings import BrowserSettings
from tests.e2e.server_process import ServerProcess, running_server

from .hostile_dns import NAMESERVER, HostileDns
from .internet import Internet
from .judge import CLIENT, Judge
from .namespace import Namespace
from .watch import Watch
from .wiring import BROWSER_UID, DEVICE, wire_bare, wire_server

PORTS = (80, 443, 3478, 6379, 8000, 8080, 8443, 9222)
"""Where every address of the internet listens, with TLS on 443 and 8443."""
MACHINE_PORTS = (80, 443, 6379, 8080, 9222)
"""Where every own address of the server's machine listens."""
REFUSED_PORT = 8001
"""Where nobody listens."""


_SECOND_LINE = (
    *("LocalNetworkAccessChecks", "LocalNetworkAccessChecksWebRTC", "LocalNetworkAccessChecksWebSockets"),
    *("LocalNetworkAccessChecksWebTransport", "BlockInsecurePrivateNetworkRequests"),
)
"""Features of Chromium that a browser without the guard must not have: what they refuse says nothing about a probe."""


class _InNamespace(httpx.BaseTransport):
    """Requests of a client that stands in the namespace, a connection each."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host, port = request.url.host, request.url.port or 80
        connection = http.client.HTTPConnection(host, port)
        connection.sock = self._namespace.connect(host, port, source=CLIENT, timeout_s=150)
        try:
            path = request.url.raw_path.decode("ascii")
            connection.request(request.method, path, request.read(), dict(request.headers.items()))
            answer = connection.getresponse()
            return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
        finally:
            connection.close()


@dataclass
class Laboratory:
    """What tests use."""

    machine: Namespace
    world: Namespace
    internet: Internet
    watch: Watch
    judge: Judge

    @property
    def dns(self) -> HostileDns:
        return self.internet.dns

    def findings(self) -> list[str]:
        """Take what happened since the last time; return what of it the rules forbid."""
        return self.judge.violations(self.watch.take(), self.internet.take())

    @contextmanager
    def running_server(self, directory: Path, *, trusting: bool = False, **settings: str) -> Iterator[ServerProcess]:
        """Start the server on this machine.

        Args:
            trusting: its Chromium takes our servers' certificate.
        """
        extra = ("--ignore-certificate-errors",) if trusting else ()
        executable = self._browser(directory / "lab-browser", *extra)
        with running_server(
            directory / "data",
            prefix=self.machine.command(),
            transport=_InNamespace(self.machine),
            GUARD__NAMESERVERS=f'["{NAMESERVER}"]',
            BROWSER__EXECUTABLE=str(executable),
            **settings,
        ) as server:
            self.judge.servers.add(int(server.url.rpartition(":")[2]))
            self.judge.proxies.add(self._proxy_port(server))
            yield server

    @contextmanager
    def bare_browser(self, directory: Path, url: str, *flags: str) -> Iterator[Watch]:
        """Open the URL in a Chromium without the guard, on a machine of its own; give the watch of that machine.

        It asks the hostile DNS server itself. Nothing of it is left when the block ends.
        """
        resolv = directory / "resolv.conf"
        resolv.write_text(f"nameserver {NAMESERVER}\n")
        off = f"--disable-features={','.join(_SECOND_LINE)}"
        arguments = ("--headless", "--no-sandbox", f"--user-data-dir={directory / 'profile'}", off, *flags, url)
        mounted = f'mount --bind "{resolv}" /etc/resolv.conf && exec "$@"'
        inside = ("unshare", "--mount", "sh", "-c", mounted, "sh", str(find_browser(BrowserSettings())), *arguments)
        with ExitStack() as stack:
            bare = stack.enter_context(Namespace(inside=self.machine))
            wire_bare(bare, self.world)
            watch = stack.enter_context(Watch(bare, (DEVICE,)))
            # Its whole process group holds the pipe: the end of it is the end of all of them.
            browser = stack.enter_context(
                subprocess.Popen(
                    bare.command(*inside), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
                )
            )
            try:
                yield watch
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.communicate()

    def channels(self) -> list[tuple[str, int]]:
        """Where channels of the guard listen now."""
        return [(host, port) for host, port in self.machine.tcp_listeners() if host.startswith("127.9.")]

    def _proxy_port(self, server: ServerProcess) -> int:
        """Of a server that has just started. One capture makes it hold a channel ready for the next."""
        others = set(self.judge.proxies)
        server.picture(html="<p>x")
        while True:
            if ports := {port for _, port in self.channels()} - others:
                return ports.pop()
            time.sleep(0.01)

    def _browser(self, script: Path, *extra: str) -> Path:
        """A program that starts the real browser, as a user of its own where that is possible."""
        binary = find_browser(BrowserSettings())
        command = [str(binary), '"$@"', *extra]
        lines = ["#!/bin/sh"]
        if self.machine.has_user_ids and shutil.which("setpriv"):
            lines += [
                'for word in "$@"; do',
                f'    case $word in --user-data-dir=*) chown -R {BROWSER_UID} "${{word#*=}}" ;; esac',
                "done",
            ]
            command = ["setpriv", f"--reuid={BROWSER_UID}", f"--regid={BROWSER_UID}", "--clear-groups", *command]
        script.write_text("\n".join([*lines, f"exec {' '.join(command)}", ""]))
        script.chmod(0o755)
        return script


@contextmanager
def running_laboratory() -> Iterator[Laboratory]:
    """
    Raises:
        NoLaboratory
    """
    with ExitStack() as stack:
        machine = stack.enter_context(Namespace())
        world = stack.enter_context(Namespace(inside=machine))
        wire_server(machine, world)
        watch = stack.enter_context(Watch(machine, (DEVICE, "lo")))
        internet = stack.enter_context(Internet(world, machine, ports=PORTS, machine_ports=MACHINE_PORTS))
        yield Laboratory(machine, world, internet, watch, Judge())
