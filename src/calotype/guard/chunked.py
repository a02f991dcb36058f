"""Follow a chunked body (RFC 9112 section 7.1) as it passes, to know where it ends. No I/O; nothing is copied.

The bytes are relayed as they are, so only what every reader takes alike is let through: CRLF, hexadecimal sizes.
"""

from __future__ import annotations

import re

from calotype.guard.http1 import BadMessage, is_field_line

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*|;[^\r\n\x00]*)")
_LINE_MAX_BYTES = 4_096
_TRAILERS_MAX_BYTES = 16_384
_FREE_LINES = 10_000
_MIN_BYTES_PER_LINE = 8
"""Beyond the free lines. Chunks of a byte each are slow to follow, and only an attacker sends a long body so."""


class ChunkedBody:
    """The scanner. Feed it until `ended`."""

    def __init__(self) -> None:
        self.ended = False
        self._skip = 0  # bytes of the chunk (and its CRLF) still to come
        self._line = b""  # a line that has not come whole
        self._in_trailers = False
        self._trailers_bytes = 0
        self._after_data = False
        self._lines = 0
        self._bytes = 0

    def feed(self, data: bytes) -> int:
        """Take in the next bytes; return how many of them belong to the body: fewer than all only once it ended.

        Raises:
            BadMessage
        """
        at = 0
        while not self.ended and at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
            else:
                at = self._feed_line(data, at)
        self._bytes += at
        if self._lines > _FREE_LINES and self._bytes < self._lines * _MIN_BYTES_PER_LINE:
            raise BadMessage("chunks too small")
        return at

    def _feed_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end + 1
        self._line += data[at:stop]
        if len(self._line) > _LINE_MAX_BYTES:
            raise BadMessage("chunk line too long")
        if end >= 0:
            if not self._line.endswith(b"\r\n"):
                raise BadMessage("chunk line end")
            line, self._line = self._line[:-2], b""
            self._lines += 1
            self._take_line(line)
        return stop

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            self._trailers_bytes += len(line)
            if self._trailers_bytes > _TRAILERS_MAX_BYTES:
                raise BadMessage("trailers too long")
            if line and not is_field_line(line):
                raise BadMessage("trailer")
            self.ended = not line
        elif self._after_data:
            if line:
                raise BadMessage("chunk end")
            self._after_data = False
        else:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise BadMessage("chunk size")
            self._skip = int(size[1], 16)
            self._in_trailers = self._skip == 0
            self._after_data = not self._in_trailers
