"""The wire between the server's namespace and its internet, and who has which address.

In the internet every address is local (AnyIP), so one process there answers for all of them. Neighbours are fixed and
no link-local addresses exist: the kernels have nothing of their own to say on the wire.
"""

from __future__ import annotations

from .namespace import Namespace

DEVICE = "internet"
"""The server's end of the wire."""

SERVER = "51.15.20.30"
SERVER_V6 = "2a01:4f8:1::2"
BROWSER = "51.15.20.66"
BROWSER_V6 = "2a01:4f8:1::66"
"""What a packet has for its source if Chromium sends it by itself: it runs as another user, with routes of its own."""
BROWSER_UID = 65534
OWN_ADDRESSES = (SERVER, SERVER_V6, BROWSER, BROWSER_V6)

_GATEWAY, _GATEWAY_V6 = "51.15.20.1", "2a01:4f8:1::1"
_MAC, _GATEWAY_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"
_BROWSER_TABLE = "200"


def wire(server: Namespace, internet: Namespace) -> None:
    """
    Raises:
        NoLaboratory
    """
    peer = ("peer", "name", "server", "address", _GATEWAY_MAC, "netns", str(internet.pid))
    server.run("ip", "link", "add", DEVICE, "address", _MAC, "type", "veth", *peer)
    for namespace, device in ((server, DEVICE), (internet, "server")):
        namespace.run("ip", "link", "set", "lo", "up")
        namespace.run("ip", "link", "set", device, "addrgenmode", "none")
        namespace.run("ip", "link", "set", device, "up")
    for address in OWN_ADDRESSES:
        nodad = ("nodad",) if ":" in address else ()
        server.run("ip", "address", "add", f"{address}/{64 if nodad else 24}", "dev", DEVICE, *nodad)
        internet.run("ip", "route", "add", address, "dev", "server", "table", "local")
        _neighbour(internet, address, "server", _MAC)
    for gateway, source in ((_GATEWAY, SERVER), (_GATEWAY_V6, SERVER_V6)):
        _neighbour(server, gateway, DEVICE, _GATEWAY_MAC)
        server.run("ip", "route", "add", "default", "via", gateway, "dev", DEVICE, "src", source)
    for anything in ("0.0.0.0/0", "::/0"):
        internet.run("ip", "route", "add", "local", anything, "dev", "lo", "table", "local")
    if server.has_user_ids:
        _mark_browser(server)


def _mark_browser(server: Namespace) -> None:
    for version, gateway, source in (("-4", _GATEWAY, BROWSER), ("-6", _GATEWAY_V6, BROWSER_V6)):
        server.run("ip", version, "rule", "add", "uidrange", f"{BROWSER_UID}-{BROWSER_UID}", "lookup", _BROWSER_TABLE)
        way = ("default", "via", gateway, "dev", DEVICE, "src", source, "table", _BROWSER_TABLE)
        server.run("ip", version, "route", "add", *way)


def _neighbour(namespace: Namespace, address: str, device: str, mac: str) -> None:
    namespace.run("ip", "neighbour", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")
