"""Structured logs of everything in this process: ours through structlog, uvicorn's and others' through logging.

One line per event on standard error, JSON or for a terminal. Secrets are masked here, at the last moment, so that no
caller has to think of it: API keys wherever they stand, Authorization, cookies, passwords. Request ids come from
structlog's context variables, which the HTTP front sets.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from calotype.settings import LogSettings

MASK = "***"

_SECRET_NAMES = frozenset(
    {
        "api_key",
        "authorization",
        "cookie",
        "password",
        "pepper",
        "proxy_authorization",
        "set_cookie",
        "token",
        "x_api_key",
    }
)
_SECRETS_IN_TEXT = (
    (re.compile(r"\bcalo_[A-Za-z0-9_-]{6,}"), MASK),  # a key, whole or cut short
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]{6,}"), MASK),  # a webhook secret
    (re.compile(r"(?i)((?:api_?key|signature)(?:=|%3d))[^&\s\"'#]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\"(?:api_key|password|token)\"\s*:\s*\")[^\"]*"), rf"\1{MASK}"),
    (
        re.compile(r"(?i)\b((?:x-api-key|(?:proxy-)?authorization|(?:set-)?cookie)\"?'?\s*[:=]\s*)[^\r\n]+"),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[^\s,\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*@"), rf"\1:{MASK}@"),
)
_QUIET = {"alembic": logging.WARNING, "uvicorn.error": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries whose informative lines say what ours say already."""
_DEPTH_MAX = 8


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every logger of this process to `stream` (standard error), in one format. Call once, at the start."""
    output: TextIO = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    as_json = settings.format == "json" or (settings.format == "auto" and not output.isatty())
    structlog.configure(
        processors=[*_common_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(_formatter(as_json=as_json, colours=output.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet_level in _QUIET.items():
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, quiet_level))


def mask_secrets(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
    """Mask every secret in an event, however deep: the processor before the renderer."""
    return cast("EventDict", mask(dict(event_dict)))


def mask(value: Any, depth: int = 0) -> Any:
    """Return the value with its secrets masked, made of JSON's types."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _mask_text(value)
    if depth < _DEPTH_MAX and isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {_mask_text(str(name)): _mask_entry(str(name), entry, depth) for name, entry in entries.items()}
    if depth < _DEPTH_MAX and isinstance(value, (list, tuple, set, frozenset)):
        return [mask(entry, depth + 1) for entry in cast("list[Any]", value)]
    return _mask_text(repr(value))


def _mask_entry(name: str, value: Any, depth: int) -> Any:
    return MASK if value and name.lower().replace("-", "_") in _SECRET_NAMES else mask(value, depth + 1)


def _mask_text(text: str) -> str:
    for pattern, replacement in _SECRETS_IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _common_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(*, as_json: bool, colours: bool) -> structlog.stdlib.ProcessorFormatter:
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    )
    return structlog.stdlib.ProcessorFormatter(
        # What other libraries log: `%s` arguments are filled in by the formatter before.
        foreign_pre_chain=_common_processors(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,  # text, so that it is masked as well
            mask_secrets,
            renderer,
        ],
    )
