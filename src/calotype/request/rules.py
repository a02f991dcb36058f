"""The rules between fields, and what a request may not ask for yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calotype.request.model import CaptureRequest

NOT_YET = (
    "block.ads",
    "block.trackers",
    "block.cookie_banners",
    "block.chats",
)
"""Paths of fields validated but without effect yet: all but the default is refused. Delete a line to enable one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a field, given the fields `others`. The message follows the field's name."""

    field: str
    message: str
    others: tuple[str, ...] = ()
    kind: str = "contradiction"


def contradictions(request: CaptureRequest) -> Iterator[Finding]:
    """Find every pair of fields that can't both be meant."""
    yield from _source(request)
    yield from _encoding(request)
    yield from _area(request)


def not_yet(request: CaptureRequest) -> Iterator[Finding]:
    """Find what this version does not do."""
    for path in NOT_YET:
        *parents, name = path.split(".")
        part = reduce(getattr, parents, request)
        if getattr(part, name) != type(part).model_fields[name].default:
            yield Finding(path, "is not supported yet", kind="not_supported")


def without_effect(request: CaptureRequest) -> Iterator[Finding]:
    """Find what is harmless but will do nothing: markup has no host of its own."""
    if request.html is None or request.base_url is not None:
        return
    if any(cookie.domain is None for cookie in request.cookies):
        yield Finding("cookies", "have no effect without a domain: `html` has no host unless `base_url` gives one")
    if any(rule.origins is None for rule in request.headers):
        yield Finding("headers", "have no effect without origins: `html` has no origin unless `base_url` gives one")
    if request.basic_auth is not None:
        yield Finding("basic_auth", "has no effect: `html` has no origin unless `base_url` gives one")


def _source(request: CaptureRequest) -> Iterator[Finding]:
    if request.url is None and request.html is None:
        yield Finding("url", "is required; send `url`, or `html` with the markup to render", ("html",), "missing")
    if request.url is not None and request.html is not None:
        yield Finding("html", "can't be combined with `url`; send one of them", ("url",))
    if request.base_url is not None and request.html is None:
        yield Finding("base_url", "is for `html` only; leave it out", ("html",))


def _encoding(request: CaptureRequest) -> Iterator[Finding]:
    if request.quality is not None and request.format in {"png", "pdf"}:
        message = f"does not apply to {request.format}; leave it out, or use jpeg, webp or avif"
        yield Finding("quality", message, ("format",))
    if request.transparent and request.format in {"jpeg", "pdf"}:
        message = f"is not possible in {request.format}; use png, webp or avif"
        yield Finding("transparent", message, ("format",))
    if request.format == "pdf":
        for name in ("selector", "clip", "resize"):
            if getattr(request, name) is not None:
                yield Finding(name, "can't be combined with format pdf, which prints the whole page", ("format",))
        if request.mask:
            message = "can't be combined with format pdf, which lays the page out anew; use `remove`, or `hide`"
            yield Finding("mask", message, ("format",))


def _area(request: CaptureRequest) -> Iterator[Finding]:
    if request.selector is not None and request.full_page:
        yield Finding("selector", "can't be combined with `full_page`; send one of them", ("full_page",))
    if request.clip is not None and request.full_page:
        yield Finding("clip", "can't be combined with `full_page`; send one of them", ("full_page",))
    if request.clip is not None and request.selector is not None:
        yield Finding("clip", "can't be combined with `selector`; send one of them", ("selector",))
    if request.padding and request.selector is None:
        yield Finding("padding", "is for `selector` only; leave it out", ("selector",))
