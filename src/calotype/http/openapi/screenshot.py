"""`POST` and `GET /v1/screenshot`."""

from __future__ import annotations

from calotype.capture.result import CaptureMeta, WaitedFor
from calotype.errors import ERRORS
from calotype.http.openapi.flat_parameters import flat_parameters
from calotype.http.openapi.parts import (
    BODY_CODES,
    EXAMPLE_ID,
    OF_A_KEY,
    REF,
    Area,
    Json,
    failures,
    headers,
    idempotency_key,
    json_answer,
    model_schemas,
    or_null,
    prefer,
    with_definitions,
)
from calotype.request import NOT_YET, CaptureRequest
from calotype.request.groups import GROUPS
from calotype.signing import EXPIRES, KEY_ID

_TAG = {"name": "screenshot", "description": "Pictures of pages."}
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/avif", "application/pdf")
_OF_OTHER_PATHS = {"not_found", "method_not_allowed", "job_finished"}
_CAPTURE_CODES = [code for code in ERRORS if code not in _OF_OTHER_PATHS]
_OF_A_BODY = {*BODY_CODES, "idempotency_conflict"}
_OF_A_PICTURE = (*OF_A_KEY, "X-Cache", "Preference-Applied")


def screenshot() -> Area:
    paths = {
        "/v1/screenshot": {"post": _post_screenshot(), "get": _get_screenshot("getScreenshot")},
        "/v1/": {"get": _legacy(_get_screenshot("getScreenshotLegacy"))},
        "/v1": {"get": _legacy(_get_screenshot("getScreenshotLegacyBare"))},
    }
    return Area(paths, _schemas(), tags=(_TAG,))


def _schemas() -> Json:
    request = with_definitions(CaptureRequest.model_json_schema(ref_template=REF + "{model}"))
    body = request.pop("CaptureRequest")
    for path in NOT_YET:
        field = _field(body, request, path)
        field["description"] = f"{field['description']} Not supported yet."
        field["x-not-supported"] = True
    for group, names in GROUPS.items():
        for name in names:
            body["properties"][name]["x-group"] = group
    body["properties"]["api_key"] = {
        **or_null({"type": "string"}),
        "description": "The key, if it is not in a header.",
    }
    body["oneOf"] = [_given("url", but="html"), _given("html", but="url")]
    answer = {
        "ok": {"const": True},
        "image_base64": {"type": "string", "contentEncoding": "base64"},
        "content_type": {"enum": list(PICTURE_TYPES)},
        "meta": {"$ref": f"{REF}CaptureMeta"},
    }
    return {
        "ScreenshotRequest": {**body, "title": "ScreenshotRequest"},
        "ScreenshotAnswer": {"type": "object", "required": list(answer), "properties": answer},
        **model_schemas(CaptureMeta),
        **request,
    }


def _given(name: str, *, but: str) -> Json:
    """One field is there, the other is not; clients may write null for that."""
    return {"required": [name], "properties": {name: {"type": "string"}, but: {"type": "null"}}}


def _post_screenshot() -> Json:
    examples = {
        "url": {"summary": "A page", "value": {"url": "https://example.com", "format": "png", "full_page": True}},
        "phone": {
            "summary": "As a phone shows it",
            "value": {
                "url": "https://example.com",
                "viewport": {"width": 390, "height": 844, "scale": 3, "mobile": True},
            },
        },
        "html": {"summary": "Markup", "value": {"html": "<h1>Hello</h1>", "format": "webp"}},
        "element": {
            "summary": "One element, when it is there",
            "value": {
                "url": "https://example.com",
                "selector": "h1",
                "padding": 16,
                "render": {"wait_for": "h1", "timeout_ms": 10000},
            },
        },
        "pdf": {"summary": "A PDF", "value": {"url": "https://example.com", "format": "pdf"}},
        "steps": {
            "summary": "After a click, kept for an hour",
            "value": {
                "url": "https://example.com",
                "actions": [{"type": "click", "selector": "a", "optional": True}, {"type": "wait", "ms": 200}],
                "cache": {"ttl_s": 3600},
            },
        },
    }
    return {
        "operationId": "postScreenshot",
        "tags": ["screenshot"],
        "summary": "Capture now; JSON in, JSON out",
        "description": "The key may also be `api_key` in the body.",
        "security": [{"bearer": []}, {"header": []}, {}],
        "parameters": [prefer(), idempotency_key()],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{REF}ScreenshotRequest"}, "examples": examples}},
        },
        "responses": {
            "200": _picture_in_json("Idempotency-Replayed"),
            **failures(_CAPTURE_CODES, of_a_key=True),
        },
    }


def _get_screenshot(operation_id: str) -> Json:
    raw: Json = {content_type: {"schema": {"type": "string", "format": "binary"}} for content_type in PICTURE_TYPES}
    in_json = _picture_in_json()
    return {
        "operationId": operation_id,
        "tags": ["screenshot"],
        "summary": "Capture now; the picture itself",
        "description": "The fields of the JSON form as flat parameters; objects are JSON. What `meta` says there is in "
        "headers here. `1`, `yes`, `on` and nothing (`?full_page`) mean true; `0`, `no` and `off` mean false.",
        "security": [{"bearer": []}, {"header": []}, {"query": []}, {"link": []}],
        "parameters": [prefer(), _response_form(), *_link_parameters(), *flat_parameters()],
        "responses": {
            "200": {
                "description": "The picture, or with `response=json` what POST answers.",
                "headers": {
                    **in_json["headers"],
                    **headers(["Cross-Origin-Resource-Policy", "Content-Disposition"]),
                    **fact_headers(),
                },
                "content": {**raw, **in_json["content"]},
            },
            **failures((code for code in _CAPTURE_CODES if code not in _OF_A_BODY), of_a_key=True),
        },
    }


def _legacy(operation: Json) -> Json:
    return {**operation, "deprecated": True, "summary": "Another name of GET /v1/screenshot"}


def _picture_in_json(*more_headers: str) -> Json:
    names = (*_OF_A_PICTURE, *more_headers)
    return json_answer("The picture in base64, and its facts.", "ScreenshotAnswer", _answer_example(), names)


def _answer_example() -> Json:
    meta = meta_example(EXAMPLE_ID)
    return {"ok": True, "image_base64": "/9j/4AAQSkZJRgABAQ…", "content_type": "image/jpeg", "meta": meta}


def meta_example(request_id: str) -> Json:
    meta = CaptureMeta(
        request_id=request_id,
        elapsed_ms=812,
        url="https://example.com/",
        final_url="https://example.com/",
        status_code=200,
        title="Example Domain",
        width=1280,
        height=720,
        bytes=18_204,
        waited_for=[WaitedFor(what="response", ms=122), WaitedFor(what="load", ms=231)],
    )
    return meta.model_dump()


def _field(body: Json, definitions: Json, path: str) -> Json:
    """The field at a dotted path whose parts but the last are objects."""
    *parents, name = path.split(".")
    for parent in parents:
        body = definitions[str(body["properties"][parent]["$ref"]).rpartition("/")[2]]
    return body["properties"][name]


def _response_form() -> Json:
    schema = {"enum": ["image", "json"], "default": "image"}
    return {
        "name": "response",
        "in": "query",
        "description": "The form of the answer.",
        "schema": schema,
        "example": "image",
    }


def _link_parameters() -> list[Json]:
    described = {
        KEY_ID: ("Of a signed link: the id of the key that signs.", "string", "V1StGXR8"),
        EXPIRES: ("Of a signed link: the Unix time in seconds from which on it is refused.", "integer", 1_924_992_000),
    }
    return [
        {"name": name, "in": "query", "description": description, "schema": {"type": kind}, "example": example}
        for name, (description, kind, example) in described.items()
    ]


def fact_headers() -> Json:
    """Headers that say of a picture what `meta` says."""
    facts: Json = {
        f"X-Calotype-{name.replace('_', '-').title()}": {
            "description": f"`meta.{name}`; text is percent-encoded, lists and objects are JSON.",
            "schema": {"type": "string"},
        }
        for name in CaptureMeta.model_fields
    }
    return {**facts, "Server-Timing": {"description": "`meta.timings`.", "schema": {"type": "string"}}}
