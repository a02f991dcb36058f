"""The steps a capture may take on the page before the picture: one model each, told apart by `type`.

Names other services use for the same step are accepted and leave here under ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from calotype.request.keys import keystroke
from calotype.request.kinds import Between, Items, Part, Refusal, Script, Secret, Selector, max_chars, not_empty, secret

ACTIONS_MAX = 50
_PLACE_MAX_PX = 1_000_000

_ALIASES = {"write": "type", "fill": "type", "executeJavascript": "evaluate"}

Text = Annotated[str, StringConstraints(max_length=10_000)]


class _Step(Part):
    timeout_ms: Annotated[int, Between(1, 120_000)] | None = Field(
        default=None,
        description="Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000.",
        examples=[5_000],
    )
    optional: bool = Field(default=False, description="Go on if this step fails.", examples=[True])


class Click(_Step):
    """Click an element."""

    type: Literal["click"] = Field(description="Kind of step.", examples=["click"])
    selector: Selector = Field(description="CSS selector of the element.", examples=["#accept"])


class TypeText(_Step):
    """Type text in place of what a field holds, or at the caret; `write` and `fill` mean the same."""

    type: Literal["type"] = Field(description="Kind of step; also `write` or `fill`.", examples=["type"])
    text: Annotated[Secret, secret(max_chars(10_000))] = Field(description="Text; never logged.", examples=["hello"])
    selector: Selector | None = Field(
        default=None,
        description="Field whose contents the text replaces. Unset: it goes to the caret of the one in focus.",
        examples=["input[name=q]"],
    )


def _key_name(value: str) -> str:
    keystroke(value)
    return value


class Press(_Step):
    """Press a key."""

    type: Literal["press"] = Field(description="Kind of step.", examples=["press"])
    key: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_key_name)] = Field(
        description="Key, by its `KeyboardEvent.key` name; modifiers before it: `Control+A`.", examples=["Enter"]
    )
    selector: Selector | None = Field(default=None, description="Element to focus first.", examples=["input[name=q]"])


class Hover(_Step):
    """Move the mouse over an element."""

    type: Literal["hover"] = Field(description="Kind of step.", examples=["hover"])
    selector: Selector = Field(description="CSS selector of the element.", examples=["nav .menu"])


def _scroll_target(value: Any) -> Any:
    if value is None or value in ("top", "bottom"):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refusal("must be top, bottom or a number of pixels from the top", "wrong_type")
    if not 0 <= value <= _PLACE_MAX_PX:
        raise Refusal(f"must be top, bottom or between 0 and {_PLACE_MAX_PX}", "out_of_bounds")
    return float(value)


class Scroll(_Step):
    """Scroll to a place, by a distance, or to an element."""

    type: Literal["scroll"] = Field(description="Kind of step.", examples=["scroll"])
    to: Annotated[Literal["top", "bottom"] | float | None, BeforeValidator(_scroll_target)] = Field(
        default=None, description="`top`, `bottom` or pixels from the top.", examples=["bottom"]
    )
    by: Annotated[float, Between(-_PLACE_MAX_PX, _PLACE_MAX_PX)] | None = Field(
        default=None, description="Pixels down; negative: up.", examples=[600]
    )
    selector: Selector | None = Field(default=None, description="Element to bring into view.", examples=["#footer"])

    @model_validator(mode="after")
    def _one_way(self) -> Scroll:
        if [self.to, self.by, self.selector].count(None) != 2:
            raise Refusal("needs exactly one of to, by and selector", "contradiction")
        return self


def _values(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Select(_Step):
    """Choose options of a `<select>`."""

    type: Literal["select"] = Field(description="Kind of step.", examples=["select"])
    selector: Selector = Field(description="CSS selector of the list.", examples=["#country"])
    value: Annotated[
        Items[Text],
        Field(max_length=100),
        AfterValidator(not_empty),
        BeforeValidator(_values, json_schema_input_type=str | list[str]),
    ] = Field(description="Value or values of the options.", examples=["de"])


class Check(_Step):
    """Tick a check box or radio button."""

    type: Literal["check"] = Field(description="Kind of step.", examples=["check"])
    selector: Selector = Field(description="CSS selector of the box.", examples=["#terms"])
    checked: bool = Field(default=True, description="False takes the tick away.", examples=[True])


class Wait(_Step):
    """Wait a while."""

    type: Literal["wait"] = Field(description="Kind of step.", examples=["wait"])
    ms: Annotated[int, Between(0, 30_000)] = Field(description="Milliseconds; also `milliseconds`.", examples=[500])


class WaitForElement(_Step):
    """Wait for an element."""

    type: Literal["wait_for"] = Field(description="Kind of step.", examples=["wait_for"])
    selector: Selector = Field(description="CSS selector of the element.", examples=["#result"])
    state: Literal["visible", "hidden", "attached", "detached"] = Field(
        default="visible", description="State it has to reach.", examples=["hidden"]
    )


class Evaluate(_Step):
    """Run JavaScript in the page; `executeJavascript` means the same."""

    type: Literal["evaluate"] = Field(description="Kind of step; also `executeJavascript`.", examples=["evaluate"])
    script: Script = Field(
        description="JavaScript; its result is in `meta.actions`.",
        examples=["document.querySelector('video').pause()"],
        repr=False,
    )


AnyAction = Annotated[
    Click | TypeText | Press | Hover | Scroll | Select | Check | Wait | WaitForElement | Evaluate,
    Field(discriminator="type"),
]


def _our_names(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    step = dict(cast("Mapping[str, Any]", value))
    kind = step.get("type")
    if isinstance(kind, str):
        step["type"] = kind = _ALIASES.get(kind, kind)
    if kind == "wait" and "ms" not in step:
        if "milliseconds" in step:
            step["ms"] = step.pop("milliseconds")
        elif "selector" in step:
            step["type"] = "wait_for"
    return step


Action = Annotated[AnyAction, BeforeValidator(_our_names)]
ACTION_TYPES: dict[str, type[Part]] = {
    "click": Click,
    "type": TypeText,
    "press": Press,
    "hover": Hover,
    "scroll": Scroll,
    "select": Select,
    "check": Check,
    "wait": Wait,
    "wait_for": WaitForElement,
    "evaluate": Evaluate,
}
