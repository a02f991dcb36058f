"""`/v1/jobs`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from calotype.capture.result import CaptureMeta
from calotype.http.job_bodies import BATCH_MAX
from calotype.http.jobs import LIST_MAX, STATUSES, WAIT_MAX_S
from calotype.http.openapi.parts import (
    BODY_CODES,
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
)
from calotype.http.openapi.screenshot import PICTURE_TYPES, fact_headers, meta_example
from calotype.jobs.view import (
    BatchAcceptedAnswer,
    JobAcceptedAnswer,
    JobAnswer,
    JobListAnswer,
    JobResult,
    accepted,
    job_json,
    job_url,
)
from calotype.schema import FINAL

_TAG = {"name": "jobs", "description": "Captures that nobody waits for on an open connection."}
_ID = "0b9f2c1e-6f0b-4a53-9c0f-3f7a0c1f2d11"
_KEYED: list[Json] = [{"bearer": []}, {"header": []}, {}]
_BY_ID: list[Json] = [{"bearer": []}, {"header": []}, {"query": []}, {}]
_JOB_ID: Json = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "description": "As creating the job answered it.",
    "example": _ID,
    "schema": {"type": "string", "format": "uuid"},
}
_API_KEY: Json = or_null({"type": "string"})
_ENQUEUE_CODES = (
    "invalid_request",
    "invalid_url",
    "blocked_target",
    "api_key_missing",
    "api_key_invalid",
    "idempotency_conflict",
    *BODY_CODES,
    "quota_reached",
    "rate_limited",
    "internal_error",
    "shutting_down",
)
_OF_POSTING = ("Idempotency-Replayed", "Preference-Applied")
_READ_CODES = ("invalid_request", "api_key_missing", "api_key_invalid", "not_found", "internal_error", "shutting_down")


def jobs() -> Area:
    paths = {
        "/v1/jobs": {"post": _enqueue(), "get": _list()},
        "/v1/jobs/batch": {"post": _enqueue_batch()},
        "/v1/jobs/{job_id}": {"get": _get(), "delete": _cancel()},
        "/v1/jobs/{job_id}/image": {"get": _image()},
    }
    answers = model_schemas(JobAnswer, JobAcceptedAnswer, BatchAcceptedAnswer, JobListAnswer)
    return Area(paths, {**answers, **_bodies()}, tags=(_TAG,))


def _bodies() -> Json:
    webhook = {
        "title": "JobWebhook",
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {
                "type": "string",
                "maxLength": 2048,
                "description": "http or https, where this server may call.",
                "examples": ["https://example.org/hook"],
            },
            "events": {
                **or_null({"type": "array", "minItems": 1, "items": {"enum": list(FINAL)}}),
                "description": "Ends of the job to be told of. Unset: all.",
                "examples": [["done"]],
            },
        },
    }
    job = {
        "title": "JobRequest",
        "type": "object",
        "required": ["request"],
        "properties": {
            "request": {"$ref": f"{REF}ScreenshotRequest"},
            "priority": {
                "type": "integer",
                "minimum": -(2**31),
                "maximum": 2**31 - 1,
                "default": 0,
                "description": "Higher goes first, then the oldest. The plan may set a lower maximum.",
            },
            "webhook": {
                **or_null({"$ref": f"{REF}JobWebhook"}),
                "description": "Where the job object, without its picture, is posted when the job is final.",
            },
            "api_key": {**_API_KEY, "description": "The key, if it is not in a header or in `request`."},
        },
    }
    batch = {
        "title": "JobBatchRequest",
        "type": "object",
        "required": ["jobs"],
        "properties": {
            "jobs": {
                "type": "array",
                "minItems": 1,
                "maxItems": BATCH_MAX,
                "items": {"$ref": f"{REF}JobRequest"},
                "description": "Each as `POST /v1/jobs` takes it.",
            },
            "api_key": {**_API_KEY, "description": "The key, if it is not in a header or in the jobs."},
        },
    }
    return {"JobRequest": job, "JobWebhook": webhook, "JobBatchRequest": batch}


def _enqueue() -> Json:
    job = accepted(_ID)
    answer = JobAcceptedAnswer(**job.model_dump(), warnings=[])
    example = {"request": {"url": "https://example.com"}, "priority": 5, "webhook": {"url": "https://example.org/hook"}}
    return _posting("createJob", "Queue a capture", "JobRequest", example, "JobAcceptedAnswer", answer.model_dump())


def _enqueue_batch() -> Json:
    answer = BatchAcceptedAnswer(jobs=[accepted(_ID)], warnings=[])
    example = {"jobs": [{"request": {"url": "https://example.com"}}]}
    return _posting(
        "createJobs",
        f"Queue up to {BATCH_MAX:,} captures, all of them or none",
        "JobBatchRequest",
        example,
        "BatchAcceptedAnswer",
        answer.model_dump(),
    )


def _posting(operation_id: str, summary: str, body: str, example: Json, answer: str, answer_example: Json) -> Json:
    is_batch = body == "JobBatchRequest"
    job_id = "$response.body#/jobs/0/job_id" if is_batch else "$response.body#/job_id"
    more_headers = () if is_batch else ("Location",)
    content = {"schema": {"$ref": f"{REF}{body}"}, "examples": {"job": {"summary": "A job", "value": example}}}
    return {
        "operationId": operation_id,
        "tags": ["jobs"],
        "summary": summary,
        "description": "One request against the rate, and a credit for each job, given back if it brings no picture.",
        "security": _KEYED,
        "parameters": [prefer(), idempotency_key()],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "202": {
                **json_answer("Queued.", answer, answer_example, (*OF_A_KEY, *_OF_POSTING, *more_headers)),
                "links": _links(job_id),
            },
            **failures(_ENQUEUE_CODES, of_a_key=True),
        },
    }


def _links(job_id: str) -> Json:
    """What can be done with the job that an answer names, by a runtime expression (OpenAPI 3.1, section 4.8.20.3)."""
    described = {
        "getJob": "Its state, and its result.",
        "getJobImage": "Its picture, when it is done.",
        "cancelJob": "Cancels it.",
    }
    return {
        name: {"operationId": name, "parameters": {"job_id": job_id}, "description": description}
        for name, description in described.items()
    }


def _list() -> Json:
    parameters = [
        {
            "name": "status",
            "in": "query",
            "description": "Only these.",
            "schema": {"enum": list(STATUSES)},
            "example": "done",
        },
        {
            "name": "limit",
            "in": "query",
            "description": "Jobs of a page.",
            "schema": {"type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": 20},
            "example": 20,
        },
        {
            "name": "cursor",
            "in": "query",
            "description": "`next_cursor` of the page before.",
            "schema": {"type": "string"},
            "example": _ID,
        },
    ]
    codes = [code for code in _READ_CODES if code != "not_found"]
    example = {"ok": True, "jobs": [job_example(with_picture=False)], "next_cursor": None}
    return {
        "operationId": "listJobs",
        "tags": ["jobs"],
        "summary": "The key's jobs, newest first",
        "description": "Jobs of every key of the account, without their pictures, as long as they are kept.",
        "security": [{"bearer": []}, {"header": []}, {"query": []}],
        "parameters": parameters,
        "responses": {
            "200": json_answer("A page of them.", "JobListAnswer", example, OF_A_KEY),
            **failures(codes, of_a_key=True),
        },
    }


def _get() -> Json:
    wait = {
        "name": "wait",
        "in": "query",
        "description": "Seconds to wait for the job to be final before answering.",
        "schema": {"type": "number", "minimum": 0, "maximum": WAIT_MAX_S, "default": 0},
        "example": 30,
    }
    return {
        "operationId": "getJob",
        "tags": ["jobs"],
        "summary": "A job's state and, when it is done, its result",
        "description": "The id is all that is needed, unless the server asks for the owner's key (`jobs.require_key`).",
        "security": _BY_ID,
        "parameters": [_JOB_ID, wait],
        "responses": {"200": _job("The job."), **failures(_READ_CODES, of_a_key=True)},
    }


def _image() -> Json:
    content = {each: {"schema": {"type": "string", "format": "binary"}} for each in PICTURE_TYPES}
    facts = {**headers([*OF_A_KEY, "Content-Disposition"]), **fact_headers()}
    answer = {"description": "The picture.", "headers": facts, "content": content}
    return {
        "operationId": "getJobImage",
        "tags": ["jobs"],
        "summary": "The picture of a job that is done",
        "description": "404 until the job is done, and when it is not kept any more.",
        "security": _BY_ID,
        "parameters": [_JOB_ID],
        "responses": {"200": answer, **failures(_READ_CODES, of_a_key=True)},
    }


def _cancel() -> Json:
    codes = [*_READ_CODES, "job_finished"]
    return {
        "operationId": "cancelJob",
        "tags": ["jobs"],
        "summary": "Cancel a job that waits or runs",
        "description": "Its credit is given back. A capture that runs is stopped.",
        "security": [{"bearer": []}, {"header": []}, {"query": []}],
        "parameters": [_JOB_ID],
        "responses": {"200": _job("The job, cancelled."), **failures(codes, of_a_key=True)},
    }


def _job(description: str) -> Json:
    return json_answer(description, "JobAnswer", job_example(), OF_A_KEY)


def job_example(*, with_picture: bool = True) -> dict[str, Any]:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    result = JobResult(
        image_base64="/9j/4AAQSkZJRgABAQ…" if with_picture else None,
        image_url=f"{job_url(_ID)}/image",
        content_type="image/jpeg",
        meta=CaptureMeta.model_validate(meta_example(_ID)),
    )
    job = JobAnswer(
        job_id=_ID,
        status="done",
        priority=5,
        created_at=moment,
        started_at=moment,
        finished_at=moment,
        attempts=1,
        result=result,
    )
    return job_json(job)
