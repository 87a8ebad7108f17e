"""What users see and do of their own machine: how it is and why, restart, keep it awake. Asking never wakes it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.account.book import Book
from gateway.account.diary import Wake, awake_by_day, wakes
from gateway.pages.account import NO_MACHINE, STATE_WORDS, ago, ahead
from gateway.pages.charts import bars, strip
from gateway.pages.machine import KEEP_AWAKE, AwakeMonth, MachineSheet, MomentRow, WakeRow
from gateway.pages.plans import card, duration
from gateway.pages.render import PlanCard, seconds
from gateway.pages.view import InstanceView
from gateway.session.identity import Identity
from provisioner.clock import Clock
from provisioner.instance import ASLEEP, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.plans import Plans
from provisioner.timeline import Moment, Outlook, Story

BY: Final = {"visit": "a visit", "silence": "a visit that got no answer", "queue": "the queue, which tried again"}
SHOWN: Final = 10
"""Wakes and moments on the page."""
LAMPS: Final = {
    State.ACTIVE: "on",
    State.DRAINING: "on",
    State.SUSPENDED: "asleep",
    State.STOPPED: "off",
    State.FAILED: "bad",
}
MOVING: Final = frozenset({State.PROVISIONING, State.WAKING, State.DRAINING, State.SUSPENDING, State.STOPPING})
KINDS: Final = {"provision": "Made", "resume": "Woke", "start": "Started", "pool": "Made", "claim": "Made"}


class Keeper(Protocol):
    """`provisioner.awake`, as far as it is needed here."""

    async def extend(self, user_id: UserId, until: datetime, *, actor: str) -> datetime | None: ...
    async def story(self, user_id: UserId, *, limit: int = 50) -> Story | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the page about a machine shows."""

    machine: MachineSheet
    month: AwakeMonth
    wakes: Sequence[WakeRow]
    moments: Sequence[MomentRow]
    plan: PlanCard


@dataclass(frozen=True, slots=True, kw_only=True)
class MyMachine:
    """Each call may raise SignInUnavailable, or what the database raises when it is away."""

    look: Callable[[UserId], Awaitable[InstanceView | None]]
    """How a machine is, None if there is none; never wakes it."""
    keeper: Keeper
    lifecycle: Lifecycle
    book: Book
    plans: Plans
    clock: Clock

    async def report(self, who: Identity) -> Report:
        """All about the machine of `who`."""
        now, plan = self.clock.now(), self.plans.of(who.user_id)
        view = await self.look(who.user_id)
        story = await self.keeper.story(who.user_id, limit=SHOWN)
        return Report(
            machine=sheet(
                view,
                None if story is None else story.outlook,
                now=now,
                begun=self.lifecycle.job(who.user_id) is not None,
            ),
            month=await self.month(who, view),
            wakes=wake_rows(wakes(await self.book.wakes(who.user_id, limit=SHOWN)), now),
            moments=[] if story is None else [moment_row(moment, now) for moment in story.moments],
            plan=card(plan),
        )

    async def month(self, who: Identity, view: InstanceView | None) -> AwakeMonth:
        """Time awake in this calendar month."""
        now = self.clock.now()
        since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        entries = await self.book.life(who.user_id, since=since)
        days = awake_by_day(entries, since=since, now=now, state_now=None if view is None else view.state)
        return awake_month(days, since)

    def plan_cards(self, who: Identity) -> tuple[PlanCard, Sequence[PlanCard]]:
        """The plan of `who`, and every plan there is."""
        return card(self.plans.of(who.user_id)), [card(plan) for plan in self.plans.all()]

    async def restart(self, who: Identity) -> None:
        """Stop it and begin to start it anew. Returns when it has stopped; raises as `Lifecycle.stop`."""
        await self.lifecycle.stop(who.user_id, actor=str(who.user_id), why="restarted by its owner")
        self.lifecycle.begin(Visitor(who.user_id, who.email), actor=str(who.user_id), force=True)

    async def keep_awake(self, who: Identity, hours: int) -> datetime | None:
        """Leave it awake for so long, 0 to let it sleep again; until when it really holds. None: there is none.

        Raises ValueError for what no form of ours sends.
        """
        if hours not in (0, *KEEP_AWAKE):
            raise ValueError("no choice of ours")
        return await self.keeper.extend(who.user_id, self.clock.now() + timedelta(hours=hours), actor=str(who.user_id))


def sheet(view: InstanceView | None, outlook: Outlook | None, *, now: datetime, begun: bool = False) -> MachineSheet:
    """How it is, in words. `begun`: it is being brought up, though the record may not say so yet."""
    if view is not None and begun and view.state in ASLEEP:
        return MachineSheet(state=STATE_WORDS[State.WAKING], lamp="busy", moving=True)
    if view is None:
        return MachineSheet(state=NO_MACHINE, lamp="off", outlook="It is made when you open it.")
    on = view.state in (State.ACTIVE, State.DRAINING)
    kept = None if outlook is None or outlook.keep_awake_until is None else ahead(outlook.keep_awake_until, now)
    most = timedelta(0) if outlook is None else outlook.may_extend_until - now
    return MachineSheet(
        state=STATE_WORDS[view.state],
        lamp=LAMPS.get(view.state, "busy"),
        since=ago(view.since, now),
        outlook=view.error if view.state is State.FAILED else None if outlook is None else next_words(outlook, now),
        kept=kept,
        hours=[hours for hours in KEEP_AWAKE if on and timedelta(hours=hours) <= most],
        may_restart=view.state in (State.ACTIVE, State.SUSPENDED, State.STOPPED),
        moving=view.state in MOVING,
    )


def next_words(outlook: Outlook, now: datetime) -> str | None:
    """What comes next, and why, as a sentence; None if nothing does by itself."""
    if outlook.kept_awake_by is not None:
        return f"It would be asleep by now, but it is kept awake by {outlook.kept_awake_by}."
    if outlook.sleeps_at is not None:
        if outlook.sleeps_at <= now:
            return "Nobody uses it: it goes to sleep within a minute."
        return f"It goes to sleep {ahead(outlook.sleeps_at, now)} if nobody uses it."
    if outlook.stops_at is not None:
        return f"It wakes when you open it, where it stopped; that is given up {ahead(outlook.stops_at, now)}."
    return "It starts when you open it." if outlook.state is State.STOPPED else None


def wake_rows(found: Sequence[Wake], now: datetime) -> list[WakeRow]:
    """With strips to one scale, so that they can be compared."""
    longest = max((wake.took_s for wake in found), default=0.0)
    return [
        WakeRow(
            when=ago(wake.at, now),
            kind=KINDS.get(wake.path, "Woke"),
            by=by_whom(wake.actor),
            took=seconds(wake.took_s),
            strip=strip(wake.steps, longest_s=longest),
            steps=[(name, seconds(took)) for name, took in wake.steps.items()],
        )
        for wake in found
    ]


def by_whom(actor: str) -> str:
    """Who asked for a wake, to its owner; `actor` as the audit log names them."""
    if actor.startswith("operator"):
        return "the operator"
    return BY.get(actor, "you" if len(actor) == 36 else "the gateway")


def moment_row(moment: Moment, now: datetime) -> MomentRow:
    """One moment in words; of what lasts, how long it did."""
    return MomentRow(when=ago(moment.at, now), kind=moment.kind.value, text=moment.text)


def awake_month(days: Sequence[timedelta], since: datetime) -> AwakeMonth:
    """The sum, and a column for each day so far."""
    hours = [day / timedelta(hours=1) for day in days]
    dates = [since + timedelta(days=n) for n in range(len(days))]
    labels = [f"{date:%d %B}: {duration(day)}" for date, day in zip(dates, days, strict=True)]
    return AwakeMonth(total=duration(sum(days, timedelta(0))), days=bars(hours, labels, least_top=4.0))
