"""What the server posts to others: the end of a job, to the job's webhook. docs/webhooks.md says the rest."""

from __future__ import annotations

from calotype.http.openapi.jobs import job_example
from calotype.http.openapi.parts import REF, Area, Json
from calotype.schema import FINAL
from calotype.webhooks.signature import ID, SIGNATURE, TIMESTAMP, signed_headers

_MESSAGE_ID = "msg_5e1f0c7a9b3d48266f1ea0c4d2b7935508e6"
_TIMESTAMP_S = 1_893_456_000
_HEADERS = {
    ID: "The same in every try: what to remember of messages that have been dealt with.",
    TIMESTAMP: "When this try was signed, in seconds since 1970. Refuse what is older than five minutes.",
    SIGNATURE: "`v1,` and the signature, or several of them with a space between, as Standard Webhooks 1.0.0 has it.",
}


def webhooks() -> Area:
    message = {
        "title": "JobMessage",
        "description": "The job as `GET /v1/jobs/{job_id}` shows it, without the picture but with its URL.",
        "allOf": [{"$ref": f"{REF}JobAnswer"}],
        "type": "object",
        "required": ["type", "timestamp"],
        "properties": {
            "type": {"enum": [f"job.{status}" for status in FINAL], "description": "`job.` and the job's status."},
            "timestamp": {"type": "string", "format": "date-time", "description": "When the job ended."},
            "status": {"enum": list(FINAL)},
        },
    }
    return Area({}, {"JobMessage": message}, webhooks={"jobFinal": {"post": _job_final()}})


def _job_final() -> Json:
    job = job_example(with_picture=False)
    example = {"type": f"job.{job['status']}", "timestamp": job["finished_at"], **job}
    signed = signed_headers(_MESSAGE_ID, _TIMESTAMP_S, b"{}", b"secret")
    return {
        "operationId": "jobFinal",
        "tags": ["jobs"],
        "summary": "A job with a `webhook` is done, failed or cancelled",
        "description": "Tried for a day, until it is answered with 2xx within 15 seconds. It may come more than once.",
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
                "example": signed[name],
            }
            for name, description in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{REF}JobMessage"}, "example": example}},
        },
        "responses": {
            "2XX": {"description": "Taken. The answer's content is not read."},
            "410": {"description": "Not wanted any more: no further try."},
            "default": {"description": "Tried again; redirects are not followed."},
        },
    }
