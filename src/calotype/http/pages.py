"""What browsers ask a server besides pictures: the API tester, the reference, and what they are made of."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from calotype.http.reference import reference_page

router = APIRouter(include_in_schema=False)

_GET = ["GET", "HEAD"]
_NO_CACHE = {"Cache-Control": "no-cache"}  # kept, and asked for again: an upgrade shows at once
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "


def _page_headers(policy: str) -> dict[str, str]:
    return {**_NO_CACHE, "Content-Security-Policy": _POLICY + policy, "Referrer-Policy": "no-referrer"}


_REFERENCE_HEADERS = _page_headers("img-src data:")
_TESTER_HEADERS = _page_headers("script-src 'self'; connect-src 'self'; img-src 'self' blob: data:")


class OwnFiles(StaticFiles):
    """What our pages are made of, for `/static`."""

    def __init__(self) -> None:
        super().__init__(directory=str(files("calotype.http").joinpath("static")))

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_NO_CACHE)
        return response


@router.api_route("/openapi.json", methods=_GET)
async def openapi_json(request: Request) -> Response:
    return JSONResponse(await _document(request), headers=_NO_CACHE)


@router.api_route("/docs", methods=_GET)
async def docs(request: Request) -> Response:
    return Response(reference_page(await _document(request)), headers=_REFERENCE_HEADERS, media_type="text/html")


@router.api_route("/", methods=_GET)
async def tester() -> Response:
    page = files("calotype.http").joinpath("static", "tester", "index.html").read_bytes()
    return Response(page, headers=_TESTER_HEADERS, media_type="text/html")


async def _document(request: Request) -> dict[str, Any]:
    return await asyncio.to_thread(request.app.openapi)  # 0.1 s when it is first asked for
