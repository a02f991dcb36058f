"""Who makes the pictures: this process, or a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import uuid4

from calotype.app import open_capturer
from calotype.capture.encode import CONTENT_TYPES
from calotype.cli.capturing.sources import Target
from calotype.client import ApiError, AsyncCalotype, ClientError, Screenshot
from calotype.errors import CalotypeError
from calotype.settings import Settings, TargetRules


class CaptureFailed(Exception):
    """There is no picture of a target."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Engine(Protocol):
    """Makes one picture; many at once."""

    async def capture(self, target: Target) -> Screenshot:
        """
        Raises:
            CaptureFailed
        """
        ...


@asynccontextmanager
async def here(settings: Settings, rules: TargetRules) -> AsyncGenerator[Engine]:
    """With a browser of this process."""
    async with open_capturer(settings) as capturer:

        class Here:
            async def capture(self, target: Target) -> Screenshot:
                parsed = target.parsed
                try:
                    result = await capturer.capture(
                        parsed.request, request_id=uuid4().hex, rules=rules, warnings=parsed.warnings
                    )
                except CalotypeError as error:
                    raise CaptureFailed(error.code, error.message) from error
                return Screenshot(
                    result.image, CONTENT_TYPES[parsed.request.format], result.meta.model_dump(mode="json")
                )

        yield Here()


@asynccontextmanager
async def at_server(server: str, key: str | None) -> AsyncGenerator[Engine]:
    """With a server's. Raises ValueError: not a server's URL."""
    async with AsyncCalotype(server, key) as client:

        class AtServer:
            async def capture(self, target: Target) -> Screenshot:
                try:
                    return await client.screenshot(**target.body)  # type: ignore[misc]  # the server reads it, too
                except ApiError as error:
                    raise CaptureFailed(error.code, error.message) from error
                except ClientError as error:
                    raise CaptureFailed("no_answer", str(error)) from error

        yield AtServer()
