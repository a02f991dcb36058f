"""The bodies of `/admin/v1`, checked by what making a key checks, all fields at once.

Unlike a capture's, an unknown field is an error: a misspelt `expires_at` would make a key that never ends.
"""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from starlette.requests import Request

from calotype.accounts.administration import Administration
from calotype.accounts.key_checks import RULES_MAX, entry_problems, name_problems
from calotype.errors import Detail, InvalidRequest
from calotype.http.body import read_json_object
from calotype.schema import NAME_MAX_CHARS
from calotype.settings import TargetRules

_BODY_MAX_BYTES = 2**18
_GRACE_MAX_S = 366 * 86_400
_DETAILS_MAX = 100
_FIELD_MAX_CHARS = 64
_UNKNOWN = "unknown_field"
_NO_MOMENT = ("invalid_value", "must be a time with a zone, such as 2027-01-31T00:00:00Z")
_WORDS = {
    "missing": ("missing", "is required"),
    "extra_forbidden": (_UNKNOWN, "is not a field"),
    "string_type": ("wrong_type", "must be a string"),
    "tuple_type": ("wrong_type", "must be a list"),
    "int_type": ("wrong_type", "must be a whole number"),
    "greater_than_equal": ("out_of_bounds", f"must be 0 to {_GRACE_MAX_S}"),
    "less_than_equal": ("out_of_bounds", f"must be 0 to {_GRACE_MAX_S}"),
    "timezone_aware": _NO_MOMENT,
    "datetime_from_date_parsing": _NO_MOMENT,
    "datetime_parsing": _NO_MOMENT,
    "too_long": ("too_long", f"must have at most {RULES_MAX} entries"),
}


_Body = TypeVar("_Body", bound=BaseModel)


def _known_plan(value: str, info: ValidationInfo) -> str:
    _refuse_if_any(_administration(info).plan_problems(value))
    return value


def _good_name(value: str) -> str:
    _refuse_if_any(name_problems(value))
    return value


def _good_entry(value: str, info: ValidationInfo) -> str:
    _refuse_if_any(entry_problems(info.field_name or "", value))
    return value


def _only_text(value: object) -> object:
    """Numbers would be taken for Unix times."""
    if isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "").isdigit():
        return value
    raise PydanticCustomError("datetime_parsing", "no text")


def _to_come(value: datetime, info: ValidationInfo) -> datetime:
    _refuse_if_any(_administration(info).expiry_problems(value))
    return value


_Moment = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_to_come)]
_Rules = Annotated[tuple[Annotated[str, AfterValidator(_good_entry)], ...], Field(max_length=RULES_MAX)]


class CreateKeyBody(BaseModel):
    """The key that is wanted."""

    model_config = ConfigDict(extra="forbid")

    plan: Annotated[str, AfterValidator(_known_plan)] = Field(description="`GET /admin/v1/plans` lists them.")
    name: Annotated[str, AfterValidator(_good_name)] | None = Field(
        default=None,
        description="Whom or what the key is for.",
        json_schema_extra={"maxLength": NAME_MAX_CHARS},
    )
    expires_at: _Moment | None = Field(default=None, description="A time with its zone. Null: never.")
    allow: _Rules = Field(default=(), description="Networks, hosts or `host:port` it may visit although not public.")
    deny: _Rules = Field(default=(), description="Networks, hosts or `host:port` it may not visit although public.")

    @property
    def rules(self) -> TargetRules:
        return TargetRules(allow=self.allow, deny=self.deny)


class RotateKeyBody(BaseModel):
    """How the old key ends, and when the new one will."""

    model_config = ConfigDict(extra="forbid")

    grace_s: int = Field(
        default=0,
        ge=0,
        le=_GRACE_MAX_S,
        strict=True,
        description="Seconds for which the old key holds yet. 0: it is revoked now.",
    )
    expires_at: _Moment | None = Field(
        default=None, description="Of the new key, a time with its zone. Null: when the old one would have ended."
    )


async def read_body(
    request: Request, kind: type[_Body], administration: Administration, max_bytes: int, *, is_optional: bool = False
) -> _Body:
    """Return the body. `is_optional`: an empty one means `{}`.

    Raises:
        InvalidRequest: says all that is wrong with its fields; or as `read_json_object`.
    """
    body = await read_json_object(request, min(max_bytes, _BODY_MAX_BYTES), empty={} if is_optional else None)
    try:
        return kind.model_validate(body, context=administration)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:_DETAILS_MAX]
        raise InvalidRequest(details=[_detail(kind, each) for each in found]) from None


def _administration(info: ValidationInfo) -> Administration:
    assert isinstance(info.context, Administration)  # noqa: S101
    return info.context


def _refuse_if_any(problems: list[Detail]) -> None:
    for problem in problems:
        raise PydanticCustomError("invalid_value", "{message}", {"message": problem["message"]})


def _detail(kind: type[BaseModel], error: ErrorDetails) -> Detail:
    field = ".".join(map(str, error["loc"]))[:_FIELD_MAX_CHARS]
    kind_of_error, message = _WORDS.get(error["type"], ("invalid_value", error["msg"]))
    if kind_of_error == _UNKNOWN and (near := get_close_matches(field, list(kind.model_fields), n=1)):
        message += f"; did you mean {near[0]}?"
    return {"field": field, "message": message, "type": kind_of_error}
