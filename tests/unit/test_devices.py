"""Device presets: what a name means, and how `viewport` overrides it field by field."""

from __future__ import annotations

import pytest

from calotype.errors import InvalidRequest
from calotype.request import CaptureRequest, Viewport, parse_body, parse_query
from calotype.request.devices import DEVICES

URL = {"url": "https://example.com/"}
IPHONE_15 = Viewport(width=393, height=659, scale=3, mobile=True, touch=True)


def test_the_devices_of_the_contract_are_there() -> None:
    assert {"iPhone 15", "Pixel 8", "iPad Pro 11"} <= set(DEVICES)


@pytest.mark.parametrize("name", DEVICES)
def test_every_preset_is_a_valid_request(name: str) -> None:
    request = CaptureRequest.model_validate(URL | {"device": name})
    assert request.viewport.mobile
    assert request.viewport.touch
    assert request.device == name


@pytest.mark.parametrize("name", ["iPhone 15", "iphone 15", "iphone-15", "IPHONE15", " iPhone_15 "])
def test_a_name_is_read_in_any_spelling(name: str) -> None:
    assert parse_body(URL | {"device": name}).request == parse_body(URL | {"device": "iPhone 15"}).request


def test_a_device_fills_the_viewport() -> None:
    assert parse_body(URL | {"device": "iPhone 15"}).request.viewport == IPHONE_15


def test_viewport_overrides_field_by_field() -> None:
    viewport = parse_body(URL | {"device": "iPhone 15", "viewport": {"scale": 1, "touch": False}}).request.viewport
    assert viewport == IPHONE_15.model_copy(update={"scale": 1.0, "touch": False})


def test_a_default_value_given_overrides_too() -> None:
    viewport = parse_body(URL | {"device": "iPhone 15", "viewport": {"width": 1280}}).request.viewport
    assert (viewport.width, viewport.height) == (1280, 659)


def test_a_query_overrides_field_by_field() -> None:
    viewport = parse_query([*URL.items(), ("device", "iPhone 15"), ("width", "400")]).request.viewport
    assert viewport == IPHONE_15.model_copy(update={"width": 400})


def test_a_device_on_its_side() -> None:
    viewport = parse_body(URL | {"device": "iPhone 15", "viewport": {"landscape": True}}).request.viewport
    assert viewport.size == (659, 393)


def test_a_request_that_was_kept_is_read_back_as_the_same() -> None:
    request = parse_body(URL | {"device": "Pixel 8", "viewport": {"width": 500}}).request
    assert CaptureRequest.model_validate_json(request.canonical_json()) == request


def test_a_viewport_object_overrides_what_it_was_given() -> None:
    request = CaptureRequest(url=URL["url"], device="iPhone 15", viewport=Viewport(scale=2))
    assert request.viewport == IPHONE_15.model_copy(update={"scale": 2.0})


@pytest.mark.parametrize(
    ("name", "nearest"), [("iPhone 155", "iPhone 15"), ("Pixle 8", "Pixel 8"), ("ipad pro", "iPad Pro 11")]
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(URL | {"device": name})
    [entry] = caught.value.details
    assert entry["field"] == "device"
    assert nearest in entry["message"]


def test_a_name_like_none_gets_no_suggestion() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(URL | {"device": "@@@@"})
    assert "nearest" not in caught.value.details[0]["message"]


@pytest.mark.parametrize("name", DEVICES)
def test_user_agents_name_the_chromium_that_runs(name: str) -> None:
    device = DEVICES[name]
    agent = device.user_agent("201.2.3.4")
    assert "Chrome/201.0.0.0" in agent or "CriOS/201.2.3.4" in agent
    assert ("Mobile" in agent) == (not device.is_tablet or device.system == "iPad")
    hints = device.client_hints("201.2.3.4")
    assert (hints is None) == (device.system != "Android")
    if hints is not None:
        assert {"brand": "Chromium", "version": "201"} in hints["brands"]
        assert hints["model"] == device.model
        assert hints["mobile"] is not device.is_tablet
