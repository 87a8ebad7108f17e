"""A golden image on its way to everybody: how far, how well, and what may be done about it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from gateway.dashboard.frame import Frame
from gateway.overview.book import OverviewBook
from provisioner.images import OPEN, ROLLOUT_STEPS, Rollout, RolloutEvent, RolloutState, Tally
from provisioner.rollout import STEPS, Rollouts

SHOWN: Final = 20
BACK: Final = "Everybody who was moved returns to the image they had, each when they sleep. Volumes are not touched."
RESUME: Final = "Moving goes on from the step where it stands."


class RolloutPage:
    """`/rollouts`."""

    def __init__(self, frame: Frame, rollouts: Rollouts, book: OverviewBook) -> None:
        self._frame, self._rollouts, self._book = frame, rollouts, book

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/rollouts", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        status = await self._rollouts.status()
        rollout = None if status is None else status.rollout
        return await self._frame.page(
            request,
            "rollouts.html",
            "/rollouts",
            base=self._rollouts.base,
            rollout=rollout,
            tally=None if status is None else status.tally,
            steps=[] if rollout is None else steps(rollout),
            outlook=None if status is None else outlook(status.rollout, status.tally, self._frame.clock.now()),
            orders=[] if rollout is None else orders(rollout),
            may_begin=rollout is None or rollout.state not in OPEN,
            usual=", ".join(str(percent) for percent in STEPS),
            mishaps=[] if rollout is None else await self._book.mishaps(rollout.id, limit=SHOWN),
            past=await self._book.past_rollouts(limit=SHOWN),
        )


def orders(rollout: Rollout) -> Sequence[dict[str, Any]]:
    """What may be done to it now, as calls of the admin API."""
    offered = ((RolloutEvent.PAUSE, None), (RolloutEvent.RESUME, RESUME), (RolloutEvent.BACK, BACK))
    return [
        {
            "label": {"back": "Take it back"}.get(event.value, event.value.capitalize()),
            "method": "POST",
            "path": f"/v1/rollout/{event.value}",
            "body": None,
            "confirm": confirm,
        }
        for event, confirm in offered
        if (rollout.state, event) in ROLLOUT_STEPS
    ]


def steps(rollout: Rollout) -> Sequence[tuple[int, str]]:
    """Its percents, each with "done", "now" or "to come"."""
    if rollout.state is RolloutState.DONE:
        return [(percent, "done") for percent in rollout.steps]
    words = {-1: "done", 0: "now", 1: "to come"}
    return [
        (percent, words[(number > rollout.step) - (number < rollout.step)])
        for number, percent in enumerate(rollout.steps)
    ]


def outlook(rollout: Rollout, tally: Tally, now: datetime) -> str:
    """What happens next, and what for."""
    match rollout.state:
        case RolloutState.RUNNING:
            last = rollout.step + 1 == len(rollout.steps)
            then = "It is done" if last else f"The next step, {rollout.steps[rollout.step + 1]} %, comes"
            minutes = (rollout.step_since + rollout.soak - now).total_seconds() / 60
            wanted = min(rollout.proof, tally.cohort)
            when = [f"{wanted} came up ({tally.ready} so far)"] if tally.ready < wanted else []
            when += [f"{max(1, round(minutes))} more minutes have passed"] if minutes > 0 else []
            return f"{then} when {' and '.join(when)}." if when else f"{then} within seconds."
        case RolloutState.PAUSED:
            return "Nobody is moved until somebody resumes it. Whoever was moved stays."
        case RolloutState.HALTED:
            return (
                "It halted by itself: nobody is moved any more, and whoever did not come up is back on the former"
                " image. Look at why, then take it back, or resume."
            )
        case RolloutState.DONE:
            rest = f"{tally.left} still have the former image, each until they sleep or wake from a stop."
            return f"New Machines are of this image. {rest if tally.left else 'Everybody has it.'}"
        case RolloutState.RETURNING:
            return f"{tally.left} still run it, and return to the image they had when they sleep."
        case RolloutState.RETURNED:
            return "Nobody runs it any more."
