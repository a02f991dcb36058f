"""Devices that a capture can be made as: sizes, and how their browser names itself.

Sizes are CSS pixels held upright, the viewport without the browser's own bars. Figures: the device tables that
Playwright and Puppeteer publish, read in 2026. No version of a browser is in here: the names are made with the version
of the Chromium that runs, so they never grow stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

_IOS_VERSION = "18_7"  # frozen by Apple since iOS 26
_NO_BRAND = {"brand": "Not:A-Brand", "version": "8"}  # one that means nothing, as the specification wants


@dataclass(frozen=True, slots=True)
class Device:
    """A preset. `model` is what Android's client hints say; `screen_height` includes the browser's bars."""

    name: str
    width: int
    height: int
    screen_height: int
    scale: float
    system: Literal["iPhone", "iPad", "Android"]
    is_tablet: bool = False
    model: str = ""
    system_version: str = _IOS_VERSION

    def viewport(self) -> dict[str, Any]:
        """What it means for `viewport`."""
        return {"width": self.width, "height": self.height, "scale": self.scale, "mobile": True, "touch": True}

    def user_agent(self, browser_version: str) -> str:
        """Its browser's name for a Chromium such as `156.0.8078.79`: Chrome for Android, or Chrome on iOS."""
        if self.system == "Android":
            # Chrome has reduced the rest to these constants; the model is in the client hints.
            mobile = "" if self.is_tablet else " Mobile"
            chrome = f"Chrome/{_major(browser_version)}.0.0.0{mobile} Safari/537.36"
            return f"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) {chrome}"
        system = (
            f"iPhone; CPU iPhone OS {self.system_version}"
            if self.system == "iPhone"
            else f"iPad; CPU OS {self.system_version}"
        )
        chrome = f"CriOS/{browser_version} Mobile/15E148 Safari/604.1"
        return f"Mozilla/5.0 ({system} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) {chrome}"

    def client_hints(self, browser_version: str) -> dict[str, Any] | None:
        """CDP `Emulation.UserAgentMetadata`; None where the device's browser sends no hints."""
        if self.system != "Android":
            return None
        major = _major(browser_version)
        return {
            "brands": [{"brand": "Chromium", "version": major}, _NO_BRAND],
            "fullVersionList": [
                {"brand": "Chromium", "version": browser_version},
                {**_NO_BRAND, "version": f"{_NO_BRAND['version']}.0.0.0"},
            ],
            "fullVersion": browser_version,
            "platform": "Android",
            "platformVersion": f"{self.system_version}.0.0",
            "architecture": "",
            "model": self.model,
            "mobile": not self.is_tablet,
        }


def _major(version: str) -> str:
    return version.partition(".")[0]


def _iphone(name: str, width: int, height: int, screen_height: int, scale: float = 3) -> Device:
    return Device(f"iPhone {name}", width, height, screen_height, scale, "iPhone")


def _ipad(name: str, width: int, height: int) -> Device:
    return Device(f"iPad{name}", width, height, height, 2, "iPad", is_tablet=True)


def _pixel(name: str, width: int, height: int, screen_height: int, scale: float, system_version: str) -> Device:
    model = f"Pixel {name}"
    return Device(model, width, height, screen_height, scale, "Android", model=model, system_version=system_version)


def _galaxy(
    name: str, model: str, width: int, height: int, screen_height: int, scale: float, *, is_tablet: bool = False
) -> Device:
    return Device(f"Galaxy {name}", width, height, screen_height, scale, "Android", is_tablet, model, "14")


DEVICES = {
    device.name: device
    for device in (
        _iphone("SE", 375, 667, 667, 2),
        _iphone("X", 375, 812, 812),
        _iphone("XR", 414, 896, 896, 2),
        _iphone("11", 414, 715, 896, 2),
        _iphone("11 Pro", 375, 635, 812),
        _iphone("12", 390, 664, 844),
        _iphone("12 Mini", 375, 629, 812),
        _iphone("12 Pro Max", 428, 746, 926),
        _iphone("13", 390, 664, 844),
        _iphone("13 Mini", 375, 629, 812),
        _iphone("13 Pro", 390, 664, 844),
        _iphone("13 Pro Max", 428, 746, 926),
        _iphone("14", 390, 664, 844),
        _iphone("14 Plus", 428, 746, 926),
        _iphone("14 Pro", 393, 660, 852),
        _iphone("14 Pro Max", 430, 740, 932),
        _iphone("15", 393, 659, 852),
        _iphone("15 Plus", 430, 739, 932),
        _iphone("15 Pro", 393, 659, 852),
        _iphone("15 Pro Max", 430, 739, 932),
        _iphone("16", 393, 659, 852),
        _iphone("16 Plus", 430, 739, 932),
        _iphone("16 Pro", 402, 681, 874),
        _iphone("16 Pro Max", 440, 763, 956),
        _iphone("17", 402, 681, 874),
        _iphone("17 Pro", 402, 681, 874),
        _iphone("17 Pro Max", 440, 763, 956),
        _iphone("Air", 420, 719, 912),
        _ipad("", 810, 1080),
        _ipad(" Mini", 768, 1024),
        _ipad(" Pro 11", 834, 1194),
        _pixel("5", 393, 727, 851, 2.75, "14"),
        _pixel("6", 412, 839, 915, 2.625, "14"),
        _pixel("7", 412, 839, 915, 2.625, "14"),
        _pixel("7 Pro", 412, 816, 892, 3.5, "14"),
        _pixel("8", 412, 839, 915, 2.625, "14"),
        _pixel("8 Pro", 448, 921, 997, 3, "14"),
        _pixel("9", 360, 732, 808, 3, "14"),
        _pixel("9 Pro", 427, 876, 952, 3, "14"),
        _pixel("10", 360, 732, 808, 3, "16"),
        _pixel("10 Pro", 427, 876, 952, 3, "16"),
        _galaxy("S8", "SM-G950U", 360, 740, 740, 3),
        _galaxy("S24", "SM-S921U", 360, 780, 780, 3),
        _galaxy("A55", "SM-A556B", 480, 1040, 1040, 2.25),
        _galaxy("Z Flip 6", "SM-F741U", 360, 804, 880, 3),
        _galaxy("Tab S9", "SM-X710", 640, 1024, 1024, 2.5, is_tablet=True),
    )
}
"""By name, families together."""

_BY_LETTERS = {"".join(filter(str.isalnum, name.lower())): name for name in DEVICES}


def device_name(text: str) -> str | None:
    """Return the name as `DEVICES` has it; case, blanks and punctuation do not matter."""
    return _BY_LETTERS.get("".join(filter(str.isalnum, text.lower())))
