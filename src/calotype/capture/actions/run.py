"""Carries the steps out one after the other, each within its time, and tells what came of each."""

from __future__ import annotations

import time

from calotype.browser.page import Page
from calotype.capture.actions.navigation import NavigationWatch
from calotype.capture.actions.progress import InvalidSelector, StepFailed
from calotype.capture.actions.steps import Steps
from calotype.capture.activity import PageActivity
from calotype.capture.deadline import Deadline, DeadlineReached
from calotype.capture.navigate import check_document, has_arrived
from calotype.capture.result import ActionOutcome
from calotype.capture.world import World
from calotype.errors import ActionFailed, InvalidRequest
from calotype.request import CaptureRequest
from calotype.request.actions import AnyAction, Evaluate, Wait

_STEP_TIMEOUT_S = 10.0  # the contract leaves it to us
_PULSE_S = 1.0
# What the events set going, and what their handlers put off (`setTimeout(go)`), has begun when this is over.
_MOMENT = "new Promise((over) => setTimeout(() => requestAnimationFrame(over), 5))"
_ABORTED = "net::ERR_ABORTED"


class Actions:
    """`outcomes` has an entry for each step begun."""

    def __init__(
        self, page: Page, world: World, activity: PageActivity, request: CaptureRequest, deadline: Deadline
    ) -> None:
        self.outcomes: list[ActionOutcome] = []
        self._page = page
        self._world = world
        self._activity = activity
        self._request = request
        self._deadline = deadline

    async def run(self) -> None:
        """Carry all steps out.

        Raises:
            ActionFailed: one that is not optional failed.
            InvalidRequest: a selector is none.
            DeadlineReached: the capture's time ended; with the step and what it waited for.
            BlockedTarget, UnresolvableHost, TargetUnreachable, TargetStatus: a step led to such a page.
            ConnectionLost
        """
        navigation = NavigationWatch(self._page)
        steps = Steps(self._page, self._world, self._request, navigation)
        # Else the page takes itself for a background window: no focus events, no :focus.
        await self._page.session.call("Emulation.setFocusEmulationEnabled", enabled=True)
        for index, action in enumerate(self._request.actions):
            outcome = ActionOutcome(index=index, type=action.type, ok=False)
            self.outcomes.append(outcome)
            started = time.perf_counter()
            try:
                navigation.begin_step()
                await self._loaded(outcome, navigation)  # of what has set off since the step before
                await self._step(action, outcome, steps)
                await self._arrive(outcome, navigation)
            finally:
                outcome.elapsed_ms = round((time.perf_counter() - started) * 1000)
        async with self._deadline.waiting_for("the page after its actions"):
            await self._world.run("actions/hide_caret")

    async def _step(self, action: AnyAction, outcome: ActionOutcome, steps: Steps) -> None:
        own = Deadline(_timeout_s(action))
        steps.progress.reason = "the page does not answer"
        try:
            async with (own if own.at < self._deadline.at else self._deadline).waiting_for("the step"):
                outcome.result, outcome.note = await steps.perform(action)
            outcome.ok = True
        except DeadlineReached as reached:
            outcome.error = steps.progress.reason
            if self._deadline.remaining_s == 0:
                raise DeadlineReached(f"{_name(action, outcome)}: {outcome.error}") from reached
            if not await self._revive() and not isinstance(action, Evaluate):
                outcome.error = "the page's scripts do not pause, so that it takes nothing"
            outcome.error = f"{outcome.error} (waited {_timeout_s(action):g} s)"
        except StepFailed as failure:
            outcome.error = str(failure)
        except InvalidSelector as error:
            raise _no_selector(action, outcome) from error
        if not (outcome.ok or action.optional):
            raise _failed(action, outcome)

    async def _arrive(self, outcome: ActionOutcome, navigation: NavigationWatch) -> None:
        """If the step led to another page, wait until that is loaded as `render.wait_until` demands."""
        async with self._deadline.waiting_for(f"the page that actions.{outcome.index} led to"):
            await self._world.evaluate(_MOMENT if self._request.render.javascript else "0")
        await self._loaded(outcome, navigation)
        last = self._activity.last_document
        if navigation.came_to_nothing and last is not None and last.error == _ABORTED:
            outcome.note = "It led to a download, or to an answer without a page; the page stays."
        if navigation.wanted_window:
            outcome.note = "A new window was wanted; none is opened."

    async def _loaded(self, outcome: ActionOutcome, navigation: NavigationWatch) -> None:
        async with self._deadline.waiting_for(f"the page that actions.{outcome.index} led to"):
            await navigation.over()
            await self._activity.until(lambda: has_arrived(self._request, self._activity))
        check_document(self._page, self._request, self._activity)

    async def _revive(self) -> bool:
        """Whether the page answers; the scripts of one that does not are ended, so that it can be gone on with."""
        try:
            async with Deadline(_PULSE_S).waiting_for("a sign of life"):
                await self._world.evaluate("0")
        except DeadlineReached:
            self._page.session.post("Runtime.terminateExecution")
            return False
        return True


def _timeout_s(action: AnyAction) -> float:
    if action.timeout_ms is not None:
        return action.timeout_ms / 1000
    return action.ms / 1000 + _STEP_TIMEOUT_S if isinstance(action, Wait) else _STEP_TIMEOUT_S


def _name(action: AnyAction, outcome: ActionOutcome) -> str:
    selector = getattr(action, "selector", None)
    return f"actions.{outcome.index}, {action.type}{f' {selector!r}' if selector else ''}"


def _failed(action: AnyAction, outcome: ActionOutcome) -> ActionFailed:
    detail = {
        "field": f"actions.{outcome.index}",
        "message": outcome.error,
        "index": outcome.index,
        "type": action.type,
        "selector": getattr(action, "selector", None),
    }
    return ActionFailed(f"{_name(action, outcome)}, failed: {outcome.error}.", details=[detail])


def _no_selector(action: AnyAction, outcome: ActionOutcome) -> InvalidRequest:
    message = f"{getattr(action, 'selector', '')!r} is not a valid CSS selector."
    return InvalidRequest(message, details=[{"field": f"actions.{outcome.index}.selector", "message": message}])
