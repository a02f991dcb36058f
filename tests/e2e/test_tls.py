"""HTTPS, as OpenSSL's own client sees it, and what is believed of proxies."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .server_process import running_server
from .test_resilience import until
from .test_serve import Started, run_to_its_end, started

OLD = ("tls1", "tls1_1")
NEW = {"tls1_2": "TLSv1.2", "tls1_3": "TLSv1.3"}


def make_certificate(directory: Path, name: str, *, kind: str = "ec") -> tuple[Path, Path]:
    cert, key = directory / "cert.pem", directory / "key.pem"
    how = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-nodes", *how, *names, "-days", "2", "-out", str(cert), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def s_client(port: int, *options: str, given: str = "") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr


def agreed(port: int, version: str, *options: str) -> str | None:
    """The version that was agreed on, None if none was."""
    said = s_client(port, f"-{version}", *options)
    found = re.search(r"^New, (TLSv1\.[0-9]|TLSv1)(?:\.0)?, Cipher is (?!\(NONE\))", said, re.MULTILINE)
    protocol = re.search(r"Protocol *: (TLSv1(?:\.[0-9])?)", said)
    return (protocol.group(1) if protocol else found.group(1)) if found else None


@contextmanager
def permissive_server(cert: Path, key: Path) -> Iterator[int]:
    """A server that takes every version, to know that the client offers them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
                with context.wrap_socket(raw, server_side=True) as wrapped:
                    wrapped.recv(1)
            except OSError:
                if listener.fileno() < 0:
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Started, Path, Path]]:
    directory = tmp_path_factory.mktemp("tls")
    cert, key = make_certificate(directory, "first")
    with started(directory / "data", "--tls-cert", str(cert), "--tls-key", str(key), lines=3) as server:
        yield server, cert, key


def test_tls_1_2_and_1_3_only(tls: tuple[Started, Path, Path]) -> None:
    server, cert, key = tls
    assert server.url.startswith("https://")
    any_cipher = ("-cipher", "ALL:@SECLEVEL=0")
    assert {version: agreed(server.port, version) for version in NEW} == NEW
    assert [agreed(server.port, version, *any_cipher) for version in OLD] == [None, None]
    with permissive_server(cert, key) as port:  # it is the server that refuses: the client does offer them
        assert [agreed(port, version, *any_cipher) for version in OLD] == ["TLSv1", "TLSv1.1"]


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "NULL-SHA"])
def test_weak_ciphers_are_refused(tls: tuple[Started, Path, Path], cipher: str) -> None:
    server, *_ = tls
    assert agreed(server.port, "tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0") is None
    assert agreed(server.port, "tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256") == "TLSv1.2"


def test_several_requests_on_one_connection(tls: tuple[Started, Path, Path]) -> None:
    server, *_ = tls
    one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    given = f"{one}\r\n{one}\r\n{one}Connection: close\r\n\r\n"
    said = s_client(server.port, "-quiet", "-alpn", "h2,http/1.1", given=given)
    assert said.count("HTTP/1.1 200 OK") == 3
    assert said.lower().count("strict-transport-security: max-age=15552000") == 3


def test_a_new_certificate_is_served_after_sighup(tls: tuple[Started, Path, Path]) -> None:
    server, cert, key = tls
    log = server.log

    def subject() -> str:
        return s_client(server.port).partition("subject=")[2].splitlines()[0].replace(" ", "")

    def hang_up(event: str) -> None:
        seen = log.read_text().count(event)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: log.read_text().count(event) > seen, event)

    assert subject() == "CN=first"
    context = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(base_url=server.url, verify=context) as client:
        assert client.get("/healthz").status_code == 200
        make_certificate(cert.parent, "second", kind="rsa")  # of another kind: both would fit into one context
        assert subject() == "CN=first"
        hang_up("certificate_reloaded")
        assert subject() == "CN=second"
        assert client.get("/healthz").status_code == 200  # on the connection of before
    key.write_text("no key")
    hang_up("certificate_not_reloaded")
    assert subject() == "CN=second"
    make_certificate(cert.parent, "first")
    hang_up("certificate_reloaded")
    assert subject() == "CN=first"


def test_a_certificate_that_can_not_be_used_is_said(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "one")
    (tmp_path / "other").mkdir()
    _, other_key = make_certificate(tmp_path / "other", "other")
    encrypted = tmp_path / "encrypted.pem"
    command = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(encrypted)]
    subprocess.run(command, check=True, capture_output=True)
    for wrong, said in ((other_key, "not that of the certificate"), (encrypted, "encrypted"), (cert, "in PEM")):
        files = ("--tls-cert", str(cert), "--tls-key", str(wrong))
        answer = run_to_its_end(tmp_path / "data", "--port", "0", *files)
        assert answer.returncode == 1
        assert said in answer.stderr
        assert "Traceback" not in answer.stderr


def test_sighup_without_tls_ends_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        server.process.send_signal(signal.SIGHUP)
        until(lambda: any("nothing_to_reload" in line for line in server.output), "the signal is logged")
        answer = server.client.get("/healthz")
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("trusted", [["127.0.0.0/8"], []])
def test_only_trusted_proxies_are_believed(tmp_path: Path, trusted: list[str]) -> None:
    with running_server(tmp_path / "data", SERVER__TRUSTED_PROXIES=json.dumps(trusted)) as server:
        # The last address is the trusted proxy's word; what came before it was sent by the client itself.
        headers = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7", "X-Forwarded-Proto": "https"}
        answer = server.client.get("/v1/nothing", headers=headers)
        assert ("strict-transport-security" in answer.headers) is bool(trusted)
        request_id = answer.headers["x-request-id"]
        until(lambda: any(request_id in line for line in server.output), "the request is logged")
        (line,) = (line for line in server.output if request_id in line)
        logged: dict[str, Any] = json.loads(line)
        assert logged["client"] == ("203.0.113.7" if trusted else "127.0.0.1")


def test_a_trusted_proxy_must_be_a_network(tmp_path: Path) -> None:
    answer = run_to_its_end(tmp_path / "data", "--port", "0", CALOTYPE_SERVER__TRUSTED_PROXIES='["10.0.0.1/8"]')
    assert answer.returncode == 2
    assert "TRUSTED_PROXIES" in answer.stderr
