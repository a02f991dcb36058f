"""From evidence to `meta.verdict`. Pure; every limit is here or in `markers`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from calotype.capture.in_flight import told_url
from calotype.capture.result import Flaw
from calotype.capture.verdict.evidence import Evidence
from calotype.capture.verdict.markers import HEADERS, WALL_STATUSES

_SPECK = 0.003  # of the picture: a spinner, a hairline
_WALL_MAX_CHARS = 3_000  # a page with more to read is not only a wall
_WIDGET_MAX_CHARS = 300
_REFUSAL_MAX_CHARS = 1_000
_FEW_LINKS = 8
_LOGIN_MAX_CHARS = 2_500
_SHOWN_MISSING = 3
_LOGIN_WORDS = re.compile(
    r"(^|[/._-])(log[-_]in|sign[-_]in|sign[-_]?on|sso|auth|authn|oauth2?|authorize|authwall|saml2?|cas|idp|openid|adfs|"
    r"anmelden|connexion|keycloak|okta|auth0)([/._-]|$)|login|signin",
    re.IGNORECASE,
)


def verdict_of(flaws: list[Flaw]) -> Literal["ok"] | list[Flaw]:
    """As `meta.verdict` has it."""
    return flaws or "ok"


def flaws_of(evidence: Evidence) -> list[Flaw]:
    """Everything that is wrong with the picture."""
    return [
        *_blank(evidence),
        *_http_error(evidence),
        *_challenge(evidence),
        *_login_wall(evidence),
        *_consent_banner(evidence),
        *_pending_images(evidence),
        *_missing_glyphs(evidence),
    ]


def _blank(evidence: Evidence) -> Iterator[Flaw]:
    colours, page = evidence.colours, evidence.page
    if colours is None or page.is_image or page.has_picture:
        return
    if colours.is_one:
        yield Flaw(kind="blank", evidence=f"every pixel is {colours.main}")
    elif colours.differing <= _SPECK and not page.text and not page.has_objects:
        share = f"{colours.differing * 100:.1g} %"
        yield Flaw(kind="blank", evidence=f"all but {share} of the picture is {colours.main}, and there is no text")


def _http_error(evidence: Evidence) -> Iterator[Flaw]:
    if evidence.status_code is not None and evidence.status_code >= 400:
        yield Flaw(kind="http_error", evidence=f"the page's status is {evidence.status_code}")


def _challenge(evidence: Evidence) -> Iterator[Flaw]:
    if found := next(_challenge_signs(evidence), None):
        yield Flaw(kind="challenge", evidence=found)


def _challenge_signs(evidence: Evidence) -> Iterator[str]:
    for header, (name, values) in HEADERS.items():
        if (value := evidence.headers.get(header, "").lower()) in values:
            yield f"{name}: response header {header}: {value}"
    page = evidence.page
    is_refused = evidence.status_code in WALL_STATUSES
    has_little_else = not page.fields and page.links <= _FEW_LINKS
    for sign in page.challenges:
        told = f"{sign.name}: {sign.what}"
        if sign.kind == "wall" and page.all_text <= _WALL_MAX_CHARS:
            yield told
        elif is_refused and has_little_else and page.all_text <= _REFUSAL_MAX_CHARS:
            yield f"{told}, status {evidence.status_code}"
        elif sign.kind == "widget" and has_little_else and page.all_text <= _WIDGET_MAX_CHARS:
            yield f"{told}, and little else on the page"


def _login_wall(evidence: Evidence) -> Iterator[Flaw]:
    login = evidence.page.login
    if evidence.status_code == 401:
        yield Flaw(kind="login_wall", evidence="the page's status is 401")
    elif login is None:
        return
    elif login.password and login.is_modal:
        yield Flaw(kind="login_wall", evidence=f"{login.field} in a dialog over the page")
    elif (login.password or login.identifier) and _was_sent_to_login(evidence):
        assert evidence.final_url is not None  # noqa: S101 - it was sent there
        yield Flaw(kind="login_wall", evidence=f"{login.field} at {told_url(evidence.final_url)}")


def _was_sent_to_login(evidence: Evidence) -> bool:
    """Whether a page other than the one asked for is shown, one to log in; not if such a page was asked for."""
    if evidence.asked_url is None or evidence.final_url is None or evidence.page.all_text > _LOGIN_MAX_CHARS:
        return False
    asked, final = urlsplit(evidence.asked_url), urlsplit(evidence.final_url)
    if (asked.netloc, asked.path) == (final.netloc, final.path):
        return False
    return not _is_login(asked.netloc, asked.path) and _is_login(final.netloc, final.path)


def _is_login(host: str, path: str) -> bool:
    return bool(_LOGIN_WORDS.search(path) or _LOGIN_WORDS.search(host.rpartition("@")[2]))


def _consent_banner(evidence: Evidence) -> Iterator[Flaw]:
    if (banner := evidence.page.consent) is not None:
        told = f"{banner.selector} covers {min(100, max(1, round(banner.share * 100)))} % of the viewport"
        yield Flaw(kind="consent_banner", evidence=told)


def _pending_images(evidence: Evidence) -> Iterator[Flaw]:
    if (pending := evidence.page.pending) is not None:
        what = "1 image is" if pending.count == 1 else f"{pending.count} images are"
        first = f", the first {told_url(pending.url)}" if pending.url.startswith(("http:", "https:", "/")) else ""
        yield Flaw(kind="pending_images", evidence=f"{what} not loaded{first}")


def _missing_glyphs(evidence: Evidence) -> Iterator[Flaw]:
    if (glyphs := evidence.page.glyphs) and (missing := glyphs.missing):
        shown = ", ".join(f"U+{code:04X}" for code in missing[:_SHOWN_MISSING])
        more = f" and {len(missing) - _SHOWN_MISSING} more" if len(missing) > _SHOWN_MISSING else ""
        yield Flaw(kind="missing_glyphs", evidence=f"no font has {shown}{more}")
