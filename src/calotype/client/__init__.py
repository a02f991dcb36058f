"""The client of a calotype server, sync and async.

    from calotype.client import Calotype

    with Calotype("http://127.0.0.1:8600", api_key="…") as client:
        client.screenshot("https://example.com", full_page=True, format="png").save("example.png")

`Calotype` and `AsyncCalotype` have the same methods. Every keyword of a capture is a field of the request (`fields`).
What goes wrong is raised as `ClientError` (`errors`). docs/client.md has more.
"""

from calotype.client.answers import Job, Screenshot
from calotype.client.asynchronous import AsyncCalotype
from calotype.client.errors import (
    ApiError,
    ClientError,
    JobFailed,
    NoAnswer,
    Overloaded,
    QuotaReached,
    RateLimited,
    RequestRefused,
    ServerFault,
    Unauthorized,
    WaitEnded,
)
from calotype.client.fields import ScreenshotFields
from calotype.client.synchronous import Calotype
from calotype.client.webhooks import Webhook, WebhookInvalid, verify_webhook

__all__ = [
    "ApiError",
    "AsyncCalotype",
    "Calotype",
    "ClientError",
    "Job",
    "JobFailed",
    "NoAnswer",
    "Overloaded",
    "QuotaReached",
    "RateLimited",
    "RequestRefused",
    "Screenshot",
    "ScreenshotFields",
    "ServerFault",
    "Unauthorized",
    "WaitEnded",
    "Webhook",
    "WebhookInvalid",
    "verify_webhook",
]
