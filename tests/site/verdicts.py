"""Bad pages, of each kind that `meta.verdict` knows, and ordinary ones that look a little like them.

All of it is served from here: what names another host is a path of this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

_HEAD = "<!doctype html><meta charset=utf-8><title>A page</title><style>body{font:16px/1.5 sans-serif}</style>"
_PROSE = "".join(
    f"<p>Paragraph {number}: the river turns north behind the mill, and the road follows it as far as the bridge.</p>"
    for number in range(12)
)
_FEW_WORDS = "<h1>One moment, please</h1><p>We are checking your connection.</p>"
_LOGIN = (
    "<form style='margin:100px auto;width:300px'><h1>Sign in</h1><input name=username placeholder=Name>"
    "<input type=password name=password placeholder=Password><button>Sign in</button></form>"
)
_BANNER = (
    "<div{} style='position:fixed;left:0;right:0;bottom:0;padding:24px;background:#eee'>"
    "<p>We use cookies to make this site better.</p><button>{}</button> <button>Settings</button></div>"
)
_WIDGET = "<div class={} style='width:300px;height:65px;background:#eee'></div>"


@dataclass(frozen=True)
class Page:
    """An answer of the site. `kinds`: what is wrong with its picture, nothing with an ordinary one's."""

    body: str
    kinds: tuple[str, ...] = ()
    evidence: str = ""
    """What the first kind's evidence contains."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    redirect: str = ""
    """Where it sends whoever asks; the page is there."""
    asked: dict[str, object] = field(default_factory=dict[str, object])
    """What else the capture is asked for."""


BAD = {
    "nothing": Page("<div id=root></div>", ("blank",), "#ffffff"),
    "one-colour": Page("<body style='background:#204060'>", ("blank",), "every pixel is #"),
    "curtain": Page(
        f"{_PROSE}<div style='position:fixed;inset:0;background:#fafafa'></div>", ("blank",), "every pixel is #fafafa"
    ),
    "hidden": Page(f"<body style='opacity:0'>{_PROSE}", ("blank",)),
    "spinner": Page(
        "<div style='margin:300px auto;width:32px;height:32px;border:4px solid #ddd;border-top-color:#36c;"
        "border-radius:50%;box-sizing:border-box'></div>",
        ("blank",),
        "there is no text",
    ),
    "not-found": Page("<h1>404</h1><p>There is no such page.</p>", ("http_error",), "404", 404),
    "server-error": Page(f"<h1>Oops</h1>{_PROSE}", ("http_error",), "500", 500),
    "cloudflare": Page(
        "<title>Just a moment...</title>" + _FEW_WORDS + "<script>window._cf_chl_opt={cType:'managed'}</script>"
        "<script src='/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1?ray=1'></script>",
        ("http_error", "challenge"),
        status=403,
    ),
    "cloudflare-header": Page(
        f"{_FEW_WORDS}", ("http_error", "challenge"), status=403, headers={"CF-Mitigated": "challenge"}
    ),
    "cloudflare-form": Page(
        f"{_FEW_WORDS}<form id=challenge-form class=challenge-form action='/?__cf_chl_f_tk=1' method=post></form>",
        ("challenge",),
        "form#challenge-form",
    ),
    "datadome-script": Page(
        "<p id=cmsg>Please enable JS</p><script>var dd={'rt':'c','cid':'1','host':'geo.captcha-delivery.com'}</script>",
        ("challenge",),
        "DataDome",
    ),
    "datadome": Page(
        "<p>Please enable JS</p><iframe src='/geo.captcha-delivery.com/captcha/' width=600 height=400></iframe>",
        ("http_error", "challenge"),
        status=403,
    ),
    "human": Page(
        f"{_FEW_WORDS}<div id=px-captcha style='width:300px;height:80px'></div>", ("challenge",), "#px-captcha"
    ),
    "imperva": Page(
        "<iframe id=main-iframe src='/_Incapsula_Resource?SWUDNSAI=31' width=100% height=600></iframe><p>Request</p>",
        ("challenge",),
        "Imperva",
    ),
    "turnstile-alone": Page(f"{_FEW_WORDS}{_WIDGET.format('cf-turnstile')}", ("challenge",), "little else"),
    "hcaptcha-429": Page(
        f"<h1>Unusual traffic</h1><p>{'Your network sends many requests. ' * 12}</p>{_WIDGET.format('h-captcha')}",
        ("http_error", "challenge"),
        status=429,
    ),
    "anubis": Page(f"{_FEW_WORDS}<script id=anubis_challenge type=application/json>{{}}</script>", ("challenge",)),
    "report": Page(_LOGIN, ("login_wall",), "/login", redirect="/verdicts/login?next=%2Freport"),
    "dashboard": Page(
        "<h1>Sign in</h1><form><input type=email autocomplete=username><button>Next</button></form>",
        ("login_wall",),
        "/sso/start",
        redirect="/verdicts/sso/start",
    ),
    "unauthorized": Page("<h1>Authorization required</h1>", ("http_error", "login_wall"), status=401),
    "login-dialog": Page(
        f"{_PROSE}<dialog>{_LOGIN}</dialog><script>document.querySelector('dialog').showModal()</script>",
        ("login_wall",),
        "dialog",
    ),
    "onetrust": Page(
        _PROSE + _BANNER.format(" id=onetrust-banner-sdk", "Tout refuser"), ("consent_banner",), "#onetrust-banner-sdk"
    ),
    "shadow-cmp": Page(
        f"{_PROSE}<div id=usercentrics-root></div><script>"
        "document.querySelector('#usercentrics-root').attachShadow({mode:'open'}).innerHTML="
        "`<div style='position:fixed;inset:auto 0 0 0;height:200px;background:#ddd'>Privacy</div>`</script>",
        ("consent_banner",),
        "#usercentrics-root",
    ),
    "own-banner": Page(_PROSE + _BANNER.format(" class=bar", "Accept all"), ("consent_banner",), "div.bar covers"),
    "own-banner-german": Page(
        _PROSE + "<div role=dialog style='position:absolute;top:200px;left:300px;width:500px;background:#eee'>"
        "<p>Wir verwenden Cookies.</p><a href=#>Alle akzeptieren</a></div>",
        ("consent_banner",),
    ),
    "banner-of-a-full-page": Page(
        _PROSE * 3 + _BANNER.format(" class=cookie-bar", "Got it"), ("consent_banner",), asked={"full_page": True}
    ),
    "pending": Page(
        f"<img src='/hang?secret=1' width=400 height=300>{_PROSE}",
        ("pending_images",),
        "/hang?…",
        asked={"render": {"wait_until": "domcontentloaded"}},
    ),
    "never-asked-for": Page(
        f"<img data-src=/colour/ff0000 width=300 height=200><img data-src=/colour/00ff00 width=300 height=200>{_PROSE}",
        ("pending_images",),
        "2 images are not loaded, the first /colour/ff0000",
    ),
    "no-icon-font": Page(
        f"<style>i{{font:normal 40px Icons}}</style><p><i>\ue9a1</i> <i>\uea42</i> Cart</p>{_PROSE}",
        ("missing_glyphs",),
        "U+E9A1, U+EA42",
    ),
    "no-font": Page(f"<p>\U000f1234 in a sentence</p>{_PROSE}", ("missing_glyphs",), "U+F1234"),
}

LATE = {
    "late": Page(
        f"<div id=root></div><template>{_PROSE}</template><script>setTimeout(() => "
        "document.querySelector('#root').append(document.querySelector('template').content), 1500)</script>"
    ),
    "late-image": Page(
        f"<img src='/slow.png?s=1' width=400 height=300>{_PROSE}", asked={"render": {"wait_until": "domcontentloaded"}}
    ),
    "challenge-that-passes": Page(
        f"{_FEW_WORDS}<script id=anubis_challenge>setTimeout(() => location.href = '/verdict/article', 1500)</script>"
    ),
}
"""Pages that time mends."""

_SWATCH = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='1280' height='720'>"
    "<rect width='1280' height='720' fill='#fff'/></svg>"
)

ORDINARY = {
    "article": Page(_PROSE),
    "example": Page(
        "<div style='width:600px;margin:80px auto'><h1>Example Domain</h1><p>This domain is for use in documents.</p>"
        "<p><a href=/>Learn more</a></p></div>"
    ),
    "one-word": Page("ok"),
    "dark-hero": Page(
        "<body style='background:#0b0b0f;color:#55555c'><p style='margin:340px 0 0 40px;font-size:11px'>coming soon</p>"
    ),
    "small-logo": Page("<img src='/colour/1d4ed8?w=96&h=24' style='position:absolute;top:40px;left:40px'>"),
    "white-svg-in-page": Page(f"<body style='margin:0'>{_SWATCH}"),
    "picture-of-one-colour": Page("<body style='margin:0'><img src='/colour/ffffff?w=1280&h=720'>"),
    "tiny-clip": Page(_PROSE, asked={"clip": {"x": 0, "y": 0, "width": 1, "height": 1}}),
    "with-login-link": Page(f"<nav><a href=/login>Sign in</a></nav>{_PROSE}"),
    "login-asked-for": Page(_LOGIN),
    "login-in-the-header": Page(
        "<header style='position:fixed;top:0'><form><input name=user><input type=password><button>Go</button></form>"
        f"</header><main style='margin-top:80px'>{_PROSE}</main>"
    ),
    "redirect-with-a-login-form": Page(
        f"{_PROSE}<aside><input name=user><input type=password></aside>", redirect="/verdicts/en/welcome"
    ),
    "settings": Page(
        "<h1>Change your password</h1><form><input type=password><button>Save</button></form>",
        redirect="/verdicts/account/security",
    ),
    "about-captchas": Page(
        "<title>Just a moment... what a challenge is</title><h1>Checking your browser</h1><p>Attention Required! "
        f"Verify you are human. Cloudflare, hCaptcha, DataDome.</p>{_PROSE}{_WIDGET.format('h-captcha')}"
    ),
    "contact-form": Page(
        "<h1>Contact</h1><form><input name=name><input name=email type=email><textarea></textarea>"
        f"{_WIDGET.format('g-recaptcha')}<button>Send</button></form>"
    ),
    "behind-cloudflare": Page(
        f"{_PROSE}<script>window.__CF$cv$params={{r:'1'}}</script>"
        "<script src='/cdn-cgi/challenge-platform/scripts/jsd/main.js'></script>"
    ),
    "thirty-day-challenge": Page(
        "<h1>30 day challenge</h1><form id=challenge-form action=/join><input name=name><button>Join</button></form>"
        f"<script>window.allowedHosts = ['example.com', 'geo.captcha-delivery.com']</script>{_PROSE}"
    ),
    "behind-imperva": Page(f"{_PROSE}<script src='/_Incapsula_Resource?SWJIYLWA=1'></script>"),
    "cookie-recipe": Page(
        f"<body class=cookie-recipes><div id=cookie-list style='position:sticky;top:0'>Use brown sugar. {_PROSE[:90]}"
        f"<button>Print</button></div>{_PROSE}"
    ),
    "cookie-policy": Page(
        "<header style='position:sticky;top:0;background:#fff'><a href=/>Home</a> <a href=/cookies>Cookie policy</a> "
        f"<button>Menu</button></header><h1>How we use cookies</h1>{_PROSE}<button>Accept all cookies</button>"
    ),
    "shop-in-german": Page(
        "<header style='position:sticky;top:0;background:#fff;padding:30px'><a href=/>Alle Produkte</a> "
        f"<a href=/>Cookies</a> <a href=/>Alle ansehen</a> <a href=/>Datenschutz</a></header>{_PROSE}"
    ),
    "consent-for-sale": Page(
        "<header style='position:sticky;top:0;background:#fff;padding:30px'><b>Consent Manager</b> "
        f"<a href=/>Accept payments</a> <a href=/>Allowed hosts</a> <a href=/>Enable all features</a></header>{_PROSE}"
    ),
    "new-terms": Page(
        _PROSE + "<div role=dialog style='position:fixed;right:0;bottom:0;width:400px;background:#eee'>"
        "<p>We use other terms from May on. See there, and Datenschutz.</p><button>I agree</button></div>"
    ),
    "bakery": Page(
        "<header style='position:fixed;top:0;width:100%;background:#fff;padding:30px'><a href=/>Cookies</a> "
        f"<a href=/>Bread</a> <form><input name=q><button>OK</button></form></header><main>{_PROSE}</main>"
    ),
    "banner-closed": Page(
        _PROSE + "<div style='display:none'>" + _BANNER.format(" id=onetrust-banner-sdk", "Accept all") + "</div>"
    ),
    "cookie-button": Page(
        f"{_PROSE}<button class=osano-cm-widget style='position:fixed;left:8px;bottom:8px'>Cookies</button>"
    ),
    "toast": Page(
        _PROSE + "<div role=dialog style='position:fixed;right:0;bottom:0;width:400px;background:#eee'>"
        "<p>Allow notifications from this site?</p><button>Allow</button></div>"
    ),
    "lazy-below": Page(f"{_PROSE}<div style='height:9000px'></div><img loading=lazy src=/hang width=300 height=200>"),
    "lazy-in-carousel": Page(
        "<div style='width:300px;overflow:hidden;white-space:nowrap'><img src='/colour/00ff00?w=300&h=200'>"
        f"<span style='display:inline-block;width:900px'></span><img data-src=/hang width=300 height=200></div>{_PROSE}"
    ),
    "broken-image": Page(f"<img src=/status/404 alt='A mill' width=300 height=200>{_PROSE}"),
    "tracking-pixel": Page(
        f"{_PROSE}<img src=/hang width=1 height=1>", asked={"render": {"wait_until": "domcontentloaded"}}
    ),
    "scripts-of-the-world": Page(
        "<p>日本語 中文 한국어 ไทย العربية עברית हिन्दी ქართული Ελληνικά Русский 😀 👩‍👩‍👧 🇩🇪 ☎️ ✓ → ≥ ½ ₿ ⠿</p>"
    ),
    "icon-font": Page(
        "<style>@font-face{font-family:Icons;src:url(/icons.ttf)}i{font:normal 40px Icons}</style>"
        f"<p><i>\ue9a1</i> <i>\uea42</i> Cart</p>{_PROSE}"
    ),
    "icons-drawn-over-letters": Page(
        "<style>i{display:inline-block;width:30px;height:30px;overflow:hidden;background:#36c}</style>"
        f"<i style='font-size:0'>\ue9a1</i> <i style='text-indent:-9999px'>\ue9a1</i>{_PROSE}"
    ),
    "no-content-script": Page("<script>document.title='x'</script><h1>Title</h1>", asked={"render": False}),
}


async def _page(request: Request) -> Response:
    pages = {**BAD, **LATE, **ORDINARY}
    name = request.path_params["name"]
    page = pages[name]
    if page.redirect and "there" not in request.query_params:
        return RedirectResponse(f"{page.redirect}{'&' if '?' in page.redirect else '?'}there={name}")
    return HTMLResponse(_HEAD + page.body, page.status, page.headers)


async def _redirected(request: Request) -> Response:
    return HTMLResponse(_HEAD + {**BAD, **ORDINARY}[request.query_params["there"]].body)


async def _swatch(_: Request) -> Response:
    return Response(_SWATCH, media_type="image/svg+xml")


ROUTES = [
    Route("/verdicts/white.svg", _swatch),
    Route("/verdict/{name}", _page),
    Route("/verdicts/{rest:path}", _redirected),
]
