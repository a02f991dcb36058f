"""From what a client sent to a `CaptureRequest`, or to one error that names everything wrong with it.

The first pass forbids unknown names, to learn where they are; with any, a second leaves them out. If a field is wrong,
a last pass takes the good fields alone, so that the rules between fields are reported together with the bad ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from calotype.errors import Detail, InvalidRequest, InvalidUrl
from calotype.request.flat import ALIASES, FLAT_FIELDS, Flat, unflatten
from calotype.request.model import DEFER_RULES, CaptureRequest
from calotype.request.rules import contradictions, not_yet, without_effect
from calotype.request.wording import Loc, detail, detail_of, nearest, shorten, summary, unknown

DETAILS_MAX = 100
"""Errors, and warnings, that are listed; of more, only their number."""
DEPTH_MAX = 16
VALUES_MAX = 20_000
"""Deeper or larger bodies than any meaningful one are refused before anything walks them."""

_T = TypeVar("_T")
Warning_ = dict[str, Any]
"""One entry of `meta.warnings`: `{"code", "field", "message", "suggestion"?}`."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A valid request, and what came with it that is not part of it."""

    request: CaptureRequest
    api_key: str | None = field(repr=False)
    warnings: list[Warning_]
    response: Literal["image", "json"] = "json"


def parse_body(body: Mapping[str, Any], *, strict: bool = False) -> ParsedRequest:
    """Parse a JSON object; `strict` makes unknown names errors.

    Raises:
        InvalidUrl: the URL is the only problem.
        InvalidRequest: with every problem in `details`.
    """
    _refuse_absurd(body)
    fields = dict(body)
    api_key = fields.pop("api_key", None)
    findings: list[Detail] = []
    if api_key is not None and not isinstance(api_key, str):
        findings.append(detail("api_key", "must be a string", "wrong_type"))
    request, warnings = _validate(fields, Flat(), findings, strict=strict)
    return ParsedRequest(request, api_key if isinstance(api_key, str) and api_key else None, warnings)


def parse_query(items: Iterable[tuple[str, str]], *, strict: bool = False) -> ParsedRequest:
    """Parse the decoded query parameters of the GET form. Raises as `parse_body` does, naming the parameters."""
    flat = unflatten(items)
    _refuse_absurd(flat.body)
    findings = [detail(each.field, each.message, each.kind, flat.parameters) for each in flat.findings]
    request, warnings = _validate(flat.body, flat, findings, strict=strict)
    response: Literal["image", "json"] = "json" if flat.response == "json" else "image"
    return ParsedRequest(request, flat.api_key or None, warnings, response)


def _validate(
    body: dict[str, Any], flat: Flat, findings: list[Detail], *, strict: bool
) -> tuple[CaptureRequest, list[Warning_]]:
    """Return the request and its warnings, or raise with `findings` and all that is found here."""
    request, wrong, unknown_locs = _model(body)
    unknown_names = _unknown_names(flat, unknown_locs)
    findings += _listed(wrong, lambda error: detail_of(error, body, flat.parameters), "problems are not listed")
    bad = {str(error["loc"][0]) for error in wrong} | {each.field.split(".")[0] for each in flat.findings}
    if request is None:
        request, _ = _attempt({name: value for name, value in body.items() if name not in bad}, extra="ignore")
    if request is not None:
        rules = [*contradictions(request), *not_yet(request)]
        rules = [each for each in rules if not bad & {each.field, *each.others}]
        findings += [detail(each.field, each.message, each.kind, flat.parameters) for each in rules]
    if strict:
        findings += map(_as_detail, unknown_names)
    if findings or request is None:
        raise _error(findings)
    idle = [_warning("no_effect", each.field, each.message) for each in without_effect(request)]
    return request, [*unknown_names, *idle]


def _model(body: Mapping[str, Any]) -> tuple[CaptureRequest | None, list[ErrorDetails], list[Loc]]:
    """Validate but for the rules between fields: the request or what is wrong, and where unknown names are.

    An object with unknown names has not been checked as a whole, so it is validated again with them left out.
    """
    request, errors = _attempt(body, extra="forbid")
    unknown_names = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    if unknown_names:
        request, errors = _attempt(body, extra="ignore")
    return request, errors, unknown_names


def _attempt(
    body: Mapping[str, Any], extra: Literal["forbid", "ignore"]
) -> tuple[CaptureRequest | None, list[ErrorDetails]]:
    try:
        return CaptureRequest.model_validate(body, extra=extra, context={DEFER_RULES: True}), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


@functools.cache
def _known_elsewhere() -> dict[str, str]:
    """Names of the flat form and the field of the JSON form that they are."""
    return {name: ".".join(each.path) for name, each in FLAT_FIELDS.items()} | {"api_key": "api_key"}


def _unknown_names(flat: Flat, locs: list[Loc]) -> list[Warning_]:
    parameters = {each: each for each in (*FLAT_FIELDS, *ALIASES, "api_key", "response")}
    names: list[str | Loc] = [*flat.unknown, *locs]

    def warn(name: str | Loc) -> Warning_:
        if isinstance(name, str):
            return _unknown(shorten(name), nearest(name, parameters))
        return _unknown(*unknown(name, _known_elsewhere()))

    return _listed(names, warn, "unknown fields were ignored")


def _unknown(path: str, suggestion: str | None) -> Warning_:
    hint = f"; did you mean `{suggestion}`?" if suggestion else ""
    warning = _warning("unknown_field", path, f"is not a known field and was ignored{hint}")
    return {**warning, "suggestion": suggestion} if suggestion else warning


def _listed(found: Sequence[_T], say: Callable[[_T], dict[str, Any]], what_of_more: str) -> list[dict[str, Any]]:
    """Put the first hundred into words: hostile bodies have thousands, and each costs a search for the nearest name."""
    said = [say(each) for each in found[:DETAILS_MAX]]
    if len(found) > DETAILS_MAX:
        said.append({"code": "truncated", "field": "", "message": f"{len(found) - DETAILS_MAX} more {what_of_more}."})
    return said


def _warning(code: str, path: str, message: str) -> Warning_:
    return {"code": code, "field": path, "message": f"`{path}` {message}" + ("" if message.endswith("?") else ".")}


def _as_detail(warning: Warning_) -> Detail:
    entry = {name: value for name, value in warning.items() if name != "code"}
    message = str(warning["message"]).replace(" and was ignored", "").replace(" were ignored", "")
    return {**entry, "message": message, "type": warning["code"]}


def _error(findings: list[Detail]) -> InvalidRequest | InvalidUrl:
    is_url_only = all(
        entry["field"] in {"url", "base_url"} and entry.get("type") == "invalid_url" for entry in findings
    )
    return (InvalidUrl if is_url_only else InvalidRequest)(summary(findings), details=findings)


def _refuse_absurd(body: Mapping[str, Any]) -> None:
    """Refuse what is no JSON object, nests or sprawls without end, or has text that is no Unicode.

    Raises:
        InvalidRequest: at the first such thing; the rest is not looked at.
    """
    if not isinstance(body, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # JSON may be anything
        raise _absurd("", 'must be a JSON object such as {"url": "https://example.com"}', "wrong_type")
    waiting: list[tuple[str, Any, int]] = [(str(name), value, 1) for name, value in body.items()]
    _check_texts(map(str, body))
    if len(waiting) > VALUES_MAX:
        raise _absurd("", f"has more than {VALUES_MAX} values")
    seen = 0
    while waiting:
        top, value, depth = waiting.pop()
        seen += 1
        if depth > DEPTH_MAX:
            raise _absurd(top, f"is nested more than {DEPTH_MAX} levels deep")
        if isinstance(value, str):
            _check_texts([value], top)
            continue
        if not isinstance(value, (Mapping, list)):
            continue
        children = cast("Mapping[Any, Any] | list[Any]", value)
        if seen + len(waiting) + len(children) > VALUES_MAX:
            raise _absurd(top, f"brings the request above {VALUES_MAX} values")
        if isinstance(children, Mapping):
            _check_texts(map(str, children), top)
            children = list(children.values())
        waiting += [(top, child, depth + 1) for child in children]


def _check_texts(texts: Iterable[str], top: str = "") -> None:
    for text in texts:
        try:
            if not text.isascii():
                text.encode()
        except UnicodeEncodeError:
            raise _absurd(top, "has a lone surrogate, which is no Unicode text") from None


def _absurd(top: str, message: str, kind: str = "invalid_value") -> InvalidRequest:
    name = shorten(top.encode(errors="replace").decode())
    entry = detail(name, message, kind)
    return InvalidRequest(str(entry["message"]), details=[entry])
