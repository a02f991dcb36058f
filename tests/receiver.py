"""Receivers of webhooks: servers of the standard library, on loopback, that keep what they get."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


Answer = Callable[["Received", BaseHTTPRequestHandler], None]


def answer_with(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    def answer(received: Received, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@dataclass
class Receiver:
    """`answers` in turn, the last one for ever."""

    port: int
    answers: list[Answer]
    received: list[Received] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """What TLS clients asked for (SNI)."""


@contextmanager
def running_receiver(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1; it answers 204 if nothing else is said."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.received.append(received)
            answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            answer(received, self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients that refuse the certificate, or go away

        def finish_request(self, request: Any, client_address: Any) -> None:
            if tls is None:
                super().finish_request(request, client_address)
            else:
                with tls.wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_address[1], list(answers) or [answer_with(204)])
        if tls is not None:
            tls.sni_callback = lambda connection, name, context: receiver.names.append(name)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@dataclass
class SilentReceiver:
    """Accepts connections and never answers. `connections` are open until it is closed."""

    port: int
    connections: list[socket.socket] = field(default_factory=list)


@contextmanager
def running_silent_receiver() -> Iterator[SilentReceiver]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = SilentReceiver(listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                silent.connections.append(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield silent
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in silent.connections:
                connection.close()


def refusing_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
