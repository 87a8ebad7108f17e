"""What the account pages tell of a machine and a plan: how it is and why, in words and small pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.pages.account import STRICTER, Frame
from gateway.pages.charts import Bar, Piece
from gateway.pages.render import Page, Pages, PlanCard
from gateway.pages.words import STEP_WORDS

KEEP_AWAKE: Final = (1, 4, 8)
"""Hours that may be asked for; a plan may allow less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSheet:
    """How a machine is now. Times are words relative to now: the pages know no time zone."""

    state: str
    """In the middle of a sentence."""
    lamp: str
    """"on", "off", "asleep", "busy" or "bad"."""
    since: str | None = None
    outlook: str | None = None
    """What comes next if nothing happens, a sentence."""
    kept: str | None = None
    """Until when it is kept awake because they asked for it."""
    hours: Sequence[int] = ()
    """For how many hours they may ask to keep it awake."""
    may_restart: bool = False
    moving: bool = False
    """It will be another state in a moment: the page looks again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeRow:
    """One of the last wakes. `took` in words; `steps` are (name, words) in order."""

    when: str
    kind: str
    by: str
    took: str
    strip: Sequence[Piece]
    steps: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentRow:
    """One line of the timeline."""

    when: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AwakeMonth:
    """Time awake in this calendar month (UTC): the sum in words, and a column a day."""

    total: str
    days: Sequence[Bar]


class MachinePages:
    """Renders through `Pages`. Safe to share; a call does no I/O."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def overview(
        self,
        frame: Frame,
        *,
        machine: MachineSheet,
        month: AwakeMonth,
        wakes: Sequence[WakeRow],
        moments: Sequence[MomentRow],
        plan: PlanCard,
    ) -> Page:
        """`/`: how my machine is, why, and what I may do about it."""
        return self._pages.still(
            "account/overview.html",
            200,
            STRICTER,
            frame=frame,
            here="/",
            machine=machine,
            month=month,
            wakes=wakes,
            moments=moments,
            plan=plan,
            step_words=STEP_WORDS,
        )

    def plan(self, frame: Frame, *, mine: PlanCard, plans: Sequence[PlanCard], month: AwakeMonth) -> Page:
        """`/plan`: what I have, what there is, and what I used."""
        return self._pages.still(
            "account/plan.html", 200, STRICTER, frame=frame, here="/plan", mine=mine, plans=plans, month=month
        )
