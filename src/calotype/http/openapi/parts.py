"""What the areas of the document are written with: answers, failures, headers, schemas of models."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import BaseModel

from calotype.errors import ERRORS

Json = dict[str, Any]

REF = "#/components/schemas/"
EXAMPLE_ID = "9f1c7a52b7c94f0e8a4c8f6d2b1e0a37"
BODY_CODES = ("body_too_large", "unsupported_media_type")
"""What is wrong with a body before its fields are looked at."""
_STANDING = ("RateLimit", "RateLimit-Policy", "X-Credits-Remaining")
OF_A_KEY = ("X-Request-Id", *_STANDING)
"""Headers of every answer to a key."""
_BEFORE_THE_KEY = (401, 413, 415)
"""Failures that come before the key has been looked up."""


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the API: what it adds to the document. To add one, name its function in `openapi._AREAS`."""

    paths: Json
    schemas: Json = field(default_factory=dict[str, Any])
    tags: tuple[Json, ...] = ()
    security_schemes: Json = field(default_factory=dict[str, Any])
    webhooks: Json = field(default_factory=dict[str, Any])


def json_answer(description: str, schema_name: str, example: Json, header_names: Iterable[str]) -> Json:
    """An answer that is a JSON object of a schema here."""
    content = {"schema": {"$ref": f"{REF}{schema_name}"}, "example": example}
    return {
        "description": description,
        "headers": headers(header_names),
        "content": {"application/json": content},
    }


def model_schemas(*models: type[BaseModel]) -> Json:
    """The schemas of what is answered, and of their parts, by name."""
    schemas: Json = {}
    for model in models:
        schemas |= with_definitions(model.model_json_schema(ref_template=REF + "{model}", mode="serialization"))
    return schemas


def with_definitions(schema: Json) -> Json:
    """A model's schema and those of its parts, by name."""
    schema = copy.deepcopy(schema)
    definitions = cast("Json", schema.pop("$defs", {}))
    return {schema["title"]: schema, **definitions}


def or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def headers(names: Iterable[str]) -> Json:
    """References to headers of `components.HEADERS`."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def prefer() -> Json:
    return {
        "name": "Prefer",
        "in": "header",
        "description": "`handling=strict` makes unknown fields an error.",
        "schema": {"type": "string"},
        "example": "handling=strict",
    }


def idempotency_key() -> Json:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "1 to 255 visible ASCII characters. The same key and body within 24 hours get the first answer "
        "again, and cost one credit; with another body it is a 409.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "example": "5f8a1b1e-3a0c-4a36-9d4a-6f0a5d0c7d11",
    }


def failures(codes: Iterable[str], *, of_a_key: bool = False) -> Json:
    """The answers of an operation that can fail with these codes of the error table, by status.

    Args:
        of_a_key: those that come after the API key was found say where it stands.
    """
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ERRORS[code].status, []).append(code)
    return {
        str(status): _failure(status, codes, _STANDING if of_a_key and status not in _BEFORE_THE_KEY else ())
        for status, codes in sorted(by_status.items())
    }


def _failure(status: int, codes: list[str], more_headers: Iterable[str]) -> Json:
    also = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
    names = ("X-Request-Id", *also.get(status, ()), *more_headers)
    examples = {code: {"summary": ERRORS[code].when, "value": _error_example(code)} for code in codes}
    narrowed = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
    schema = {"allOf": [{"$ref": f"{REF}Failure"}, narrowed]}
    return {
        "description": "\n".join(f"- `{code}`: {ERRORS[code].when}" for code in codes),
        "headers": headers(names),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _error_example(code: str) -> Json:
    error: Json = {"code": code, "message": ERRORS[code].when, "details": [], "request_id": EXAMPLE_ID}
    return {"ok": False, "error": error}
