"""Heads of HTTP/1.1 messages as a proxy must see them: parse, find the framing of the body, write anew. No I/O.

Requests come from our own browser and must be right: anything doubtful is refused. Responses come from anybody: lines
that make no sense are dropped, as browsers do, and the head is written anew, so that the browser can't frame the body
otherwise than we do. Hop-by-hop fields end here (RFC 9110 section 7.6.1). No `Via`: the proxy is a part of the browser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_FIELD_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])(?=\r\n)")
_STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d)[ \t]++([1-9]\d\d)(?!\d)([^\n]*)\n")
_REQUEST_FIELD = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)(?=\r\n)")
_RESPONSE_FIELD = re.compile(rb"\n([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]*+:[ \t]*+([\t\x20-\x7e\x80-\xff]*+)(?=\r?\n)")
_UNFIT = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # in a field's value (RFC 9110 section 5.5)
_FOLD = re.compile(rb"\r?\n[ \t]++")  # obsolete line folding, RFC 9112 section 5.2
_LENGTH = re.compile(rb"[0-9]{1,18}")

_MAX_LINES = 2_000
"""Of one head: reading short lines by the ten thousand would hold up the other captures."""

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade"}
)
_DECIDING = frozenset({b"connection", b"proxy-connection", b"transfer-encoding", b"content-length"})
_REQUEST_OWN = frozenset({b"host", b"content-length"})  # written anew
_RESPONSE_OWN = frozenset({b"content-length"})
_NEVER_A_BODY = frozenset({204, 205})  # Chromium takes no body of a 205 either (its HttpStreamParser)
_NEVER_NOMINATED = frozenset([b"content-length", b"host", b"content-type", b"content-encoding"])
"""A peer can't have these taken out by naming them in `Connection`: framing and meaning hang on them."""


class Fields:
    """The field lines of one head, in order, with what decides about framing and connection set aside."""

    def __init__(self, found: list[tuple[bytes, bytes]]) -> None:
        """
        Args:
            found: names, and values without white space before them.
        """
        self._lines: list[tuple[bytes, bytes]] = []  # name in lower case; the whole line
        self._deciding: dict[bytes, bytes] = {}
        for name, value in found:
            lowered, value = name.lower(), value.rstrip(b" \t")
            self._lines.append((lowered, name + b": " + value))
            if lowered in _DECIDING:
                earlier = self._deciding.get(lowered)
                self._deciding[lowered] = value if earlier is None else earlier + b"," + value

    def members(self, name: bytes) -> list[bytes]:
        """Return the members, in lower case, of the list that all fields of a deciding name are together.

        None if there is no such field; one empty member if there is, with nothing in it.
        """
        value = self.combined(name)
        if value is None:
            return []
        if b"," not in value:
            return [value]
        return [member for part in value.split(b",") if (member := part.strip(b" \t"))] or [b""]

    def combined(self, name: bytes) -> bytes | None:
        """Return the values of all fields of a deciding name, in lower case, with commas between; None without one."""
        value = self._deciding.get(name)
        return None if value is None else value.lower()

    def end_to_end(self, *, without: frozenset[bytes]) -> list[bytes]:
        """Return the lines that are passed on."""
        dropped = _HOP_BY_HOP | without
        if nominated := self.members(b"connection"):
            dropped |= set(nominated) - _NEVER_NOMINATED
        return [line for name, line in self._lines if name not in dropped]


class BadMessage(Exception):
    """The head can't be understood, or may be understood in two ways."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the body ends."""

    kind: Literal["none", "length", "chunked", "until_close"]
    length: int = 0


NO_BODY = Framing("none")
UNTIL_CLOSE = Framing("until_close")


@dataclass(frozen=True, slots=True)
class RequestHead:
    method: bytes
    target: str
    fields: Fields
    body: Framing
    keep_alive: bool

    def serialise(self, *, host: bytes, target: bytes) -> bytes:
        """Return the head for the origin: origin-form, its own `Host` (RFC 9112 section 3.2.2)."""
        lines = [self.method + b" " + target + b" HTTP/1.1", b"Host: " + host]
        lines += self.fields.end_to_end(without=_REQUEST_OWN)
        return _joined(lines, self.body)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: int
    reason: bytes
    fields: Fields
    body: Framing
    keep_alive: bool
    """The connection that it came on can carry another exchange."""

    def serialise(self) -> bytes:
        """Return the head for the browser, with the framing that we found and no other."""
        lines = [b"HTTP/1.1 %d %s" % (self.status, self.reason)]
        # A bodiless answer may still state the length of what it would be (HEAD, 304), but not if it never has one.
        states_length = self.body.kind == "none" and self.status not in _NEVER_A_BODY
        without = frozenset[bytes]() if states_length else _RESPONSE_OWN
        lines += self.fields.end_to_end(without=without)
        if self.body.kind == "until_close":
            lines.append(b"Connection: close")
        return _joined(lines, self.body)


def parse_request(head: bytes) -> RequestHead:
    """Parse strictly.

    Raises:
        BadMessage: also when the body's end could be read in two ways (RFC 9112 section 6.3).
    """
    if not head.endswith(b"\r\n\r\n"):
        raise BadMessage("line ends")
    _check_lines(head)
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise BadMessage("request line")
    found: list[tuple[bytes, bytes]] = _REQUEST_FIELD.findall(head)
    if len(found) != head.count(b"\r\n") - 2:  # the request line, the empty line
        raise BadMessage("field line")
    fields = Fields(found)
    minor = int(line[3])
    return RequestHead(
        line[1], line[2].decode("ascii"), fields, _request_framing(fields, minor), _keeps_alive(fields, minor)
    )


def parse_response(head: bytes, *, method: bytes) -> ResponseHead:
    """Parse as browsers do; `method` is the request's.

    Raises:
        BadMessage: not HTTP/1, too many lines, contradicting lengths, an unknown transfer coding, or a switch of
            protocols.
    """
    _check_lines(head)
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    line = _STATUS_LINE.match(head)
    if line is None or line[1] != b"1":
        raise BadMessage("status line")
    # A space before the colon is taken out, a line that is no field dropped (RFC 9112 section 5.1).
    fields = Fields(_RESPONSE_FIELD.findall(head))
    status, minor = int(line[3]), int(line[2])
    if status == 101:
        raise BadMessage("nobody asked to switch protocols")
    body = _response_framing(fields, minor, status, method)
    # Both framings at once: chunked wins, and what follows is not to be trusted (RFC 9112 section 6.3). Nor is what
    # follows a 205 that states a body.
    codings, lengths = fields.members(b"transfer-encoding"), fields.members(b"content-length")
    doubtful = (body.kind == "chunked" and bool(lengths)) or (status == 205 and bool(codings or lengths != [b"0"]))
    keep_alive = body.kind != "until_close" and not doubtful and _keeps_alive(fields, minor)
    reason = line[4].removesuffix(b"\r")
    reason = b"" if _UNFIT.search(reason) else reason.strip(b" \t")
    return ResponseHead(status, reason, fields, body, keep_alive)


def is_field_line(line: bytes) -> bool:
    """Whether it is a field, strictly read (RFC 9112 section 5)."""
    return _FIELD_LINE.fullmatch(line) is not None


def _check_lines(head: bytes) -> None:
    if head.count(b"\n") > _MAX_LINES:
        raise BadMessage("too many lines")


def _request_framing(fields: Fields, minor: int) -> Framing:
    codings, length = fields.members(b"transfer-encoding"), fields.combined(b"content-length")
    if codings:
        if length is not None or minor == 0 or codings != [b"chunked"]:
            raise BadMessage("transfer-encoding")
        return Framing("chunked")
    if length is None:
        return NO_BODY
    if not _LENGTH.fullmatch(length):  # of a list, too, all of whose members agree or are empty but one
        raise BadMessage("content-length")
    return Framing("length", int(length))


def _response_framing(fields: Fields, minor: int, status: int, method: bytes) -> Framing:
    if method == b"HEAD" or status in (204, 205, 304) or status < 200:
        return NO_BODY
    codings = fields.members(b"transfer-encoding")
    if minor > 0 and codings not in ([], [b"identity"]):
        if codings != [b"chunked"]:
            raise BadMessage("transfer-encoding")
        return Framing("chunked")
    lengths = set(fields.members(b"content-length"))
    if len(lengths) > 1:
        raise BadMessage("content-length")
    if not lengths or not _LENGTH.fullmatch(length := lengths.pop()):
        return UNTIL_CLOSE  # an unreadable length counts as none, in browsers too
    return Framing("length", int(length))


def _keeps_alive(fields: Fields, minor: int) -> bool:
    options = [*fields.members(b"connection"), *fields.members(b"proxy-connection")]
    return b"close" not in options if minor > 0 else b"keep-alive" in options


def _joined(lines: list[bytes], body: Framing) -> bytes:
    if body.kind == "length":
        lines.append(b"Content-Length: %d" % body.length)
    elif body.kind == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join(lines) + b"\r\n\r\n"
