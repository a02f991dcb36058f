"""What browsers ask a server besides pictures: what is it, how is it used."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from calotype.http.reference import reference_page

router = APIRouter(include_in_schema=False)

_GET = ["GET", "HEAD"]
# Nothing but our own style sheet: no script, no other host, no framing.
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@router.api_route("/openapi.json", methods=_GET)
async def openapi_json(request: Request) -> Response:
    return JSONResponse(await _document(request), headers={"Cache-Control": "no-cache"})


@router.api_route("/docs", methods=_GET)
async def docs(request: Request) -> Response:
    return Response(reference_page(await _document(request)), headers=_PAGE_HEADERS, media_type="text/html")


@router.api_route("/", methods=_GET)
async def home() -> Response:
    return Response(_static("home.html"), headers=_PAGE_HEADERS, media_type="text/html")


@router.api_route("/static/page.css", methods=_GET)
async def page_css() -> Response:
    return Response(_static("page.css"), headers={"Cache-Control": "no-cache"}, media_type="text/css")


async def _document(request: Request) -> dict[str, Any]:
    return await asyncio.to_thread(request.app.openapi)  # 0.1 s when it is first asked for


def _static(name: str) -> bytes:
    return files("calotype.http").joinpath("static", name).read_bytes()
