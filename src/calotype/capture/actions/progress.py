"""How far a step has come, in words for its caller."""

from __future__ import annotations

from dataclasses import dataclass


class StepFailed(Exception):
    """The step can't succeed; `str()` says why."""


class InvalidSelector(Exception):
    """What the step names is no CSS selector."""


@dataclass
class Progress:
    """`reason`: what the step waits for now, so what is wrong if it waits in vain."""

    reason: str = "the page does not answer"
