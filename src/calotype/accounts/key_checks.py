"""What is wrong with a key that somebody wants made: all of it at once."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from calotype.errors import Detail, InvalidRequest
from calotype.guard.rules import RuleList
from calotype.schema import NAME_MAX_CHARS
from calotype.settings import PLAN_NAME, Plan, TargetRules

RULES_MAX = 1000
"""Entries of `allow`, and of `deny`."""
_RULE_MAX_CHARS = 300  # a host name has 253 at most
_UNPRINTABLE = {"Cc", "Cs"}  # control characters, halves of a surrogate pair


def name_problems(name: str | None) -> list[Detail]:
    name = name or ""
    if len(name) > NAME_MAX_CHARS:
        return [_problem("name", f"A name has at most {NAME_MAX_CHARS} characters.")]
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return [_problem("name", "A name has no control characters.")]
    return []


def plan_problems(name: str, plan: Plan | None) -> list[Detail]:
    """`plan` is the one of that name."""
    if plan is not None:
        return []
    # What can't be a name is not repeated: it may be a secret in the wrong place.
    return [
        _problem("plan", f"There is no plan {name!r}." if re.fullmatch(PLAN_NAME, name) else "There is no such plan.")
    ]


def expiry_problems(expires_at: datetime | None, now: datetime) -> list[Detail]:
    is_past = expires_at is not None and expires_at <= now
    return [_problem("expires_at", "The key would have expired already.")] if is_past else []


def rule_problems(rules: TargetRules) -> list[Detail]:
    """One for each entry that can't be read."""
    problems: list[Detail] = []
    for field, entries in (("allow", rules.allow), ("deny", rules.deny)):
        if len(entries) > RULES_MAX:
            problems.append(_problem(field, f"A key has at most {RULES_MAX} entries of a kind."))
            continue
        for index, entry in enumerate(entries):
            problems += entry_problems(f"{field}.{index}", entry)
    return problems


def entry_problems(field: str, entry: str) -> list[Detail]:
    if len(entry) > _RULE_MAX_CHARS:
        return [_problem(field, f"An entry has at most {_RULE_MAX_CHARS} characters.")]
    try:
        RuleList.parse([entry], setting=field)
    except ValueError as error:
        return [_problem(field, str(error))]
    return []


def raise_if_any(problems: list[Detail]) -> None:
    """
    Raises:
        InvalidRequest: there are any; one is its message.
    """
    if problems:
        raise InvalidRequest(problems[0]["message"] if len(problems) == 1 else None, details=problems)


def _problem(field: str, message: str) -> Detail:
    return {"field": field, "message": message}
