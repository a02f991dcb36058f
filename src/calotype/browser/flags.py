"""Chromium's command line, each flag with its reason.

Figures and experiments: `docs/adr/0001`, `docs/adr/0002`. A flag that closes a side door of the guard says which.
"""

from __future__ import annotations

_QUIET = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",  # no update, safe-browsing or variations traffic of its own
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-logging",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-pings",
    "--password-store=basic",
    "--use-mock-keychain",
)

_PICTURE = (
    "--headless",
    "--hide-scrollbars",
    "--font-render-hinting=none",  # the same glyph shapes at every scale and on every machine
    "--force-color-profile=srgb",  # colours as the page states them, whatever the machine's display says
    "--disable-gpu",  # no GPU on servers; software raster was right to 40,000 px where SwiftShader paths are untested
    "--disable-dev-shm-usage",  # containers give /dev/shm 64 MB
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
)

_GUARD = (
    "--remote-debugging-pipe",
    "--proxy-server=127.0.0.1:1",  # a black hole: only contexts with a proxy of their own reach anything
    "--proxy-bypass-list=<-loopback>",  # else Chromium goes to loopback and link-local past the proxy
    "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.9.???.???",  # it asks no DNS server; our channels are 127.9.x.n
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # read by headless shell
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",  # read by full Chromium
    "--disable-quic",
    "--block-new-web-contents",  # window.open storms
    "--js-flags=--max-old-space-size=512",  # MB; a heap hog loses its renderer, not the machine
)

_FEATURES_OFF = (
    "AcceptCHFrame",
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "HttpsUpgrades",  # full Chromium would try https first for an http URL
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
    # A page that navigates right after it was made: the old document's compositor may ask for its frame sink a second
    # time, for which Chromium 156 kills the renderer ("bad IPC message, reason 262"); about 1 in 100 `html` captures.
    "RenderDocument",
    "Translate",
    "WebRtcHideLocalIpsWithMdns",  # its mDNS responder joins a multicast group; no address is told without it either
)


def chromium_flags(*, profile: str, sandbox: bool) -> list[str]:
    """The whole command line behind the executable, for a profile directory of its own."""
    return [
        *_PICTURE,
        *_GUARD,
        *_QUIET,
        f"--disable-features={','.join(_FEATURES_OFF)}",
        f"--user-data-dir={profile}",
        *(() if sandbox else ("--no-sandbox",)),
    ]
