"""What operations of every area refer to by name: the failure, headers, ways to authenticate."""

from __future__ import annotations

from calotype.errors import ERRORS
from calotype.http.openapi.parts import Json
from calotype.signing import SIGNATURE

HEADERS: Json = {
    "X-Request-Id": {"description": "Id of the request in the server's log.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}},
    "RateLimit": {
        "description": "Requests that the plan allows at once now (`r`), and the seconds until all are.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The plan's burst (`q`) and the seconds in which it comes back (`w`).",
        "schema": {"type": "string"},
    },
    "X-Credits-Remaining": {
        "description": "Credits left this month, or `unlimited`.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Path of the job.", "schema": {"type": "string", "format": "uri-reference"}},
    "WWW-Authenticate": {"description": "How to send the key.", "schema": {"type": "string"}},
    "Preference-Applied": {
        "description": "The preference of `Prefer` that was heeded.",
        "schema": {"const": "handling=strict"},
    },
    "Content-Disposition": {
        "description": "A name for the file: the page's host and the format.",
        "schema": {"type": "string"},
    },
    "X-Cache": {
        "description": "Whether the picture came from the result cache; only with `cache`.",
        "schema": {"enum": ["HIT", "MISS"]},
    },
    "Idempotency-Replayed": {
        "description": "The answer that an earlier request with this Idempotency-Key got.",
        "schema": {"const": "true"},
    },
    "Cross-Origin-Resource-Policy": {
        "description": "Only with a signed link: pages of any site may show the picture.",
        "schema": {"const": "cross-origin"},
    },
}

SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key", "description": "Ends up in logs."},
    "link": {
        "type": "apiKey",
        "in": "query",
        "name": SIGNATURE,
        "description": "HMAC-SHA256 over all other parameters, `key_id` and `expires` among them.",
    },
}


def failure_schema() -> Json:
    detail = {
        "type": "object",
        "properties": {
            "field": {"type": "string", "description": "Dotted path of the field, e.g. `viewport.width`."},
            "message": {"type": "string", "description": "For people; may change."},
            "type": {"type": "string", "description": "The kind of mistake, e.g. `wrong_type` or `out_of_bounds`."},
        },
        "additionalProperties": True,
    }
    error = {
        "code": {"enum": list(ERRORS), "description": "Permanent."},
        "message": {"type": "string", "description": "For people; may change."},
        "details": {"type": "array", "items": detail, "description": "Everything that is wrong, field by field."},
        "request_id": {"type": "string"},
    }
    return {
        "type": "object",
        "required": ["ok", "error"],
        "properties": {
            "ok": {"const": False},
            "error": {"type": "object", "required": list(error), "properties": error},
        },
    }
