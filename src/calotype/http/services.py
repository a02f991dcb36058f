"""What the routes need of the program behind them, and how a handler gets it.

The composition root (`app.py`) opens the real parts; tests of this layer put a fake `Desk` at this seam.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from calotype.accounts.administration import Administration
from calotype.accounts.keys import Principal
from calotype.accounts.limits import Standing
from calotype.delivery.desk import Delivery
from calotype.http.in_flight import InFlight
from calotype.jobs.desk import JobDesk
from calotype.request import ParsedRequest
from calotype.settings import Settings, TargetRules
from calotype.signing import Query
from calotype.telemetry import Telemetry
from calotype.telemetry.figures import Backlog, GuardFigures, PoolFigures, RunnerFigures


class Desk(Protocol):
    """Takes orders for pictures; `delivery.desk.Desk` is the real one. Raises the errors of the table, nothing else."""

    async def deliver(
        self,
        parsed: ParsedRequest,
        caller: Principal,
        *,
        request_id: str,
        idempotency_key: str | None = None,
        note: Callable[[Standing], None] = ...,
    ) -> Delivery: ...

    async def standing(self, caller: Principal) -> Standing: ...


class Authenticator(Protocol):
    """Knows the callers; `accounts.keys.KeyRing` is the real one."""

    async def authenticate(self, text: str | None) -> Principal: ...

    async def authenticate_link(self, query: Query) -> Principal: ...


class Guard(Protocol):
    """Says where captures may go; `guard.proxy.EgressProxy` is the real one."""

    async def permit(self, url: str, rules: TargetRules) -> str:
        """Return why a page may be visited. Raises InvalidUrl, BlockedTarget, UnresolvableHost with the reason."""
        ...


class BrowserState(Protocol):
    """The browser as `/readyz` sees it; `browser.pool.BrowserPool` is the real one."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def is_full(self) -> bool:
        """Another capture would be refused at once."""
        ...


class JailState(Protocol):
    """The browser's network jail as `/readyz` tells it; `browser.jail.levels.Jail` is the real one."""

    @property
    def level(self) -> str: ...

    @property
    def means(self) -> tuple[str, ...]: ...

    @property
    def is_broken(self) -> bool: ...


class Answering(Protocol):
    """Database and storage as `/readyz` sees them."""

    async def ping(self) -> None:
        """Ask it something; any exception means that it is not there."""
        ...


class RunnerState(Protocol):
    """What runs jobs, as `/readyz` sees it; `jobs.runner.Runner` is the real one."""

    @property
    def is_ready(self) -> bool: ...


class Backlogged(Protocol):
    """Knows what waits in the database; `jobs.backlog.BacklogWatch` is the real one."""

    async def look(self) -> Backlog | None: ...


class Pool(BrowserState, PoolFigures, Protocol):
    """A browser's state and its figures."""


class GuardCounts(Guard, GuardFigures, Protocol):
    """The guard and its figures."""


class RunnerParts(RunnerState, RunnerFigures, Protocol):
    """What runs jobs, and its figures."""


class Operated(Protocol):
    """What an operator watches of a process, be it a server or a worker."""

    @property
    def settings(self) -> Settings: ...

    @property
    def telemetry(self) -> Telemetry: ...

    @property
    def backlog(self) -> Backlogged: ...

    @property
    def database(self) -> Answering: ...

    @property
    def storage(self) -> Answering: ...

    @property
    def runner(self) -> RunnerParts | None: ...

    @property
    def guard(self) -> GuardCounts: ...

    @property
    def pool(self) -> Pool: ...

    @property
    def jail(self) -> JailState: ...


class Services(Operated, Protocol):
    """The parts that the routes use."""

    @property
    def keys(self) -> Authenticator: ...

    @property
    def administration(self) -> Administration: ...

    @property
    def desk(self) -> Desk: ...

    @property
    def job_desk(self) -> JobDesk: ...


def current_services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def current_operated(request: Request) -> Operated:
    return cast("Operated", request.app.state.services)


def current_in_flight(request: Request) -> InFlight:
    return cast("InFlight", request.app.state.in_flight)


ServicesParameter = Annotated[Services, Depends(current_services)]
OperatedParameter = Annotated[Operated, Depends(current_operated)]
InFlightParameter = Annotated[InFlight, Depends(current_in_flight)]
