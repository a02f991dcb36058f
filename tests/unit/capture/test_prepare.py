"""What is set before the page is navigated."""

from __future__ import annotations

import pytest

from calotype.capture.prepare import _calls_for_the_page
from calotype.request import CaptureRequest


@pytest.mark.parametrize(
    ("url", "cookie", "secure"),
    [
        ("https://example.com/", {}, True),
        ("http://example.com/", {}, False),
        ("http://example.com/", {"secure": True}, True),
        ("https://example.com/", {"domain": ".example.com"}, False),
    ],
)
def test_a_cookie_for_an_https_target_is_not_sent_in_clear(url: str, cookie: dict[str, object], secure: bool) -> None:
    request = CaptureRequest.model_validate({"url": url, "cookies": [{"name": "a", "value": "b", **cookie}]})
    [params] = [params for method, params, _ in _calls_for_the_page(request) if method == "Network.setCookies"]
    assert [each["secure"] for each in params["cookies"]] == [secure]
