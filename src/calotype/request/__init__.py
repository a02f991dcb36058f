"""The one typed model of a capture, and the doors through which requests come in.

POST, GET, jobs, the command line and the cache key all use `CaptureRequest`; nothing else validates a request.
`parse_body` takes a JSON object, `parse_query` the flat parameters of the GET form. Nothing here does I/O, knows
about keys or browsers, or decides what a server allows (the guard does that, with what is in here normalised).
"""

from calotype.request.actions import Action
from calotype.request.flat import FLAT_FIELDS
from calotype.request.identity import BasicAuth, Cookie, Geolocation, HeaderRule
from calotype.request.model import CaptureRequest
from calotype.request.parse import ParsedRequest, Warning_, parse_body, parse_query
from calotype.request.parts import Block, Cache, Clip, Media, Render, Resize, Viewport, WaitFor
from calotype.request.rules import NOT_YET

__all__ = [
    "FLAT_FIELDS",
    "NOT_YET",
    "Action",
    "BasicAuth",
    "Block",
    "Cache",
    "CaptureRequest",
    "Clip",
    "Cookie",
    "Geolocation",
    "HeaderRule",
    "Media",
    "ParsedRequest",
    "Render",
    "Resize",
    "Viewport",
    "WaitFor",
    "Warning_",
    "parse_body",
    "parse_query",
]
