"""The watch and the canaries see what is sent on purpose: else all the other tests would prove nothing."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from calotype.browser.process_tree import descendants
from tests.e2e.server_process import ServerProcess

from .laboratory import Laboratory
from .wiring import BROWSER_UID


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1", 80),
        ("127.0.0.1", 9222),
        ("::1", 80),
        ("51.15.20.30", 80),
        ("10.1.2.3", 80),
        ("169.254.169.254", 80),
        ("fd00::1", 8080),
        ("64:ff9b::a00:1", 80),
    ],
)
def test_tcp_to_a_private_address_is_seen(lab: Laboratory, address: str, port: int) -> None:
    with lab.machine.connect(address, port) as client:
        client.sendall(b"GET /control HTTP/1.1\r\nHost: x\r\nSec-Fetch-Dest: empty\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    findings = lab.findings()
    assert any(found.startswith("canary") and "/control" in found for found in findings), findings
    assert any("Packet" in found and address in found for found in findings), findings


@pytest.mark.parametrize(
    ("what", "address", "port"),
    [
        ("a datagram inside", "10.1.2.3", 9),
        ("a datagram to the machine", "127.0.0.1", 9),
        ("a STUN datagram", "93.184.216.34", 3478),
        ("a STUN datagram by IPv6", "2a00:1450:4001::1", 3478),
        ("a question to another DNS server", "8.8.8.8", 53),
        ("mDNS", "224.0.0.251", 5353),
        ("mDNS by IPv6", "ff02::fb", 5353),
    ],
)
def test_a_datagram_is_seen(lab: Laboratory, what: str, address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.machine.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", (address, port))
    findings = lab.findings()
    assert any("udp" in found and address in found and str(port) in found for found in findings), findings


def test_tcp_to_a_port_where_nobody_listens_is_seen(lab: Laboratory) -> None:
    with pytest.raises(ConnectionRefusedError):
        lab.machine.connect("10.1.2.3", 8001)
    assert any("port=8001" in found for found in lab.findings())


def test_a_connection_to_a_port_of_ours_that_is_not_a_tests_own_is_seen(
    lab: Laboratory, lab_server: ServerProcess
) -> None:
    port = int(lab_server.url.rpartition(":")[2])
    lab.machine.connect("127.0.0.1", port).close()
    assert any("loopback beside the proxy" in found and f"port={port}" in found for found in lab.findings())


@pytest.mark.parametrize("address", ["93.184.216.34", "2a00:1450:4001::2"])
def test_what_chromium_sends_by_itself_is_told_from_what_the_proxy_sends(
    lab: Laboratory, lab_server: ServerProcess, address: str
) -> None:
    if not lab.machine.has_user_ids:
        pytest.skip("an ordinary user can't run Chromium as another one")
    lab_server.picture(html="<p>x")
    statuses = []
    for pid in descendants(lab_server.pid):
        with suppress(FileNotFoundError):  # the used page's renderer may be on its way out
            statuses.append(Path(f"/proc/{pid}/status").read_text())
    browsers = [status for status in statuses if status.startswith("Name:\tchromium")]
    assert len(browsers) >= 3
    assert all(f"\nUid:\t{BROWSER_UID}\t" in status for status in browsers)
    as_browser = ("setpriv", f"--reuid={BROWSER_UID}", f"--regid={BROWSER_UID}", "--clear-groups")
    subprocess.run(lab.machine.command(*as_browser, "bash", "-c", f"exec 3<>/dev/tcp/{address}/80"), check=True)
    assert lab.internet.wait_until(lambda: bool(lab.internet.visits()))
    findings = lab.findings()
    assert len([found for found in findings if found.startswith("past the proxy")]) == 2, findings


def test_a_public_page_is_no_finding(lab: Laboratory, lab_server: ServerProcess) -> None:
    _, meta = lab_server.picture(url="http://public.example/")
    assert meta["status_code"] == 200
    assert [visit.address for visit in lab.internet.visits()] == ["93.184.216.34"]
