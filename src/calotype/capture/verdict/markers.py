"""What bot walls and consent banners are recognised by: their structure, never their words alone."""

from __future__ import annotations

from collections.abc import Mapping

# Elements that only a wall's page has.
WALLS = {
    "Cloudflare": "script[src*='/cdn-cgi/challenge-platform/'][src*='/chl_page/'], "
    "form#challenge-form[action*='__cf_chl'], form#challenge-form[action*='/cdn-cgi/'], #cf-challenge-running",
    "DataDome": "iframe[src*='.captcha-delivery.com/'], script[src*='.captcha-delivery.com/']",
    "HUMAN": "#px-captcha, meta[name=description][content=px-captcha], script[src*='captcha.px-cdn.net/']",
    "Imperva": "iframe#main-iframe[src*='_Incapsula_Resource']",
    "Akamai": "#sec-if-cpt-container, script[src*='/_sec/cp_challenge/'], "
    "meta[http-equiv=refresh][content*='bm-verify']",
    "Amazon": "form[action*='/errors/validateCaptcha']",
    "Google": "form#captcha-form[action='index']",
    "Anubis": "script#anubis_challenge",
}
# The same, in the text of a script of the page.
INLINE = {
    "Cloudflare": "_cf_chl_opt",
    "DataDome": "'host':'geo.captcha-delivery.com'",
    "Sucuri": "sucuri_cloudproxy_js",
}
# What ordinary forms have, too: a wall only if there is nearly nothing else.
WIDGETS = {
    "Turnstile": ".cf-turnstile, iframe[src*='//challenges.cloudflare.com/']",
    "hCaptcha": ".h-captcha, iframe[src*='.hcaptcha.com/']",
    "reCAPTCHA": ".g-recaptcha, iframe[src*='/recaptcha/api2/'], iframe[src*='/recaptcha/enterprise/']",
    "Arkose": "iframe[src*='.arkoselabs.com/'], iframe[src*='.funcaptcha.com/']",
    "GeeTest": ".geetest_captcha, .geetest_holder",
    "Friendly Captcha": ".frc-captcha",
    "ALTCHA": "altcha-widget",
    "AWS WAF": "awswaf-captcha",
}
# What pages behind the wall have, too: a wall only with a wall's status and nearly nothing else.
TRACES = {
    "AWS WAF": "script[src*='.awswaf.com/']",
    "Kasada": "script[src*='/149e9513-01fa-4fb0-aad4-566afd725d1b/']",
    "DDoS-Guard": "script[src*='/.well-known/ddos-guard/']",
    "Akamai": "a[href*='errors.edgesuite.net/']",
    "Cloudflare": "#cf-error-details",
}
# Response headers by which the wall itself says so.
# https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/
# https://docs.aws.amazon.com/waf/latest/developerguide/waf-captcha-and-challenge-how-it-works.html
HEADERS = {
    "cf-mitigated": ("Cloudflare", {"challenge"}),
    "x-vercel-mitigated": ("Vercel", {"challenge"}),
    "x-amzn-waf-action": ("AWS WAF", {"challenge", "captcha"}),
}
WALL_STATUSES = frozenset({403, 405, 429, 503})

# The part of each consent tool that covers the page.
CONSENT = (
    "#onetrust-banner-sdk, #onetrust-pc-sdk, #CybotCookiebotDialog, #didomi-notice, #didomi-popup, #usercentrics-root, "
    "#usercentrics-cmp-ui, #qc-cmp2-ui, #truste-consent-track, .truste_overlay, [id^=sp_message_container_], "
    ".fc-consent-root, #cmpbox, #iubenda-cs-banner, .osano-cm-dialog, #cookiescript_injected, "
    ".cky-consent-container, .cc-window.cc-banner, .cc-window.cc-floating, #cookie-law-info-bar, "
    ".cmplz-cookiebanner, .t-consentPrompt, #termly-code-snippet-support, #tarteaucitronAlertBig, "
    ".klaro .cookie-notice, .klaro .cookie-modal, "
    "#cc-main, #ketch-banner, #transcend-consent-manager, #axeptio_overlay, .evidon-banner, #ppms_cm_popup, "
    "#moove_gdpr_cookie_info_bar, #BorlabsCookieBox, #borlabs-cookie, #shopify-pc__banner, #consent_blackbar, "
    "#hs-eu-cookie-confirmation, #catapult-cookie-bar, .cookiefirst-root, #coiOverlay, #coi-banner-wrapper, "
    "#privacy-cp-wall, #cookieConsentPopup, #cookie-notice[role=dialog], #gdpr-cookie-consent-bar"
)

_COOKIES = (
    "cookie|consent|gdpr|rgpd|dsgvo|einwilligung|tracking technolog|datenschutz-?einstellung|traceurs|"
    "куки|кукі|クッキー|쿠키|çerez|evästeet|ciasteczk|informasjonskapsl"
)
_USE = (
    r"\b(use|uses|using|verwende|nutzen|benutz|einsetz|utilis|utiliz|usa|usamos|gebruik|använd|bruger|bruker|käytä|"
    r"używa|použív|policy|richtlinie|politique|política|informativa)|использу|使用|利用|사용"
)
_ACCEPT = (
    # English and "all" begin links, too ("Accept payments", "Alle Produkte"): of them only what else banners say.
    r"^((i |ok, i )?(accept|agree|allow|consent|enable all)( (and|&|\+|to|all|the|these|our|this|only|selected|"
    r"optional|additional|recommended|necessary|essential|required|analytics|tracking|use|of|cookies?|settings|"
    r"selection|everything|close|continue|proceed|visit|site|reading))*\W*$|"
    r"all(e|es|em|en)( \p{L}+){0,3} (akzept|zulass|annehm|erlaub|zustimm|aktivier|accept|toesta|godk|tillad)|"
    r"yes, i|accept(er|era|eer|ez|ă|aț)|akzept|zustimm|einverstanden|"
    r"ich (stimme|bin)|annehmen|tout accepter|j.accepte|aceptar|acepto|aceitar|concordo|permitir|accett|acconsent|"
    r"akkoord|accepteer|toestaan|godk|tillåt|tillad|hyväks|salli|aksept|godta|zgadzam|akceptuj|zaakceptuj|souhlas|"
    r"přijm|elfogad|kabul|принять|принима|соглас|прийняти|同意|接受|すべて(同意|許可)|동의|수락|모두 ?(동의|수락|허용))"
)
_WEAK_ACCEPT = (
    r"^(ok|okay|okej|got it|i understand|understood|verstanden|d.accord|compris|entendido|capito|begrepen|понятно|"
    r"了解|확인)\W*$"
)
CONSENT_WORDS = (_COOKIES, _USE, _ACCEPT, _WEAK_ACCEPT)
"""Regular expressions: what it is about, what it says of it, a button that agrees, one that does with what it says."""


def _listed(selectors: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: each.split(", ") for name, each in selectors.items()}


FOR_THE_PAGE = {
    "walls": _listed(WALLS),
    "inline": INLINE,
    "widgets": _listed(WIDGETS),
    "traces": _listed(TRACES),
    "consent": CONSENT.split(", "),
    "consent_words": CONSENT_WORDS,
}
