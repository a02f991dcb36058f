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

BARE, BARE_V6 = "62.4.5.30", "2a01:4f9:1::2"
"""The machine of browsers without the guard."""

_GATEWAYS = {
    **{SERVER: "51.15.20.1", SERVER_V6: "2a01:4f8:1::1"},
    **{BARE: "62.4.5.1", BARE_V6: "2a01:4f9:1::1"},
}
_MAC, _GATEWAY_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"
_BROWSER_TABLE = "200"


def wire_server(server: Namespace, internet: Namespace) -> None:
    """
    Raises:
        NoLaboratory
    """
    _wire(server, internet, "server", (SERVER, SERVER_V6))
    for address in (BROWSER, BROWSER_V6):
        _give(server, internet, "server", address)
    for anything in ("0.0.0.0/0", "::/0"):
        internet.run("ip", "route", "add", "local", anything, "dev", "lo", "table", "local")
    if server.has_user_ids:
        _mark_browser(server)


def wire_bare(bare: Namespace, internet: Namespace) -> None:
    """
    Raises:
        NoLaboratory
    """
    _wire(bare, internet, "bare", (BARE, BARE_V6))


def _wire(namespace: Namespace, internet: Namespace, far_end: str, addresses: tuple[str, str]) -> None:
    peer = ("peer", "name", far_end, "address", _GATEWAY_MAC, "netns", str(internet.pid))
    namespace.run("ip", "link", "add", DEVICE, "address", _MAC, "type", "veth", *peer)
    for end, device in ((namespace, DEVICE), (internet, far_end)):
        end.run("ip", "link", "set", "lo", "up")
        end.run("ip", "link", "set", device, "addrgenmode", "none")
        end.run("ip", "link", "set", device, "up")
    for address in addresses:
        _give(namespace, internet, far_end, address)
        _neighbour(namespace, _GATEWAYS[address], DEVICE, _GATEWAY_MAC)
        namespace.run("ip", "route", "add", "default", "via", _GATEWAYS[address], "dev", DEVICE, "src", address)


def _give(namespace: Namespace, internet: Namespace, far_end: str, address: str) -> None:
    width = ("64", "nodad") if ":" in address else ("24",)
    namespace.run("ip", "address", "add", f"{address}/{width[0]}", "dev", DEVICE, *width[1:])
    # Beside the route that makes all addresses local, only the table "local" has a say.
    internet.run("ip", "route", "add", address, "dev", far_end, "table", "local")
    _neighbour(internet, address, far_end, _MAC)


def _mark_browser(server: Namespace) -> None:
    for version, gateway, source in (
        ("-4", _GATEWAYS[SERVER], BROWSER),
        ("-6", _GATEWAYS[SERVER_V6], BROWSER_V6),
    ):
        server.run("ip", version, "rule", "add", "uidrange", f"{BROWSER_UID}-{BROWSER_UID}", "lookup", _BROWSER_TABLE)
        way = ("default", "via", gateway, "dev", DEVICE, "src", source, "table", _BROWSER_TABLE)
        server.run("ip", version, "route", "add", *way)


def _neighbour(namespace: Namespace, address: str, device: str, mac: str) -> None:
    namespace.run("ip", "neighbour", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")
