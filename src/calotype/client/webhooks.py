"""For those who receive calotype's webhooks (docs/webhooks.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from calotype.client.answers import Job, job_of
from calotype.webhooks.signature import TOLERANCE_S, SignatureInvalid, read_secret, verify

WebhookInvalid = SignatureInvalid


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message of the server's."""

    id: str
    """The same each time this message is sent: work through it once."""
    event: str
    """`job.done`, `job.failed` or `job.cancelled`."""
    job: Job
    """Without the picture; `image_url` says where it is."""


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> Webhook:
    """Return the message, once it is known to be the server's, unaltered and new.

    Args:
        body: the request's body as it came, byte by byte.
        headers: the request's, names in any case.
        secret: `whsec_…`, as `calotype webhooks secret` or the API gave it.
        tolerance_s: how far its time may be from ours.
        now_s: seconds since 1970; None: now.

    Raises:
        WebhookInvalid: it is not to be trusted. Answer with status 400, and do nothing.
        ValueError: the secret is none.
    """
    message_id = verify(headers, body, read_secret(secret), now_s=now_s, tolerance_s=tolerance_s)
    message = json.loads(body)
    return Webhook(message_id, message["type"], job_of(message))
