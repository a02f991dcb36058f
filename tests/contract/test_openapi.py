"""The OpenAPI document is whole and says what the code does."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema
import openapi_spec_validator
import pytest

from calotype.errors import ERRORS, CalotypeError, InvalidRequest
from calotype.http.job_bodies import parse_job
from calotype.http.openapi import build_document
from calotype.request import FLAT_FIELDS, CaptureRequest, parse_body, parse_query
from calotype.signing import sign
from tests.serving import KEY, LINK_SECRET, FakeServices, serving

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_document()


def operations(document: dict[str, Any], *places: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for place in places or ("paths",):
        for path, methods in document[place].items():
            for method in METHODS & set(methods):
                yield path, method, methods[method]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for node in nodes(document):
        if isinstance(reference := node.get("$ref"), str):
            target: Any = document
            for name in reference.removeprefix("#/").split("/"):
                target = target[name]


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document, "paths", "webhooks")]
    assert len(set(ids)) == len(ids)


def test_every_field_is_documented(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["ScreenshotRequest"]["properties"]
    assert set(fields) == {*CaptureRequest.model_fields, "api_key"}
    definitions = document["components"]["schemas"]
    for name, field in fields.items():
        reference = str(field.get("$ref", "")).rpartition("/")[2]
        assert field.get("description") or definitions[reference]["description"], name


@pytest.mark.parametrize("path", ["/v1/screenshot", "/v1/", "/v1"])
def test_every_flat_parameter_is_documented(path: str, document: dict[str, Any]) -> None:
    parameters = document["paths"][path]["get"]["parameters"]
    names = {each["name"]: each for each in parameters if each["in"] == "query"}
    assert set(names) == {*FLAT_FIELDS, "response", "key_id", "expires"}  # `signature` is a security scheme
    assert all(each["schema"] and each["description"] for each in parameters)
    assert names["width"]["schema"]["maximum"] == 7680
    assert names["format"]["schema"]["enum"]
    assert names["delay"]["deprecated"]


def test_statuses_and_codes_are_those_of_the_table(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status in ("200", "201", "202"):
                continue
            examples = answer["content"]["application/json"]["examples"]
            assert examples, (path, method, status)
            assert {ERRORS[code].status for code in examples} == {int(status)}
            assert all(example["value"]["error"]["code"] == code for code, example in examples.items())


def test_a_screenshot_can_fail_in_every_way_but_those_of_jobs(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/screenshot"]["post"]["responses"]
    codes = {code for status in set(responses) - {"200"} for code in _examples(responses[status])}
    assert set(ERRORS) - codes == {"not_found", "method_not_allowed", "job_finished"}
    assert set(_examples(responses["422"])) == {"quota_reached"}


def _examples(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["content"]["application/json"]["examples"]


def test_examples_of_requests_are_valid(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/screenshot"]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        assert parse_body(example["value"], strict=True).request


async def test_it_is_served_and_every_documented_operation_exists() -> None:
    async with serving(FakeServices()) as served, httpx.AsyncClient(base_url=served.url) as client:
        served_document = (await client.get("/openapi.json")).json()
        assert served_document == build_document(has_admin=False)
        headers = {"Authorization": f"Bearer {KEY}"}
        for path, method, _ in operations(served_document):
            answer = await client.request(method, path.format(job_id=uuid.uuid4()), headers=headers)
            is_there = "no such job" in answer.text
            assert is_there or answer.status_code not in (404, 405, 500), (method, path)


async def test_what_is_answered_has_the_documented_shape(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    async with serving(FakeServices()) as served, httpx.AsyncClient(base_url=served.url) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        good = await client.post("/v1/screenshot", json={"url": "example.com"}, headers=headers)
        raw = await client.get("/v1/screenshot", params={"url": "example.com"}, headers=headers)
        wrong = await client.get("/v1/screenshot", params={"quality": "0"}, headers=headers)
    assert set(good.json()) == set(schemas["ScreenshotAnswer"]["properties"])
    assert set(good.json()["meta"]) == set(schemas["CaptureMeta"]["properties"])
    of_http = {"content-type", "content-length", "date", "cache-control", "x-content-type-options"}
    for answer in (raw, wrong):
        described = document["paths"]["/v1/screenshot"]["get"]["responses"][str(answer.status_code)]["headers"]
        assert set(answer.headers) - of_http <= {name.lower() for name in described}


async def test_what_a_signed_link_answers_beside_is_documented(document: dict[str, Any]) -> None:
    expires_s = 4_000_000_000
    query = sign([("url", "example.com")], key_id="V1StGXR8", secret=LINK_SECRET, expires_s=expires_s)
    async with serving(FakeServices()) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.get(f"/v1/screenshot?{query}")
    documented = document["paths"]["/v1/screenshot"]["get"]["responses"]["200"]["headers"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Cross-Origin-Resource-Policy" in documented


def test_it_is_openapi(document: dict[str, Any]) -> None:
    openapi_spec_validator.validate(document)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        wanting = {"operationId", "tags", "summary", "description", "security", "responses"} - set(operation)
        assert not wanting, (path, method)
        assert re.fullmatch("[a-z][A-Za-z]+", operation["operationId"])  # a function's name in a generated client


def test_examples_are_valid_by_their_own_schemas(document: dict[str, Any]) -> None:
    count = 0
    for path, method, operation in operations(document, "paths", "webhooks"):
        answers = operation["responses"].values()
        contents = [each for part in (operation.get("requestBody", {}), *answers) for each in _contents(part)]
        for holder in (*operation.get("parameters", []), *contents):
            for example in _values(holder):
                schema = {**holder["schema"], "components": document["components"]}
                found = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(example)]
                assert not found, (path, method, holder.get("name"), found)
                count += 1
    assert count > 200


def test_whatever_is_sent_or_answered_has_an_example(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document, "paths", "webhooks"):
        answers = [each for answer in operation["responses"].values() for each in answer.get("content", {}).items()]
        texts = [content for kind, content in answers if not kind.startswith("image/") and kind != "application/pdf"]
        for holder in (*operation.get("parameters", []), *_contents(operation.get("requestBody", {})), *texts):
            assert _values(holder), (path, method, holder)


def test_null_is_taken_where_the_document_says_so(document: dict[str, Any]) -> None:
    def is_taken(parse: Callable[[], object]) -> bool:
        try:
            return bool(parse())
        except CalotypeError:
            return False

    def is_documented(schema: dict[str, Any]) -> bool:
        return jsonschema.Draft202012Validator({**schema, "components": document["components"]}).is_valid(None)

    schemas = document["components"]["schemas"]
    page, markup = {"url": "https://example.com"}, {"html": "<p>"}
    for name, field in schemas["ScreenshotRequest"]["properties"].items():
        body = {**(markup if name == "url" else page), name: None}
        assert is_taken(lambda body=body: parse_body(body)) == is_documented(field), name
    with_null = {name: {"request": page, name: None} for name in schemas["JobRequest"]["properties"]}
    for name, job in with_null.items():
        assert is_taken(lambda job=job: _parsed_job(job)) == is_documented(schemas["JobRequest"]["properties"][name]), (
            name
        )
    for name, field in schemas["JobWebhook"]["properties"].items():
        job = {"request": page, "webhook": {"url": "https://example.org/", name: None}}
        assert is_taken(lambda job=job: _parsed_job(job)) == is_documented(field), name


@pytest.mark.parametrize(
    "body", [{"url": "a.example", "html": None}, {"url": None, "html": "<p>"}, {"url": "a.example"}]
)
def test_of_url_and_html_one_is_given(body: dict[str, Any], document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/ScreenshotRequest", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    assert parse_body(body)
    assert validator.is_valid(body)
    for wrong in ({**body, "url": "a.example", "html": "<p>"}, {**body, "url": None, "html": None}):
        assert not validator.is_valid(wrong)
        with pytest.raises(InvalidRequest):
            parse_body(wrong)


def _parsed_job(job: dict[str, Any]) -> object:
    return parse_job(job, strict=True, max_priority=0, check_webhook=lambda url: None)


def test_every_flat_example_is_valid(document: dict[str, Any]) -> None:
    """A field alone may lack the one it goes with, which is no fault of the example."""
    for each in document["paths"]["/v1/screenshot"]["get"]["parameters"]:
        if each["name"] in FLAT_FIELDS and "example" in each:
            values = each["example"] if isinstance(each["example"], list) else [each["example"]]
            assert not _wrong_values([("url", "https://example.com"), *((each["name"], str(one)) for one in values)]), (
                each
            )


def _wrong_values(query: list[tuple[str, str]]) -> list[dict[str, Any]]:
    try:
        parse_query(query, strict=True)
    except InvalidRequest as error:
        return [each for each in error.details if each["type"] not in ("contradiction", "missing", "not_supported")]
    return []


def _contents(part: dict[str, Any]) -> list[dict[str, Any]]:
    return list(part.get("content", {}).values())


def _values(holder: dict[str, Any]) -> list[Any]:
    if "example" in holder:
        return [holder["example"]]
    return [each["value"] for each in holder.get("examples", {}).values()]
