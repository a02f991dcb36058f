"""The time that rates, leases and answers go by, in microseconds since 1970. All machines of a deployment share it.

A statement that needs it has `NOW` in it, and is run with the parameter `now_us`: what a `NowUs` gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

NowUs = Callable[[Connection], int | None]
"""The time; None: whatever the database says while the statement runs."""


class _Now(FunctionElement[int]):
    inherit_cache = True
    type = BigInteger()


NOW = _Now(bindparam("now_us", type_=BigInteger))


def database_now_us(connection: Connection) -> int | None:
    """The clock that all machines share: PostgreSQL's own. For a file, the machine's."""
    return None if connection.dialect.name == "postgresql" else time.time_ns() // 1_000


@compiles(_Now)
def _given(element: _Now, compiler: SQLCompiler, **kwargs: Any) -> str:
    return compiler.process(element.clauses, **kwargs)


@compiles(_Now, "postgresql")
def _given_or_own(element: _Now, compiler: SQLCompiler, **kwargs: Any) -> str:
    own = "CAST(EXTRACT(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    return f"coalesce({compiler.process(element.clauses, **kwargs)}, {own})"
