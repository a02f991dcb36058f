"""Keys, plans and usage in JSON: the same on the command line and over HTTP."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from calotype.accounts.key_info import KeyInfo, KeyState
from calotype.accounts.limits import Limits, Standing
from calotype.settings import BUILT_IN_PLANS, Plan, Settings


class PlanDescription(BaseModel):
    """Null is no limit."""

    name: str
    requests_per_second: float | None
    burst: int | None = Field(description="Requests that may come at once.")
    monthly_credits: int | None
    max_concurrency: int | None = Field(description="Captures of the key at once.")
    max_priority: int

    @classmethod
    def of(cls, plan: Plan) -> PlanDescription:
        return cls(
            name=plan.name,
            requests_per_second=plan.requests_per_second,
            burst=None if plan.requests_per_second is None else Limits.of(plan).burst,
            monthly_credits=plan.monthly_credits,
            max_concurrency=plan.max_concurrency,
            max_priority=plan.max_priority,
        )


class CreditUsage(BaseModel):
    """Of the month that it is."""

    used: int = Field(description="Charged for delivered pictures.")
    reserved: int = Field(description="Held for captures that run.")
    remaining: int | None = Field(description="Null is no limit.")
    resets_at: datetime


class RateUsage(BaseModel):
    """Of this moment."""

    remaining: int | None = Field(description="Requests that would be admitted at once now; null is no limit.")
    retry_after_s: float = Field(description="Seconds until the next is admitted.")


class UsageDescription(BaseModel):
    """What is used of a plan, by a key and those that it replaced or that replace it."""

    credits: CreditUsage
    rate: RateUsage


class KeyUsage(UsageDescription):
    """Where a key stands, as its operator sees it."""

    key_id: str
    key_name: str | None
    plan: PlanDescription | None = Field(description="Null: not in the settings any more, so that the key is refused.")


class KeyDescription(BaseModel):
    """A key without its secret."""

    id: str
    name: str | None
    plan: str
    state: KeyState
    allow: tuple[str, ...] = Field(description="Where it may go although not public.")
    deny: tuple[str, ...] = Field(description="Where it may not go although public.")
    created_at: datetime
    expires_at: datetime | None = Field(description="Null: never.")
    revoked_at: datetime | None
    account_id: str = Field(description="Whose usage it counts on: its own id, or of the first key that it replaced.")
    replaced_by: str | None = Field(description="The key that a rotation put in its place.")

    @classmethod
    def of(cls, info: KeyInfo, now: datetime) -> KeyDescription:
        return cls(
            id=info.key_id,
            name=info.name,
            plan=info.plan,
            state=info.state(now),
            allow=info.rules.allow,
            deny=info.rules.deny,
            created_at=info.created_at,
            expires_at=info.expires_at,
            revoked_at=info.revoked_at,
            account_id=info.account_id,
            replaced_by=info.replaced_by,
        )


class KeyDetails(KeyDescription):
    """A key, and where it stands."""

    usage: KeyUsage


def all_plans(settings: Settings) -> list[PlanDescription]:
    """Those built in, then those of the settings."""
    return [PlanDescription.of(plan) for plan in (*BUILT_IN_PLANS, *settings.plans)]


def credits_of(standing: Standing) -> CreditUsage:
    return CreditUsage(
        used=standing.settled,
        reserved=standing.reserved,
        remaining=standing.credits_remaining,
        resets_at=standing.resets_at,
    )


def rate_of(standing: Standing) -> RateUsage:
    return RateUsage(remaining=standing.requests_remaining, retry_after_s=standing.retry_after_s)


def usage_of_key(info: KeyInfo, plan: Plan | None, standing: Standing) -> KeyUsage:
    return KeyUsage(
        key_id=info.key_id,
        key_name=info.name,
        plan=PlanDescription.of(plan) if plan else None,
        credits=credits_of(standing),
        rate=rate_of(standing),
    )
