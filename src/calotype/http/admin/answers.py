"""What `/admin/v1` answers. Keys, plans and usage are `accounts.described`'s."""

from __future__ import annotations

from pydantic import BaseModel, Field

from calotype.accounts.described import KeyDescription, KeyDetails, KeyUsage, PlanDescription

_TEXT = "The key. It is shown this once."


class _Answer(BaseModel):
    ok: bool = True
    request_id: str


class MadeKeyAnswer(_Answer):
    """A key just made."""

    api_key: str = Field(description=_TEXT)
    key: KeyDescription


class ReplacedKeyAnswer(MadeKeyAnswer):
    """A key just made, and the one that it replaces."""

    old: KeyDescription


class KeyAnswer(_Answer):
    """A key."""

    key: KeyDescription


class KeyDetailsAnswer(_Answer):
    """A key, and where it stands."""

    key: KeyDetails


class KeyListAnswer(_Answer):
    """Keys, oldest first."""

    keys: list[KeyDescription]
    next_cursor: str | None = Field(description="Where the next page begins; null: this is the last.")


class KeyUsageAnswer(_Answer):
    """What is used of a key's plan."""

    usage: KeyUsage


class PlanListAnswer(_Answer):
    """The plans built in, then those of the settings."""

    plans: list[PlanDescription]
